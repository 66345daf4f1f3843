import { isRight } from 'fp-ts/lib/Either.js';
import {
  concat,
  concatMap,
  EMPTY,
  finalize,
  firstValueFrom,
  interval,
  lastValueFrom,
  map,
  NEVER,
  Observable,
  type ObservableInput,
  of,
  range,
  retry,
  take,
  tap,
  throwError,
  toArray,
} from 'rxjs';
import { describe, expect, it, vi } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { AuthenticationFailed, LockLost, LockNotAcquired, PlaceLost } from '../../src/backends/errors.js';
import { MemoryStore, memory } from '../../src/backends/memory/index.js';
import { withLeadership } from '../../src/observables/elections/with-leadership.js';
import type { Grant } from '../../src/observables/holding/grant.js';
import { breakLock } from '../../src/observables/locks/break-lock.js';
import { holders } from '../../src/observables/locks/holders.js';
import { lock } from '../../src/observables/locks/lock.js';
import { withLocks } from '../../src/observables/locks/lock-all.js';
import { withPermit } from '../../src/observables/locks/semaphore.js';
import { tryLock } from '../../src/observables/locks/try-lock.js';
import { withLock } from '../../src/observables/locks/with-lock.js';
import { synchronized } from '../../src/promises/synchronized.js';
import { ManualTime, placeOf, promises, QUICK, scripted, sessionIdOf, virtually } from '../support/virtual-time.js';

const places = { w: placeOf(1n, false), a: placeOf(1n) };
const gone = new PlaceLost('lock "l"', 'session lost');
const lost = new LockLost('l', 1n, 'session lost');

describe('withLock', () => {
  it('does the work under the lock and completes with it, releasing', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('--w--a---', places);
      const work = cold('      -x-y-|');
      expectObservable(withLock(scripted({ enter }, scheduler), 'l', () => work)).toBe('------x-y-|');
      expectSubscriptions(work.subscriptions).toBe('-----^----!');
      expectSubscriptions(enter.subscriptions).toBe('^---------!');
    });
  });

  it('never starts the work without the lock', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('--w------', places);
      const work = cold('x');
      expectObservable(
        withLock(scripted({ enter }, scheduler), 'l', () => work),
        '^-------!',
      ).toBe('');
      expectSubscriptions(work.subscriptions).toBe([]);
      expectSubscriptions(enter.subscriptions).toBe('^-------!');
    });
  });

  it('completes at once with empty work, and never with work that never ends', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('-a----', places);
      expectObservable(withLock(scripted({ enter }, scheduler), 'l', () => EMPTY)).toBe('-|');
      expectObservable(
        withLock(scripted({ enter }, scheduler), 'l', () => NEVER),
        '^---!',
      ).toBe('');
      expectSubscriptions(enter.subscriptions).toBe(['^!', '^---!']);
    });
  });

  it('releases when the work errors', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('-a------', places);
      expectObservable(withLock(scripted({ enter }, scheduler), 'l', () => cold('-x-#'))).toBe('--x-#');
      expectSubscriptions(enter.subscriptions).toBe('^---!');
    });
  });

  it('releases when the work cannot even be made', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('-a------', places);
      const output = withLock(scripted({ enter }, scheduler), 'l', () => {
        throw new Error('cannot');
      });
      expectObservable(output).toBe('-#', undefined, new Error('cannot'));
      expectSubscriptions(enter.subscriptions).toBe('^!');
    });
  });

  it('takes an iterable for work', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const enter = cold('-a------', places);
      expectObservable(withLock(scripted({ enter }, scheduler), 'l', () => ['x', 'y'])).toBe('-(xy|)');
    });
  });

  it('errors with LockLost after the work was torn down', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions, at }) => {
      const log: string[] = [];
      const enter = cold('-a-----#', places, gone);
      const work = cold('-x-y-z-z');
      const output = withLock(scripted({ enter }, scheduler), 'l', () => work.pipe(finalize(() => log.push('ended'))));
      expectObservable(output.pipe(tap({ error: () => log.push('told') }))).toBe('--x-y-z#', undefined, lost);
      expectSubscriptions(work.subscriptions).toBe('-^-----!');
      at(9, () => expect(log).toEqual(['ended', 'told']));
    });
  });

  it('passes what lock errors with', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const error = new AuthenticationFailed('scripted', 'nowhere');
      const failing = scripted({ enter: cold('--#', places, error) }, scheduler);
      const taken = scripted({ enter: cold('-w', places) }, scheduler);
      const work = (): Observable<string> => of('x');
      expectObservable(withLock(failing, 'l', work)).toBe('--#', undefined, error);
      expectObservable(withLock(taken, 'l', work, { waitMs: 5 })).toBe(
        '-----#',
        undefined,
        new LockNotAcquired('l', 5),
      );
    });
  });

  it('tears the work down, and completes, when the place completes', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('-a---|', places);
      const work = cold(' -x-y-z');
      expectObservable(withLock(scripted({ enter }, scheduler), 'l', () => work)).toBe('--x-y|');
      expectSubscriptions(work.subscriptions).toBe('-^---!');
      expectObservable(withLock(scripted({ enter: cold('--|') }, scheduler), 'l', () => work)).toBe('--|');
    });
  });

  it('unsubscribes from the work first, then releases, when unsubscribed from early', () => {
    const log: string[] = [];
    const enter = concat(of(places.a), NEVER).pipe(finalize(() => log.push('released')));
    const work = NEVER.pipe(finalize(() => log.push('work ended')));
    withLock(scripted({ enter }, new ManualTime()), 'l', () => work)
      .subscribe()
      .unsubscribe();
    expect(log).toEqual(['work ended', 'released']);
  });

  it.each([
    ['completes', of('x')],
    ['errors', throwError(() => 'broken')],
  ])('WorkFirstThenRelease: what the work that %s cleans up is cleaned up before the release', (_, work) => {
    const log: string[] = [];
    const time = new ManualTime();
    const enter = new Observable<typeof places.a>((subscriber) => {
      const timer = time.schedule(() => subscriber.next(places.a), 1);
      return () => {
        timer.unsubscribe();
        log.push('released');
      };
    });
    const cleaning = work.pipe(finalize(() => log.push('work ended')));
    withLock(scripted({ enter }, time), 'l', () => cleaning).subscribe({ error: () => undefined });
    time.pass(2);
    expect(log).toEqual(['work ended', 'released']);
  });

  it('does the work anew when subscribed to again', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('-a---', places);
      const output = withLock(scripted({ enter }, scheduler), 'l', () => cold('-x|'));
      expectObservable(output).toBe('--x|');
      expectObservable(output, '----^').toBe('------x|');
      expectSubscriptions(enter.subscriptions).toBe(['^--!', '----^--!']);
    });
  });

  it('leaves no work running that emits at once and goes on, when one item is enough', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('-a----', places);
      const work = cold('x-y-z-');
      expectObservable(withLock(scripted({ enter }, scheduler), 'l', () => work).pipe(take(1))).toBe('-(x|)');
      const beginning = cold('-y-z');
      const output = withLock(
        scripted({ enter }, scheduler),
        'l',
        () =>
          new Observable<string>((subscriber) => {
            subscriber.next('x');
            return beginning.subscribe(subscriber);
          }),
      );
      expectObservable(output.pipe(take(1))).toBe('-(x|)');
      expectSubscriptions(work.subscriptions).toBe('-(^!)');
      expectSubscriptions(beginning.subscriptions).toBe('-(^!)');
      expectSubscriptions(enter.subscriptions).toBe(['^!', '^!']);
    });
  });

  it('stops endless synchronous work that is no longer wanted', () => {
    const time = new ManualTime();
    const enter = new Observable<typeof places.a>((subscriber) => {
      time.schedule(() => subscriber.next(places.a), 1);
    });
    let drawn = 0;
    const work = range(1, 100_000).pipe(tap(() => drawn++));
    const seen: number[] = [];
    withLock(scripted({ enter }, time), 'l', () => work)
      .pipe(take(2))
      .subscribe((n) => seen.push(n));
    time.pass(2);
    expect(seen).toEqual([1, 2]);
    expect(drawn).toBe(2);
  });

  it('stops work at once that is told of the loss while it starts', () => {
    const time = new ManualTime();
    let lose = (): void => undefined;
    const enter = new Observable<typeof places.a>((subscriber) => {
      lose = () => subscriber.error(gone);
      time.schedule(() => subscriber.next(places.a), 1);
    });
    const log: string[] = [];
    const work = concat(of('x'), NEVER).pipe(finalize(() => log.push('ended')));
    withLock(scripted({ enter }, time), 'l', () => work).subscribe({
      next: () => lose(),
      error: (error) => log.push(error.name),
    });
    time.pass(2);
    expect(log).toContain('LockLost');
    expect(log).toContain('ended');
  });

  it('refuses a name and options at the call', () => {
    virtually(({ scheduler }) => {
      const backend = scripted({}, scheduler);
      const work = (): Observable<never> => EMPTY;
      expect(() => withLock(backend, '', work)).toThrow(expect.objectContaining({ _tag: 'InvalidName' }));
      expect(() => withLock(backend, 'l', work, { waitMs: -1 })).toThrow(
        expect.objectContaining({ _tag: 'InvalidOptions' }),
      );
      expect(backend.calls).toEqual([]);
    });
  });
});

describe('withLock over a store', () => {
  it('whoever has waited for waitMs is told LockNotAcquired, and not that the work is done', () => {
    virtually(({ process, expectObservable, expectSubscriptions, cold, at }) => {
      const [first, second] = [process(), process()];
      const held = lock(first, 'l', { data: 'me' }).subscribe();
      const work = cold('-');
      at(20, () => held.unsubscribe());
      expectObservable(withLock(second, 'l', () => work, { waitMs: 10 })).toBe(
        '10ms #',
        undefined,
        expect.objectContaining({
          _tag: 'LockNotAcquired',
          waitMs: 10,
          reason: 'held',
          holders: [{ id: expect.any(String), token: expect.any(BigInt), data: 'me' }],
        }),
      );
      expectSubscriptions(work.subscriptions).toBe([]);
    });
  });

  it('does the work of several one after the other, in the order they came', () => {
    virtually(({ process, expectObservable, cold }) => {
      const [first, second] = [process(), process()];
      expectObservable(withLock(first, 'l', () => cold('-a-|'))).toBe('-a-|');
      expectObservable(withLock(second, 'l', () => cold('-b-|'))).toBe('----b-|');
    });
  });

  it('does not start the work of the next before that of a partitioned holder has ended', () => {
    virtually(({ process, partition, at, cold, expectObservable, expectSubscriptions }) => {
      const [first, second] = [process(), process()];
      const [ours, theirs] = [cold('-'), cold('-')];
      expectObservable(withLock(first, 'l', () => ours)).toBe(
        '134ms #',
        undefined,
        expect.objectContaining({ _tag: 'LockLost' }),
      );
      expectObservable(
        withLock(second, 'l', () => theirs),
        '^ 199ms !',
      ).toBe('');
      at(50, () => partition(first));
      expectSubscriptions(ours.subscriptions).toBe('^ 133ms !');
      expectSubscriptions(theirs.subscriptions).toBe('140ms ^ 59ms !');
    });
  });

  it('does the work again under a new token with retry', () => {
    virtually(({ process, expire, at, expectObservable }) => {
      const backend = process();
      const seen = new Set<bigint>();
      const output = withLock(backend, 'l', ({ token }) => concat(of(seen.add(token).size), NEVER)).pipe(retry());
      expectObservable(output, '^ 39ms !').toBe('a 24ms b', { a: 1, b: 2 });
      at(20, () => expire(backend));
    });
  });

  it('tells its work of the end by the signal of the grant', () => {
    virtually(({ process, at }) => {
      const log: unknown[] = [];
      const work = ({ signal }: Grant): Observable<never> => {
        signal.addEventListener('abort', () => log.push('aborted'));
        return NEVER;
      };
      const subscription = withLock(process(), 'l', work).subscribe();
      at(5, () => subscription.unsubscribe());
      at(6, () => expect(log).toEqual(['aborted']));
    });
  });

  it('completes, with the work torn down, when the backend is closed', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      expectObservable(withLock(first, 'l', () => interval(4))).toBe('----a---b-|', { a: 0, b: 1 });
      expectObservable(withLock(second, 'l', () => of('next'))).toBe('10ms (n|)', { n: 'next' });
      at(10, () => void first.close());
    });
  });

  it('lets the next in line start only after the cleaning up of work that has completed', () => {
    virtually(({ process, at, cold }) => {
      const log: string[] = [];
      const work = (who: string) => () =>
        cold('--|').pipe(
          tap({ subscribe: () => log.push(`${who} starts`) }),
          finalize(() => log.push(`${who} has ended`)),
        );
      const [first, second] = [process(), process()];
      withLock(first, 'l', work('first')).subscribe();
      withLock(second, 'l', work('second')).subscribe();
      at(30, () => expect(log).toEqual(['first starts', 'first has ended', 'second starts', 'second has ended']));
    });
  });

  it('keeps a place in line through concatMap', () => {
    virtually(({ process, expectObservable }) => {
      const backend = process();
      const output = of('x', 'y').pipe(concatMap((item) => withLock(backend, 'l', () => [item])));
      expectObservable(output).toBe('(xy|)');
    });
  });
});

/** Promises do not run in marbles: here time goes by step by step. */
describe('work', () => {
  it.each([
    ['withLock', (backend, work) => withLock(backend, 'l', work)],
    ['withLocks', (backend, work) => withLocks(backend, ['l'], work)],
    ['withPermit', (backend, work) => withPermit(backend, 'l', 2, work)],
    ['withLeadership', (backend, work) => withLeadership(backend, 'l', work)],
    ['synchronized', (backend, work) => synchronized(backend, 'l')(work)],
  ] as readonly (readonly [string, (backend: Backend, work: () => never) => unknown])[])(
    'HeldForNothing: %s refuses at the call what is no function',
    (_, call) => {
      virtually(({ process }) => {
        for (const work of [undefined, NEVER, 'work'])
          expect(() => call(process(), work as unknown as () => never)).toThrow(
            expect.objectContaining({
              _tag: 'InvalidOptions',
              violations: [expect.stringMatching(/^work must be a function, but is /)],
            }),
          );
      });
    },
  );
});

describe('withLock with a promise', () => {
  interface Deferred<T> {
    readonly promise: Promise<T>;
    resolve(value: T): void;
    reject(error: unknown): void;
  }
  const deferred = <T>(): Deferred<T> => {
    let settle: Pick<Deferred<T>, 'resolve' | 'reject'> = { resolve: () => undefined, reject: () => undefined };
    const promise = new Promise<T>((resolve, reject) => {
      settle = { resolve, reject };
    });
    return { promise, resolve: (value) => settle.resolve(value), reject: (error) => settle.reject(error) };
  };
  const setUp = () => {
    const time = new ManualTime();
    const store = new MemoryStore(time);
    const process = (): Backend => memory({ ...QUICK, store, scheduler: time });
    const log: unknown[] = [];
    const next = process();
    const line = (): void => {
      lock(next, 'l').subscribe(() => log.push('next is granted'));
    };
    const observer = {
      next: (value: unknown) => log.push(value),
      error: (error: Error) => log.push(error.name),
      complete: () => log.push('complete'),
    };
    return { time, store, process, next, log, line, observer };
  };

  it('emits what it resolves with, completes, and releases', async () => {
    const { time, process, log, line, observer, next } = setUp();
    const work = deferred<string>();
    const backend = process();
    withLock(backend, 'l', () => work.promise).subscribe(observer);
    line();
    await time.passWithPromises(10);
    expect(log).toEqual([]);
    work.resolve('done');
    await promises();
    expect(log).toEqual(['done', 'complete', 'next is granted']);
    await Promise.all([backend.close(), next.close()]);
  });

  it('errors with what it rejects with, and releases', async () => {
    const { time, process, log, line, observer, next } = setUp();
    const work = deferred<string>();
    const backend = process();
    withLock(backend, 'l', () => work.promise).subscribe(observer);
    line();
    await time.passWithPromises(10);
    work.reject(new RangeError('no'));
    await promises();
    expect(log).toEqual(['RangeError', 'next is granted']);
    await Promise.all([backend.close(), next.close()]);
  });

  it('is not released while the promise runs on after one has unsubscribed', async () => {
    const { time, process, log, line, observer, next } = setUp();
    const work = deferred<string>();
    const backend = process();
    let held: Grant | undefined;
    const subscription = withLock(backend, 'l', (grant) => {
      held = grant;
      return work.promise;
    }).subscribe(observer);
    line();
    await time.passWithPromises(10);
    subscription.unsubscribe();
    expect(held?.signal.aborted).toBe(true);
    await time.passWithPromises(80);
    expect(log).toEqual([]);
    work.resolve('too late to be told');
    await promises();
    expect(log).toEqual(['next is granted']);
    await Promise.all([backend.close(), next.close()]);
  });

  it('is released when a promise has rejected after one has unsubscribed, and nothing escapes', async () => {
    const { time, process, log, line, observer, next } = setUp();
    const work = deferred<string>();
    const backend = process();
    const subscription = withLock(backend, 'l', () => work.promise).subscribe(observer);
    line();
    await time.passWithPromises(10);
    subscription.unsubscribe();
    work.reject(new Error('nobody listens'));
    await promises();
    expect(log).toEqual(['next is granted']);
    await Promise.all([backend.close(), next.close()]);
  });

  it('is held for as long as the session lives and the promise runs, by one who has unsubscribed', async () => {
    const { time, process, log, line, observer, next } = setUp();
    const work = deferred<string>();
    const backend = process();
    const subscription = withLock(backend, 'l', () => work.promise).subscribe(observer);
    line();
    await time.passWithPromises(10);
    subscription.unsubscribe();
    await time.passWithPromises(1_000);
    expect(log).toEqual([]);
    work.resolve('at last');
    await promises();
    expect(log).toEqual(['next is granted']);
    await Promise.all([backend.close(), next.close()]);
  });

  it('is released with its session, or its backend at the deadline, where the promise never settles', async () => {
    for (const end of ['expired', 'closed'] as const) {
      const { time, store, process, log, line, observer, next } = setUp();
      const backend = process();
      const subscription = withLock(backend, 'l', () => new Promise(() => undefined)).subscribe(observer);
      line();
      await time.passWithPromises(10);
      subscription.unsubscribe();
      await time.passWithPromises(100); // proved at 100: the deadline is 194
      expect(log).toEqual([]);
      if (end === 'expired') store.expire(sessionIdOf(backend));
      const closed = backend.close();
      await time.passWithPromises(end === 'expired' ? 0 : 83);
      expect(log).toEqual(end === 'expired' ? ['next is granted'] : []);
      await time.passWithPromises(1);
      expect(log).toEqual(['next is granted']);
      await Promise.all([closed, next.close()]);
    }
  });

  it('errors with LockLost though the promise runs on', async () => {
    const { time, store, process, log, line, observer, next } = setUp();
    const work = deferred<string>();
    const backend = process();
    withLock(backend, 'l', () => work.promise).subscribe(observer);
    line();
    await time.passWithPromises(10);
    store.expire(sessionIdOf(backend));
    expect(log).toEqual(['LockLost', 'next is granted']);
    work.resolve('too late');
    await promises();
    expect(log).toEqual(['LockLost', 'next is granted']);
    await Promise.all([backend.close(), next.close()]);
  });

  it('settles, and tells its value, before close() has finished', async () => {
    const { time, process, log, line, observer, next } = setUp();
    const work = deferred<string>();
    const backend = process();
    withLock(backend, 'l', () => work.promise).subscribe(observer);
    line();
    await time.passWithPromises(10);
    const closed = backend.close().then(() => log.push('closed'));
    await time.passWithPromises(10);
    expect(log).toEqual([]);
    work.resolve('done');
    await closed;
    expect(log.slice().sort()).toEqual(['closed', 'complete', 'done', 'next is granted']);
    expect(log.at(-1)).toBe('closed');
    await next.close();
  });

  it('does not keep close() beyond the deadline, at which LockLost is told, before the next is granted', async () => {
    for (const settles of [false, true]) {
      const { time, process, log, line, observer, next } = setUp();
      const work = deferred<string>();
      const backend = process();
      withLock(backend, 'l', () => work.promise).subscribe(observer);
      line();
      await time.passWithPromises(10);
      const closed = backend.close().then(() => log.push('closed'));
      await time.passWithPromises(84);
      expect(log).toEqual(['LockLost', 'next is granted', 'closed']);
      if (settles) work.resolve('too late');
      await time.passWithPromises(200);
      await closed;
      expect(log).toEqual(['LockLost', 'next is granted', 'closed']);
      await next.close();
    }
  });

  it('is told of a loss while close() waits for it: what it resolves with after that is dropped', async () => {
    for (const how of ['expired', 'broken'] as const) {
      const { time, store, process, log, line, observer, next } = setUp();
      const work = deferred<string>();
      const backend = process();
      withLock(backend, 'l', () => work.promise).subscribe(observer);
      line();
      await time.passWithPromises(10);
      const closed = backend.close();
      await time.passWithPromises(10);
      if (how === 'expired') store.expire(sessionIdOf(backend));
      else breakLock(next, 'l').subscribe();
      await time.passWithPromises(1);
      expect([...log].sort()).toEqual(['LockLost', 'next is granted']);
      work.resolve('too late');
      await time.passWithPromises(100);
      await closed;
      expect(log).toHaveLength(2);
      await next.close();
    }
  });

  it.each([
    ['an object', () => ({})],
    ['a function', () => () => undefined],
  ])('takes anything with a then for a promise: %s', async (_, made) => {
    const { time, process, log, line, observer, next } = setUp();
    const backend = process();
    const work = deferred<string>();
    // biome-ignore lint/suspicious/noThenProperty: that is what is tested
    const then = { then: work.promise.then.bind(work.promise) };
    const thenable = Object.assign(made(), then) as PromiseLike<string>;
    const subscription = withLock(backend, 'l', () => thenable).subscribe(observer);
    line();
    await time.passWithPromises(10);
    subscription.unsubscribe();
    await time.passWithPromises(10);
    expect(log).toEqual([]);
    work.resolve('done');
    await promises();
    expect(log).toEqual(['next is granted']);
    await Promise.all([backend.close(), next.close()]);
  });

  it('leaves nobody in line', async () => {
    const { process, next } = setUp();
    const backend = process();
    const lengths: number[] = [];
    holders(next, 'l')
      .pipe(map((held) => held.length))
      .subscribe((length) => lengths.push(length));
    withLock(backend, 'l', () => Promise.resolve(1)).subscribe();
    await promises();
    expect(lengths).toEqual([0, 1, 0]);
    await Promise.all([backend.close(), next.close()]);
  });
});

describe('withLock over what goes on by itself', () => {
  const gate = (): { opened: Promise<void>; open: () => void } => {
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    return { opened, open };
  };

  it('the step of an async iterable that is under way ends before the next one has the lock', async () => {
    const backend = memory();
    const seen: string[] = [];
    const [begun, step, cleaning] = [gate(), gate(), gate()];
    const steps = async function* (): AsyncGenerator<number> {
      try {
        begun.open();
        await step.opened;
        seen.push('step ended');
        yield 1;
      } finally {
        await cleaning.opened;
        seen.push('cleaned up');
      }
    };
    const working = withLock(backend, 'ledger', steps).subscribe(() => seen.push('emitted'));
    const next = firstValueFrom(lock(backend, 'ledger')).then(() => seen.push('next'));
    await begun.opened;
    working.unsubscribe();
    step.open();
    cleaning.open();
    await next;
    expect(seen).toEqual(['step ended', 'cleaned up', 'next']);
    await backend.close();
  });

  it('an async iterator that cannot be asked to end is waited for', async () => {
    const backend = memory();
    const seen: string[] = [];
    const step = gate();
    const iterable: AsyncIterable<number> = {
      [Symbol.asyncIterator]: () => ({
        next: async () => {
          await step.opened;
          seen.push('step ended');
          return { done: false, value: 1 };
        },
      }),
    };
    const working = withLock(backend, 'ledger', () => iterable).subscribe();
    const next = firstValueFrom(lock(backend, 'ledger')).then(() => seen.push('next'));
    working.unsubscribe();
    step.open();
    await next;
    expect(seen).toEqual(['step ended', 'next']);
    await backend.close();
  });

  /** Takes the first step of an iterator under the lock; no time goes by, so the deadline never releases it. */
  const firstStep = async (iterator: Partial<AsyncIterator<number>>): Promise<boolean> => {
    const time = new ManualTime();
    const backend = memory({ store: new MemoryStore(time), scheduler: time });
    const iterable = { [Symbol.asyncIterator]: () => iterator as AsyncIterator<number> };
    withLock(backend, 'ledger', () => iterable)
      .pipe(take(1))
      .subscribe({ error: () => undefined });
    await promises();
    let isReleased = false;
    tryLock(backend, 'ledger').subscribe((taken) => {
      isReleased = isRight(taken);
    });
    time.pass(1);
    return isReleased;
  };

  it('no step is begun for one who has unsubscribed in the last, and the lock is released at once', async () => {
    const next = vi.fn(async () => ({ done: false, value: 1 }));
    expect(await firstStep({ next })).toBe(true);
    expect(next).toHaveBeenCalledTimes(1);
  });

  it('an async iterator is asked to end once, and is waited for', async () => {
    const cleaning = gate();
    const end = vi.fn(async () => {
      await cleaning.opened;
      return { done: true as const, value: undefined };
    });
    expect(await firstStep({ next: async () => ({ done: false, value: 1 }), return: end })).toBe(false);
    cleaning.open();
    expect(end).toHaveBeenCalledTimes(1);
  });

  it('an async iterator is asked to end once, though its step ends after that', async () => {
    const step = gate();
    const end = vi.fn(async () => ({ done: true as const, value: undefined }));
    const next = async (): Promise<IteratorResult<number>> => {
      await step.opened;
      return { done: false, value: 1 };
    };
    const time = new ManualTime();
    const backend = memory({ store: new MemoryStore(time), scheduler: time });
    withLock(backend, 'ledger', () => ({ [Symbol.asyncIterator]: () => ({ next, return: end }) }))
      .subscribe()
      .unsubscribe();
    step.open();
    await promises();
    expect(end).toHaveBeenCalledTimes(1);
  });

  it('an async iterator that has ended or failed is not asked to end', async () => {
    const end = vi.fn(async () => ({ done: true as const, value: undefined }));
    expect(await firstStep({ next: async () => ({ done: true, value: undefined }), return: end })).toBe(true);
    const failing = async (): Promise<never> => {
      throw new Error('the disk is full');
    };
    expect(await firstStep({ next: failing, return: end })).toBe(true);
    expect(end).not.toHaveBeenCalled();
  });

  it('an async iterator that cannot be asked to end is waited for, and then releases at once', async () => {
    const time = new ManualTime();
    const backend = memory({ store: new MemoryStore(time), scheduler: time });
    const step = gate();
    const next = async (): Promise<IteratorResult<number>> => {
      await step.opened;
      return { done: false, value: 1 };
    };
    let isNext = false;
    const working = withLock(backend, 'ledger', () => ({ [Symbol.asyncIterator]: () => ({ next }) })).subscribe();
    lock(backend, 'ledger').subscribe(() => {
      isNext = true;
    });
    working.unsubscribe();
    await promises();
    expect(isNext).toBe(false);
    step.open();
    await promises();
    time.pass(1);
    expect(isNext).toBe(true);
  });

  it('an async iterable that throws where it should give a promise is an error, and releases at once', async () => {
    const broken = (): never => {
      throw new Error('no iterator');
    };
    expect(await firstStep({ next: broken })).toBe(true);
    expect(await firstStep({ next: async () => ({ done: false, value: 1 }), return: broken })).toBe(true);
    let steps = 0;
    const later = (): Promise<IteratorResult<number>> =>
      ++steps === 1 ? Promise.resolve({ done: false, value: 1 }) : broken();
    const time = new ManualTime();
    const backend = memory({ store: new MemoryStore(time), scheduler: time });
    for (const iterator of [broken, () => ({ next: broken }), () => ({ next: later })]) {
      const seen: unknown[] = [];
      withLock(backend, 'ledger', () => ({ [Symbol.asyncIterator]: iterator })).subscribe({
        error: (error) => seen.push(error.message),
      });
      await promises();
      expect(seen).toEqual(['no iterator']);
      tryLock(backend, 'ledger')
        .pipe(take(1))
        .subscribe((taken) => seen.push(isRight(taken)));
      time.pass(1);
      expect(seen).toEqual(['no iterator', true]);
    }
  });

  it('closing the backend completes over an async iterable without waiting for its end', async () => {
    const time = new ManualTime();
    const backend = memory({ store: new MemoryStore(time), scheduler: time });
    const ended = gate();
    const steps = async function* (): AsyncGenerator<number> {
      await ended.opened;
      yield 1;
    };
    const seen: string[] = [];
    withLock(backend, 'ledger', steps).subscribe({
      next: () => seen.push('emitted'),
      complete: () => seen.push('end'),
    });
    const closed = backend.close();
    expect(seen).toEqual(['end']);
    ended.open();
    await time.passWithPromises(1);
    await closed;
    expect(seen).toEqual(['end']);
  });

  it('takes whatever RxJS subscribes to: text, and what has a `then` that is no function', async () => {
    const backend = memory();
    const all = <T>(work: ObservableInput<T>): Promise<T[]> =>
      lastValueFrom(withLock(backend, 'ledger', () => work).pipe(toArray()));
    expect(await all('ab')).toEqual(['a', 'b']);
    // biome-ignore lint/suspicious/noThenProperty: this is what must not be taken for a promise.
    expect(await all(Object.assign([1, 2], { then: 'later' }))).toEqual([1, 2]);
    await backend.close();
  });

  it('an async iterable that fails or ends releases, and says so', async () => {
    const backend = memory();
    const failing = async function* (): AsyncGenerator<number> {
      yield 1;
      throw new Error('the disk is full');
    };
    await expect(lastValueFrom(withLock(backend, 'ledger', failing))).rejects.toThrow('the disk is full');
    const ending = async function* (): AsyncGenerator<number> {
      yield* [1, 2];
    };
    expect(await lastValueFrom(withLock(backend, 'ledger', ending))).toBe(2);
    expect((await firstValueFrom(lock(backend, 'ledger'))).isValid()).toBe(false);
    await backend.close();
  });

  it('work that gives nothing to subscribe to is an error, and releases', async () => {
    const backend = memory();
    await expect(lastValueFrom(withLock(backend, 'ledger', (() => undefined) as never))).rejects.toThrow(TypeError);
    await firstValueFrom(lock(backend, 'ledger'));
    await backend.close();
  });
});
