import {
  catchError,
  concat,
  EMPTY,
  finalize,
  fromEvent,
  interval,
  map,
  NEVER,
  Observable,
  of,
  Subject,
  take,
  takeUntil,
  tap,
  throwError,
  timer,
} from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { AuthenticationFailed, BackendClosed, LeadershipLost, PlaceLost } from '../../src/backends/errors.js';
import { MemoryStore, memory } from '../../src/backends/memory/index.js';
import { leadership } from '../../src/observables/elections/leadership.js';
import { withLeadership } from '../../src/observables/elections/with-leadership.js';
import type { Grant } from '../../src/observables/holding/grant.js';
import { ManualTime, placeOf, promises, QUICK, scripted, sessionIdOf, virtually } from '../support/virtual-time.js';

const places = { w: placeOf(1n, false), a: placeOf(1n), b: placeOf(2n) };
const gone = new PlaceLost('election "e"', 'session lost');

describe('withLeadership', () => {
  it('does the work while it leads and completes with it, stepping down', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions, at }) => {
      const enter = cold('--w--a---', places);
      const work = cold('      -x-y-|');
      const backend = scripted({ enter }, scheduler);
      expectObservable(withLeadership(backend, 'e', () => work, { data: 'me' })).toBe('------x-y-|');
      expectSubscriptions(work.subscriptions).toBe('-----^----!');
      expectSubscriptions(enter.subscriptions).toBe('^---------!');
      at(20, () => {
        expect(backend.calls).toEqual(['enter election e']);
        expect(backend.requests).toMatchObject([
          { mode: 'exclusive', permits: 1, payload: new TextEncoder().encode('"me"'), onDrain: 'work' },
        ]);
      });
    });
  });

  it('never starts the work without the lead', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('--w------', places);
      const work = cold('x');
      expectObservable(
        withLeadership(scripted({ enter }, scheduler), 'e', () => work),
        '^-------!',
      ).toBe('');
      expectSubscriptions(work.subscriptions).toBe([]);
      expectSubscriptions(enter.subscriptions).toBe('^-------!');
    });
  });

  it('tears the work down at a loss, stands again, and begins it anew with the next grant', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const first = cold('--a---#', places, gone);
      const second = cold('     --w-b-----', places);
      const tokens: bigint[] = [];
      const work = cold('-x-y-z-|');
      const output = withLeadership(scripted({ enter: [first, second] }, scheduler), 'e', ({ token }) => {
        tokens.push(token);
        return work;
      });
      expectObservable(output.pipe(tap({ complete: () => expect(tokens).toEqual([1n, 2n]) }))).toBe(
        '---x-y-----x-y-z-|',
      );
      expectSubscriptions(work.subscriptions).toBe(['--^---!', '----------^------!']);
      expectSubscriptions(first.subscriptions).toBe('^-----!');
      expectSubscriptions(second.subscriptions).toBe('------^----------!');
    });
  });

  it('stands again when the place is lost before it was elected', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const lost = cold('--w#', places, gone);
      const backend = scripted({ enter: [lost, lost, cold('-a', places)] }, scheduler);
      expectObservable(withLeadership(backend, 'e', () => of('x'))).toBe('-------(x|)');
      expectSubscriptions(lost.subscriptions).toBe(['^--!', '---^--!']);
    });
  });

  it('completes at once with empty work, and never with work that never ends', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('-a----', places);
      expectObservable(withLeadership(scripted({ enter }, scheduler), 'e', () => EMPTY)).toBe('-|');
      expectObservable(
        withLeadership(scripted({ enter }, scheduler), 'e', () => NEVER),
        '^---!',
      ).toBe('');
      expectSubscriptions(enter.subscriptions).toBe(['^!', '^---!']);
    });
  });

  it('steps down when the work errors, throws, or tells errors of others as its own', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('-a------', places);
      const foreign = [new LeadershipLost('e', 1n, 'evicted'), new BackendClosed('another'), new Error('no')];
      for (const error of foreign)
        expectObservable(
          withLeadership(scripted({ enter }, scheduler), 'e', () => cold('-x-#', undefined, error)),
        ).toBe('--x-#', undefined, error);
      const throwing = withLeadership(scripted({ enter }, scheduler), 'e', () => {
        throw new Error('cannot');
      });
      expectObservable(throwing).toBe('-#', undefined, new Error('cannot'));
      expectSubscriptions(enter.subscriptions).toBe(['^---!', '^---!', '^---!', '^!']);
    });
  });

  it('passes what standing errors with', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const error = new AuthenticationFailed('scripted', 'nowhere');
      const backend = scripted({ enter: [cold('-a--#', places, gone), cold('--#', places, error)] }, scheduler);
      expectObservable(withLeadership(backend, 'e', () => NEVER)).toBe('------#', undefined, error);
    });
  });

  it('errors where the backend was closed before', async () => {
    const time = new ManualTime();
    const backend = memory({ ...QUICK, scheduler: time });
    await backend.close();
    const log: unknown[] = [];
    withLeadership(backend, 'e', () => NEVER).subscribe({
      error: (error) => log.push(error.name),
      complete: () => log.push('complete'),
    });
    time.pass(1);
    expect(log).toEqual(['BackendClosed']);
  });

  it('errors with what opening a session fails of while it waits for the promise of a lost lead', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const error = new AuthenticationFailed('scripted', 'nowhere');
      const backend = scripted(
        { enter: cold('-a-#', places, gone), session$: cold('--#', undefined, error) },
        scheduler,
      );
      expectObservable(withLeadership(backend, 'e', () => new Promise(() => undefined))).toBe(
        '-----#',
        undefined,
        error,
      );
    });
  });

  it('unsubscribes from the work first, then steps down, when unsubscribed from early', () => {
    const log: string[] = [];
    const enter = concat(of(places.a), NEVER).pipe(finalize(() => log.push('stepped down')));
    withLeadership(scripted({ enter }, new ManualTime()), 'e', () => NEVER.pipe(finalize(() => log.push('work ended'))))
      .subscribe()
      .unsubscribe();
    expect(log).toEqual(['work ended', 'stepped down']);
  });

  it('is a candidate of its own for each subscription', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('-a---', places);
      const output = withLeadership(scripted({ enter }, scheduler), 'e', () => cold('-x|'));
      expectObservable(output).toBe('--x|');
      expectObservable(output, '----^').toBe('------x|');
      expectSubscriptions(enter.subscriptions).toBe(['^--!', '----^--!']);
    });
  });

  it('refuses a name and options at the call', () => {
    virtually(({ scheduler }) => {
      const backend = scripted({}, scheduler);
      const work = (): Observable<never> => EMPTY;
      expect(() => withLeadership(backend, '', work)).toThrow(expect.objectContaining({ _tag: 'InvalidName' }));
      expect(() => withLeadership(backend, 'e', work, { waitMs: 1 } as never)).toThrow(
        expect.objectContaining({ _tag: 'InvalidOptions' }),
      );
      expect(backend.calls).toEqual([]);
    });
  });
});

describe('withLeadership over a store', () => {
  it('does not begin the work of the next before that of a partitioned leader has ended', () => {
    virtually(({ process, partition, heal, at, cold, expectObservable, expectSubscriptions }) => {
      const [first, second] = [process(), process()];
      const [ours, theirs] = [cold('-'), cold('-')];
      const reasons: unknown[] = [];
      const work = ({ signal }: Grant) => {
        signal.addEventListener('abort', () => reasons.push(signal.reason));
        return ours;
      };
      expectObservable(withLeadership(first, 'e', work), '^ 499ms !').toBe('');
      expectObservable(
        withLeadership(second, 'e', () => theirs),
        '1ms ^ 299ms !',
      ).toBe('');
      at(50, () => partition(first));
      at(200, () => heal(first));
      expectSubscriptions(ours.subscriptions).toBe(['^ 133ms !', '301ms ^ 198ms !']);
      expectSubscriptions(theirs.subscriptions).toBe('140ms ^ 160ms !');
      at(600, () =>
        expect(reasons).toMatchObject([
          { _tag: 'LeadershipLost', election: 'e', reason: 'session lost', cause: { _tag: 'SessionLost' } },
          { _tag: 'Released' },
        ]),
      );
    });
  });

  it('work that fails at once because its signal aborts is not a failure: it is begun again', () => {
    virtually(({ process, expire, at, expectObservable }) => {
      const backend = process();
      const work = ({ signal, token }: Grant) =>
        concat(
          of(token),
          new Observable<never>((subscriber) => {
            signal.addEventListener('abort', () => subscriber.error(signal.reason));
          }),
        );
      expectObservable(withLeadership(backend, 'e', work).pipe(map(() => 'x')), '^ 99ms !').toBe('x 24ms x');
      at(20, () => expire(backend));
    });
  });

  it('drops what the work tells because its signal aborts, and begins it again', () => {
    virtually(({ process, expire, at, expectObservable }) => {
      const backend = process();
      const work = ({ signal }: Grant) => concat(of('begun'), fromEvent(signal, 'abort').pipe(map(() => 'late')));
      expectObservable(withLeadership(backend, 'e', work), '^ 99ms !').toBe('b 24ms b', { b: 'begun' });
      at(20, () => expire(backend));
    });
  });

  it('drops what the work tells after a blocked event loop, and begins it again', async () => {
    const time = new ManualTime();
    const backend = memory({ ...QUICK, store: new MemoryStore(time), scheduler: time });
    const work = new Subject<string>();
    const log: unknown[] = [];
    withLeadership(backend, 'e', () => {
      log.push('begun');
      return work;
    }).subscribe({ next: (item) => log.push(item), error: (error) => log.push(error) });
    await time.passWithPromises(1);
    time.block(200);
    work.next('late');
    await time.passWithPromises(50);
    work.next('in time');
    expect(log).toEqual(['begun', 'begun', 'in time']);
    const closed = backend.close();
    await time.passWithPromises(200);
    await closed;
  });

  it('completes, with the work torn down, when the backend is closed, and hands over', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      expectObservable(withLeadership(first, 'e', () => interval(4))).toBe('----a---b-|', { a: 0, b: 1 });
      expectObservable(withLeadership(second, 'e', () => of('next'))).toBe('10ms (n|)', { n: 'next' });
      at(10, () => void first.close());
    });
  });

  it('CutByADeploy: leads on through a drain until the work is done, and then the next leads at once', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      const job = ({ signal }: Grant) => timer(300).pipe(map(() => (signal.aborted ? 'cut' : 'done')));
      expectObservable(withLeadership(first, 'e', job)).toBe('300ms (d|)', { d: 'done' });
      const steps = ({ draining }: Grant) => interval(40).pipe(takeUntil(fromEvent(draining, 'abort')));
      expectObservable(withLeadership(first, 'f', steps)).toBe('40ms a 9ms |', { a: 0 });
      expectObservable(withLeadership(first, 'g', () => NEVER)).toBe('650ms |');
      const leads = { f: false, t: true };
      for (const [election, marbles] of [
        ['e', 'f 299ms t'],
        ['f', 'f 49ms t'],
        ['g', 'f 649ms t'],
      ] as const)
        expectObservable(leadership(second, election), '^ 700ms !').toBe(marbles, leads);
      at(50, () => void first.close({ drainMs: 600 }));
    });
  });

  it('a candidate who waits leaves the line when its backend drains', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      leadership(second, 'e').subscribe();
      expectObservable(withLeadership(first, 'e', () => of('never'))).toBe('10ms |');
      at(10, () => void first.close({ drainMs: 600 }));
    });
  });

  it('who has lost the lead when it drains does not stand again, and completes', () => {
    virtually(({ process, partition, at, expectObservable }) => {
      const backend = process();
      expectObservable(withLeadership(backend, 'e', () => NEVER)).toBe('134ms |');
      at(50, () => partition(backend));
      at(60, () => void backend.close({ drainMs: 600 }));
      const closing = process();
      const closes = ({ signal }: Grant) => {
        signal.addEventListener('abort', () => void closing.close());
        return NEVER;
      };
      expectObservable(withLeadership(closing, 'f', closes)).toBe('134ms |');
      at(50, () => partition(closing));
    });
  });
});

/** Promises do not run in marbles: here time goes by step by step. */
describe('withLeadership with a promise', () => {
  const setUp = () => {
    const time = new ManualTime();
    const store = new MemoryStore(time);
    const process = (): Backend => memory({ ...QUICK, store, scheduler: time });
    const log: unknown[] = [];
    const observer = {
      next: (value: unknown) => log.push(value),
      error: (error: Error) => log.push(error.name),
      complete: () => log.push('complete'),
    };
    return { time, store, process, log, observer };
  };

  it('steps down when it has settled, not when it is unsubscribed from', async () => {
    const { time, process, log } = setUp();
    const [backend, other] = [process(), process()];
    let finish = (): void => undefined;
    const working = withLeadership(backend, 'e', () => new Promise<void>((done) => (finish = done))).subscribe();
    leadership(other, 'e').subscribe((leads) => log.push(leads));
    await time.passWithPromises(5);
    working.unsubscribe();
    await time.passWithPromises(300);
    expect(log).toEqual([false]);
    finish();
    await promises();
    expect(log).toEqual([false, true]);
    await Promise.all([backend.close(), other.close()]);
  });

  it('TwiceAtOnce: after a loss it does not stand again before the promise has settled', async () => {
    const { time, store, process, log } = setUp();
    const backend = process();
    const finishes: (() => void)[] = [];
    withLeadership(backend, 'e', () => {
      log.push('begun');
      // The second is lost while the work is being made: nobody begins it, but it runs.
      if (finishes.length === 1) store.expire(session);
      return new Promise<void>((done) => finishes.push(done));
    }).subscribe();
    let session = '';
    backend.session$.subscribe((now) => {
      if (now.state === 'live') session = now.id;
    });
    await time.passWithPromises(5);
    store.expire(session);
    await time.passWithPromises(200);
    expect(log).toHaveLength(1);
    finishes[0]?.();
    await time.passWithPromises(200);
    expect(log).toHaveLength(2);
    finishes[1]?.();
    await time.passWithPromises(200);
    expect(log).toHaveLength(3);
    const closed = backend.close();
    for (const finish of finishes) finish();
    await time.passWithPromises(100);
    await closed;
  });

  it('completes when its backend closes while it waits for a promise of a lost lead', async () => {
    for (const how of [undefined, { drainMs: 1_000 }]) {
      const { time, store, process, log, observer } = setUp();
      const backend = process();
      withLeadership(backend, 'e', () => new Promise<void>(() => undefined)).subscribe(observer);
      let session = '';
      backend.session$.subscribe((now) => {
        if (now.state === 'live') session = now.id;
      });
      store.expire(session);
      await time.passWithPromises(50);
      expect(log).toEqual([]);
      await backend.close(how);
      expect(log).toEqual(['complete']);
      expect(time.pending).toBe(0);
    }
  });

  it('completes when its backend begins to drain while it waits for a promise of a lost lead, though others work on', async () => {
    const { time, store, process, log, observer } = setUp();
    const backend = process();
    withLeadership(backend, 'e', () => new Promise<void>(() => undefined)).subscribe(observer);
    store.expire(sessionIdOf(backend));
    await time.passWithPromises(50);
    withLeadership(backend, 'f', () => NEVER).subscribe();
    const closed = backend.close({ drainMs: 1_000 });
    expect(log).toEqual(['complete']);
    await time.passWithPromises(1_100);
    await closed;
  });

  it('emits what it resolves with; what it rejects with is its error, unless the lead was lost', async () => {
    const { time, process, log, observer } = setUp();
    const backend = process();
    withLeadership(backend, 'e', async () => 'done').subscribe(observer);
    await promises();
    withLeadership(backend, 'e', () => Promise.reject(new RangeError('no'))).subscribe(observer);
    await time.passWithPromises(5);
    expect(log).toEqual(['done', 'complete', 'RangeError']);
    await backend.close();
  });
});

describe('one item of withLeadership', () => {
  it('is enough: nothing of the work goes on', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('-a----', places);
      const work = cold('x-y-z-');
      expectObservable(withLeadership(scripted({ enter }, scheduler), 'e', () => work).pipe(take(1))).toBe('-(x|)');
      expectSubscriptions(work.subscriptions).toBe('-(^!)');
      expectSubscriptions(enter.subscriptions).toBe(['^!', '^!']);
      const failing = withLeadership(scripted({ enter }, scheduler), 'e', () => throwError(() => 'no'));
      expectObservable(failing.pipe(catchError(() => EMPTY))).toBe('-|');
    });
  });
});
