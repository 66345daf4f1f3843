import { isRight } from 'fp-ts/lib/Either.js';
import { isSome } from 'fp-ts/lib/Option.js';
import {
  catchError,
  concat,
  concatMap,
  fromEvent,
  interval,
  map,
  merge,
  mergeMap,
  NEVER,
  type Observable,
  of,
  repeat,
  takeUntil,
  takeWhile,
  tap,
  timer,
} from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { MemoryStore, memory } from '../../src/backends/memory/index.js';
import { campaign } from '../../src/observables/elections/campaign.js';
import { leadership } from '../../src/observables/elections/leadership.js';
import { join } from '../../src/observables/groups/join.js';
import { members } from '../../src/observables/groups/members.js';
import type { Membership } from '../../src/observables/groups/membership.js';
import type { Grant } from '../../src/observables/holding/grant.js';
import { lock } from '../../src/observables/locks/lock.js';
import { lockAll } from '../../src/observables/locks/lock-all.js';
import { tryLock } from '../../src/observables/locks/try-lock.js';
import { withLock } from '../../src/observables/locks/with-lock.js';
import { status } from '../../src/observables/session/status.js';
import { whileLeader } from '../../src/operators/while-leader.js';
import { whileLocked } from '../../src/operators/while-locked.js';
import { ManualTime, promises, QUICK, virtually } from '../support/virtual-time.js';

const leads = { f: false, t: true };
/** Far longer than the 94 ms for which a session may be relied on that is not renewed. */
const DRAIN = { drainMs: 600 };

describe('a drain', () => {
  it('CutByADeploy: work under a lock that takes three lifetimes is done, its signal has not aborted, and the next follows at once', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      const grants: Grant[] = [];
      const job = (grant: Grant) => {
        grants.push(grant);
        return timer(300).pipe(map(() => (grant.isValid() && !grant.signal.aborted ? 'done' : 'cut')));
      };
      expectObservable(withLock(first, 'l', job)).toBe('300ms (d|)', { d: 'done' });
      expectObservable(withLock(second, 'l', () => of('next'))).toBe('300ms (n|)', { n: 'next' });
      at(10, () => void first.close(DRAIN));
      at(20, () => expect(grants[0]?.draining.reason).toMatchObject({ _tag: 'BackendClosed' }));
      at(301, () => expect(grants[0]?.signal.reason).toMatchObject({ _tag: 'Released' }));
    });
  });

  it('at drainMs the work is torn down, and its signal says that the backend is closed', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      const reasons: unknown[] = [];
      const job = ({ signal }: Grant) => {
        signal.addEventListener('abort', () => reasons.push(signal.reason));
        return interval(200);
      };
      expectObservable(withLock(first, 'l', job)).toBe('200ms a 199ms b 199ms c 9ms |', { a: 0, b: 1, c: 2 });
      expectObservable(withLock(second, 'l', () => of('next'))).toBe('610ms (n|)', { n: 'next' });
      at(10, () => void first.close(DRAIN));
      at(611, () => expect(reasons).toMatchObject([{ _tag: 'BackendClosed' }]));
    });
  });

  it('nothing new starts: who waits for a lock or stands in an election leaves the line, and repeats are refused', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second, third] = [process(), process(), process()];
      const held = lock(second, 'l').subscribe();
      const led = leadership(second, 'e').subscribe();
      expectObservable(withLock(first, 'l', () => of('never'))).toBe('10ms |');
      expectObservable(lock(first, 'l')).toBe('10ms |');
      expectObservable(leadership(first, 'e')).toBe('f 9ms |', leads);
      const step = withLock(first, 'busy', () => timer(100)).pipe(repeat());
      expectObservable(step).toBe('100ms (0#)', { 0: 0 }, expect.objectContaining({ _tag: 'BackendClosed' }));
      at(10, () => void first.close(DRAIN));
      at(20, () => {
        held.unsubscribe();
        led.unsubscribe();
      });
      expectObservable(
        withLock(third, 'l', () => of('next')),
        '5ms ^',
      ).toBe('20ms (n|)', { n: 'next' });
      expectObservable(leadership(third, 'e'), '5ms ^ 200ms !').toBe('5ms f 14ms t', leads);
      expectObservable(lock(first, 'other'), '15ms ^').toBe(
        '15ms #',
        undefined,
        expect.objectContaining({ _tag: 'BackendClosed' }),
      );
    });
  });

  it('SecondLock: work that takes another lock meanwhile is told that the backend drains, and what to do; once closed, that', () => {
    virtually(({ process, at, expectObservable }) => {
      const told = (work$: Observable<unknown>) => work$.pipe(catchError((error) => of(error.message)));
      const backend = process();
      const drains =
        'The memory backend drains: what has begun goes on, and nothing new begins. Take all that the work needs before it' +
        ' begins (`withLocks`, `lockAll`), or before `grant.draining` aborts.';
      const second$ = told(withLock(backend, 'second', () => of('never')));
      const all$ = told(lockAll(backend, ['second', 'third']));
      const outer$ = withLock(backend, 'first', () => timer(100).pipe(mergeMap(() => merge(second$, all$))));
      expectObservable(outer$).toBe('100ms (dd|)', { d: drains });
      expectObservable(second$, '200ms ^').toBe('200ms (c|)', {
        c: 'The memory backend is closed. Connect a new one.',
      });
      at(10, () => void backend.close(DRAIN));
    });
  });

  it('a leadership is false at once, and another leads, while work under a lock goes on', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      const reasons: unknown[] = [];
      campaign(first, 'f').subscribe((grant) => {
        if (isSome(grant)) grant.value.signal.addEventListener('abort', () => reasons.push(grant.value.signal.reason));
      });
      expectObservable(leadership(first, 'e')).toBe('(ft) 6ms (f|)', leads);
      expectObservable(leadership(second, 'e'), '^ 200ms !').toBe('f 9ms t', leads);
      expectObservable(withLock(first, 'l', () => timer(100))).toBe('100ms (0|)', { 0: 0 });
      at(10, () => void first.close(DRAIN));
      at(11, () => expect(reasons).toMatchObject([{ _tag: 'BackendClosed' }]));
    });
  });

  it('gates let no further item through: whileLeader and whileLocked complete, and let go of what opened them', () => {
    virtually(({ process, at, cold, expectObservable, expectSubscriptions }) => {
      const [first, second] = [process(), process()];
      const [led, locked] = [cold('----a----b----c'), cold('----a----b----c')];
      expectObservable(led.pipe(whileLeader(leadership(first, 'e')))).toBe('----a----b|');
      expectObservable(locked.pipe(whileLocked(lock(first, 'l')))).toBe('----a----b|');
      for (const onLoss of ['resubscribe', 'complete'] as const)
        expectObservable(cold('--x').pipe(whileLocked(lock(first, onLoss), { onLoss }))).toBe('--x-------|');
      for (const { subscriptions } of [led, locked]) expectSubscriptions(subscriptions).toBe('^---------!');
      withLock(first, 'busy', () => timer(100)).subscribe();
      expectObservable(withLock(second, 'l', () => of('next'))).toBe('10ms (n|)', { n: 'next' });
      at(10, () => void first.close(DRAIN));
    });
  });

  it('who holds a lock by subscribing holds it until it unsubscribes, is told, and is waited for until drainMs', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      const grants: Grant[] = [];
      const held = lock(first, 'l').subscribe((grant) => grants.push(grant));
      tryLock(first, 't').subscribe((tried) => isRight(tried) && grants.push(tried.right));
      at(10, () => void first.close(DRAIN));
      at(300, () => {
        expect(grants.map(({ signal, draining }) => [signal.aborted, draining.aborted])).toEqual([
          [false, true],
          [false, true],
        ]);
        expect(grants.map((grant) => grant.isValid())).toEqual([true, true]);
        held.unsubscribe();
      });
      expectObservable(withLock(second, 'l', () => of('l'))).toBe('300ms (l|)');
      expectObservable(withLock(second, 't', () => of('t'))).toBe('610ms (t|)');
    });
  });

  it('steps that heed `draining` come to an end before drainMs', () => {
    virtually(({ process, at, expectObservable }) => {
      const step = (at: number) => timer(30).pipe(map(() => at));
      const [first, second] = [process(), process()];
      const untilTold = ({ draining }: Grant) =>
        interval(50).pipe(takeUntil(fromEvent(draining, 'abort')), concatMap(step));
      expectObservable(withLock(first, 'l', untilTold)).toBe('80ms a 49ms (b|)', { a: 0, b: 1 });
      const whileNotTold = ({ draining }: Grant) =>
        interval(50).pipe(
          takeWhile(() => !draining.aborted),
          concatMap(step),
        );
      expectObservable(withLock(first, 'm', whileNotTold)).toBe('80ms a 49ms b 19ms |', { a: 0, b: 1 });
      expectObservable(withLock(second, 'l', () => of('next'))).toBe('130ms (n|)', { n: 'next' });
      at(110, () => void first.close(DRAIN));
    });
  });

  it('a member is one as long as the work goes on, and does not hold up the end', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second, idle] = [process(), process(), process()];
      const memberships: Membership[] = [];
      join(first, 'g', { id: 'm', create: true }).subscribe((one) => memberships.push(one));
      join(idle, 'g', { id: 'i', create: true }).subscribe((one) => memberships.push(one));
      expectObservable(members(second, 'g').pipe(map((ids) => [...ids].sort().join())), '5ms ^ 400ms !').toBe(
        '5ms a 4ms b 289ms c',
        { a: 'i,m', b: 'm', c: '' },
      );
      withLock(first, 'l', () => timer(300)).subscribe();
      at(10, () => {
        void first.close(DRAIN);
        void idle.close(DRAIN);
      });
      at(200, () => expect(memberships.map((one) => one.isValid())).toEqual([true, false]));
      at(301, () => {
        for (const { signal } of memberships) expect(signal.reason).toMatchObject({ _tag: 'BackendClosed' });
      });
    });
  });

  it('readiness says draining first, then closed', () => {
    virtually(({ process, at, expectObservable }) => {
      const backend = process();
      withLock(backend, 'l', () => timer(300)).subscribe();
      const words = { l: 'live', d: 'draining', z: 'closed' };
      const short$ = status(backend).pipe(map(({ state }) => state));
      expectObservable(short$).toBe('l 9ms d 289ms (z|)', words);
      expectObservable(short$, '50ms ^').toBe('50ms d 249ms (z|)', words);
      at(10, () => void backend.close(DRAIN));
    });
  });

  it('a lock that is lost meanwhile is told so, and is not acquired again', () => {
    virtually(({ process, at, partition, expectObservable }) => {
      const backend = process();
      expectObservable(withLock(backend, 'l', () => concat(of('begun'), NEVER))).toBe(
        'b 133ms #',
        { b: 'begun' },
        expect.objectContaining({ _tag: 'LockLost' }),
      );
      at(50, () => partition(backend));
      at(60, () => void backend.close(DRAIN));
    });
  });

  it('a drain of work that ends while another begins in the same turn lets nothing through', () => {
    virtually(({ process, at, expectObservable }) => {
      const backend = process();
      const log: string[] = [];
      const first = withLock(backend, 'l', () => timer(50).pipe(tap(() => void backend.close(DRAIN))));
      expectObservable(first).toBe('50ms (0|)', { 0: 0 });
      at(1, () => withLock(backend, 'l', () => of('begun')).subscribe((what) => log.push(what)));
      at(51, () => expect(log).toEqual([]));
    });
  });
});

/** Promises do not run in marbles: here time goes by step by step. */
describe('a drain with promises', () => {
  const setUp = () => {
    const time = new ManualTime();
    const store = new MemoryStore(time);
    const process = (): Backend => memory({ ...QUICK, store, scheduler: time });
    const sleep = (ms: number): Promise<void> => new Promise((done) => void time.schedule(() => done(), ms));
    return { time, process, sleep };
  };

  it('CutByADeploy: an async function that heeds its signal is done after three lifetimes, and the next follows at once', async () => {
    const { time, process, sleep } = setUp();
    const [backend, next] = [process(), process()];
    const log: unknown[] = [];
    withLock(backend, 'l', async ({ signal, isValid }) => {
      for (let step = 1; step <= 30; step++) {
        await sleep(10);
        signal.throwIfAborted();
      }
      return isValid();
    }).subscribe({
      next: (isValid) => log.push([time.now(), isValid]),
      error: (error) => log.push(error._tag),
      complete: () => log.push('complete'),
    });
    lock(next, 'l').subscribe(() => log.push([time.now(), 'next']));
    await time.passWithPromises(5);
    const closed = backend.close(DRAIN).then(() => log.push('closed'));
    await time.passWithPromises(300);
    await closed;
    expect(log).toEqual([[300, true], 'complete', [300, 'next'], 'closed']);
    await next.close();
  });

  it('one that is aborted at drainMs fails with the reason: it is not done', async () => {
    const { time, process, sleep } = setUp();
    const backend = process();
    const log: unknown[] = [];
    withLock(backend, 'l', async ({ signal }) => {
      for (;;) {
        await sleep(10);
        signal.throwIfAborted();
      }
    }).subscribe({ error: (error) => log.push([time.now(), error._tag]), complete: () => log.push('complete') });
    await time.passWithPromises(5);
    const closed = backend.close({ drainMs: 200 });
    await time.passWithPromises(220);
    await closed;
    await promises();
    expect(log).toEqual([[210, 'BackendClosed']]);
  });
});
