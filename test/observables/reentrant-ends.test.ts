import {
  concat,
  finalize,
  fromEvent,
  map,
  merge,
  NEVER,
  Observable,
  of,
  ReplaySubject,
  Subject,
  Subscription,
  share,
  takeUntil,
  timer,
} from 'rxjs';
import { describe, expect, test, vi } from 'vitest';
import type { Backend, Codec } from '../../src/backends/backend.js';
import { type MemoryOptions, MemoryStore, memory } from '../../src/backends/memory/index.js';
import { jsonCodec } from '../../src/backends/shared/codec.js';
import { onDueCheck } from '../../src/backends/validity.js';
import { campaign } from '../../src/observables/elections/campaign.js';
import { candidates } from '../../src/observables/elections/candidates.js';
import { leader } from '../../src/observables/elections/leader.js';
import { leadership } from '../../src/observables/elections/leadership.js';
import { join } from '../../src/observables/groups/join.js';
import { memberMap } from '../../src/observables/groups/member-map.js';
import { members } from '../../src/observables/groups/members.js';
import type { Grant } from '../../src/observables/holding/grant.js';
import { breakLock } from '../../src/observables/locks/break-lock.js';
import { holders } from '../../src/observables/locks/holders.js';
import { lock } from '../../src/observables/locks/lock.js';
import { tryLock } from '../../src/observables/locks/try-lock.js';
import { withLock } from '../../src/observables/locks/with-lock.js';
import { membershipChanges } from '../../src/operators/membership-changes.js';
import { retryWithBackoff } from '../../src/operators/retry-with-backoff.js';
import { settled } from '../../src/operators/settled.js';
import { whileLeader } from '../../src/operators/while-leader.js';
import { whileLocked } from '../../src/operators/while-locked.js';
import { whileTrue } from '../../src/operators/while-true.js';
import { ManualTime, promises, QUICK, sessionIdOf, virtually } from '../support/virtual-time.js';

/** One store, any number of processes, and a log of what is told. */
function setUp() {
  const time = new ManualTime();
  const store = new MemoryStore(time);
  const backends: Backend[] = [];
  const log: unknown[] = [];
  return {
    time,
    store,
    log,
    process: (options: MemoryOptions = {}): Backend => {
      const backend = memory({ ...QUICK, store, scheduler: time, ...options });
      backends.push(backend);
      return backend;
    },
    observer: {
      next: (value: unknown) => log.push(value),
      error: (error: Error) => log.push(error.name),
      complete: () => log.push('complete'),
    },
    /** Every entry has gone, and so has every timer. */
    endAll: async () => {
      const closing = Promise.all(backends.map((backend) => backend.close()));
      await time.passWithPromises(200);
      await closing;
      expect(time.pending).toBe(0);
    },
  };
}

describe('withLock, whose work ends it while it is being made', () => {
  const ends = {
    'is unsubscribed from': ({ stopping }: Ending) => stopping.next(),
    'finds its backend closed': ({ backend }: Ending) => void backend.close(),
    'finds by isValid() that the lock is lost': ({ time, grant }: Ending) => {
      time.block(200);
      expect(grant.isValid()).toBe(false);
    },
    'finds its session expired': ({ store, backend, grant }: Ending) => {
      backend.session$.subscribe((session) => session.state === 'live' && store.expire(session.id)).unsubscribe();
      expect(grant.isValid()).toBe(false);
    },
    'was blocked beyond the deadline': ({ time }: Ending) => time.block(200),
  };
  interface Ending {
    /** Unsubscribes, however early. */
    readonly stopping: Subject<void>;
    readonly backend: Backend;
    readonly grant: Grant;
    readonly time: ManualTime;
    readonly store: MemoryStore;
  }
  const told: Record<keyof typeof ends, readonly string[]> = {
    'is unsubscribed from': ['complete'],
    'finds its backend closed': ['complete'],
    'finds by isValid() that the lock is lost': ['LockLost'],
    'finds its session expired': ['LockLost'],
    'was blocked beyond the deadline': ['LockLost'],
  };
  const names = Object.keys(ends) as (keyof typeof ends)[];

  for (const isFree of [true, false]) {
    test.each(names)(
      `the Observable that it makes is never subscribed to: it %s (${isFree ? '' : 'not '}free)`,
      async (how) => {
        const { time, store, process, log, observer, endAll } = setUp();
        const [before, backend, after] = [process(), process(), process()];
        const first = isFree ? Subscription.EMPTY : lock(before, 'l').subscribe();
        let isBegun = false;
        const work = new Observable<never>(() => {
          isBegun = true;
        });
        const stopping = new Subject<void>();
        withLock(backend, 'l', (grant) => {
          ends[how]({ stopping, backend, grant, time, store });
          return work;
        })
          .pipe(takeUntil(stopping))
          .subscribe(observer);
        first.unsubscribe();
        await promises();
        expect(isBegun).toBe(false);
        expect(log).toEqual(told[how]);
        lock(after, 'l').subscribe(() => log.push('next'));
        await time.passWithPromises(250);
        expect(log).toEqual([...told[how], 'next']);
        await endAll();
      },
    );
  }

  test.each(names)('an async iterable that it makes is never iterated over: it %s', async (how) => {
    const { time, store, process, log, observer, endAll } = setUp();
    const [backend, after] = [process(), process()];
    const iterator = vi.fn();
    const stopping = new Subject<void>();
    withLock(backend, 'l', (grant): AsyncIterable<never> => {
      ends[how]({ stopping, backend, grant, time, store });
      return { [Symbol.asyncIterator]: iterator };
    })
      .pipe(takeUntil(stopping))
      .subscribe(observer);
    lock(after, 'l').subscribe(() => log.push('next'));
    await time.passWithPromises(250);
    expect(iterator).not.toHaveBeenCalled();
    expect(log).toEqual([...told[how], 'next']);
    await endAll();
  });

  test('a promise that runs already holds the lock until it has settled, and its value is told only where one listens', async () => {
    for (const how of ['is unsubscribed from', 'finds its backend closed'] as const) {
      const { time, store, process, log, observer, endAll } = setUp();
      const [backend, after] = [process(), process()];
      const done = new Subject<void>();
      const stopping = new Subject<void>();
      withLock(backend, 'l', async (grant) => {
        ends[how]({ stopping, backend, grant, time, store });
        await new Promise<void>((resolve) => done.subscribe({ complete: resolve }));
        log.push('settled');
        return 'value';
      })
        .pipe(takeUntil(stopping))
        .subscribe(observer);
      lock(after, 'l').subscribe(() => log.push('next'));
      await time.passWithPromises(40);
      expect(log).not.toContain('next');
      done.complete();
      await time.passWithPromises(1);
      expect(log).toEqual(
        how === 'is unsubscribed from' ? ['complete', 'settled', 'next'] : ['settled', 'value', 'complete', 'next'],
      );
      await endAll();
    }
  });

  test('a promise that fails after the loss escapes nowhere, and what begins with its `then` is not begun', async () => {
    const { time, store, process, log, observer, endAll } = setUp();
    const backend = process();
    const then = vi.fn();
    const lazy = { then } as unknown as PromiseLike<string>;
    for (const made of [() => Promise.reject(new Error('nobody listens')), () => lazy])
      withLock(backend, 'l', (grant) => {
        ends['finds its session expired']({ stopping: new Subject(), backend, grant, time, store });
        return made();
      }).subscribe(observer);
    await time.passWithPromises(250);
    expect(log).toEqual(['LockLost', 'LockLost']);
    expect(then).not.toHaveBeenCalled();
    await endAll();
  });

  test('a promise that fails is no failed release: also one that fails when its lock was lost', async () => {
    for (const isLost of [true, false]) {
      const { time, store, process, log, observer, endAll } = setUp();
      const backend = process();
      const faults: unknown[] = [];
      backend.faults$.subscribe((fault) => faults.push(fault));
      withLock(backend, 'l', () => {
        if (isLost) store.expire(sessionIdOf(backend));
        return Promise.reject(new RangeError('no'));
      }).subscribe(observer);
      await time.passWithPromises(250);
      expect([log, faults]).toEqual([[isLost ? 'LockLost' : 'RangeError'], []]);
      await endAll();
    }
  });

  test('what begins with each call of its `then` is begun once', async () => {
    const { time, process, log, observer, endAll } = setUp();
    // biome-ignore lint/suspicious/noThenProperty: that is what is tested
    const query = { then: vi.fn((settle: (value: string) => void) => settle('row')) };
    withLock(process(), 'l', () => query as unknown as PromiseLike<string>).subscribe(observer);
    await time.passWithPromises(1);
    expect(log).toEqual(['row', 'complete']);
    expect(query.then).toHaveBeenCalledTimes(1);
    await endAll();
  });

  test('the lock is released only when the subscribing is over, and torn down, in whose midst one unsubscribed', async () => {
    for (const how of ['is unsubscribed from', 'finds its backend closed'] as const) {
      const { time, store, process, log, observer, endAll } = setUp();
      const [before, backend, after] = [process(), process(), process()];
      const first = lock(before, 'l').subscribe();
      const stopping = new Subject<void>();
      withLock(
        backend,
        'l',
        (grant) =>
          new Observable<never>(() => {
            ends[how]({ stopping, backend, grant, time, store });
            log.push('subscribed');
            return () => log.push('torn down');
          }),
      )
        .pipe(takeUntil(stopping))
        .subscribe(observer);
      lock(after, 'l').subscribe(() => log.push('next'));
      first.unsubscribe();
      await time.passWithPromises(5);
      expect(log).toEqual(['complete', 'subscribed', 'torn down', 'next']);
      await endAll();
    }
  });
});

describe('withLock whose work tells something because its signal aborts', () => {
  test.each(['evicted', 'session lost'] as const)('that comes after the loss: as LockLost, %s', async (reason) => {
    const { time, store, process, log, endAll } = setUp();
    const [mine, other] = [process(), process()];
    const reasons: unknown[] = [];
    withLock(mine, 'l', ({ signal }) =>
      fromEvent(signal, 'abort').pipe(
        map(() => {
          reasons.push(signal.reason);
          return 'late';
        }),
      ),
    ).subscribe({ next: (item) => log.push(item), error: (error) => log.push(error) });
    await time.passWithPromises(1);
    if (reason === 'session lost') store.expire(sessionIdOf(mine));
    else breakLock(other, 'l').subscribe();
    await time.passWithPromises(1);
    expect(log).toEqual([expect.objectContaining({ _tag: 'LockLost', reason })]);
    expect(log).toEqual(reasons);
    await endAll();
  });
});

describe('withLock after a blocked event loop', () => {
  test('what the work tells then, an item, its end, a promise, comes after the loss: as LockLost', async () => {
    const works: readonly ((told: Subject<string>) => Observable<string> | Promise<string>)[] = [
      (told) => told,
      (told) => new Promise((resolve) => told.subscribe({ next: resolve, complete: () => resolve('end') })),
    ];
    for (const work of works)
      for (const tell of [(told: Subject<string>) => told.next('item'), (told: Subject<string>) => told.complete()]) {
        const { time, process, log, observer, endAll } = setUp();
        const told = new Subject<string>();
        withLock(process(), 'l', () => work(told)).subscribe(observer);
        await time.passWithPromises(1);
        time.block(200);
        tell(told);
        await promises();
        expect(log).toEqual(['LockLost']);
        await endAll();
      }
  });
});

describe('gates, whose source or whose observer ends or turns them in the midst of it', () => {
  test('a source that turns the gate while it is subscribed to, or torn down, never runs twice at once', () => {
    for (const when of ['subscribed to', 'torn down', 'torn down after its end'] as const) {
      const gate = new Subject<boolean>();
      const turn = (): void => {
        gate.next(false);
        gate.next(true);
      };
      let [running, most, runs] = [0, 0, 0];
      const source = new Observable<never>((subscriber) => {
        const isFirst = ++runs === 1;
        running++;
        most = Math.max(most, running);
        if (when === 'subscribed to' && isFirst) turn();
        if (when === 'torn down after its end' && isFirst) subscriber.complete();
        return () => {
          if (when !== 'subscribed to' && isFirst) turn();
          running--;
        };
      });
      const subscription = source.pipe(whileTrue(gate)).subscribe();
      gate.next(true);
      if (when === 'torn down') gate.next(false);
      expect([when, runs, running, most]).toEqual([when, 2, 1, 1]);
      subscription.unsubscribe();
      expect(running).toBe(0);
    }
  });

  test('one who closes a gate for good while its source is torn down sees no other run', () => {
    for (const onLoss of ['complete', 'error'] as const) {
      const gate = new Subject<boolean>();
      let runs = 0;
      const source = new Observable<never>(() => {
        runs++;
        return () => gate.next(true);
      });
      source.pipe(whileTrue(gate, { onLoss })).subscribe({ error: () => undefined });
      gate.next(true);
      gate.next(false);
      expect(runs).toBe(1);
    }
  });

  test('a loss is told when the source is torn down, though the gate turns and turns back meanwhile', () => {
    for (const onLoss of ['complete', 'error'] as const) {
      const gate = new Subject<boolean>();
      const log: string[] = [];
      const source = new Observable<never>(() => () => {
        gate.next(true);
        gate.next(false);
        log.push('torn down');
      });
      const told = (): unknown => log.push('told');
      source.pipe(whileTrue(gate, { onLoss })).subscribe({ error: told, complete: told });
      gate.next(true);
      gate.next(false);
      expect(log).toEqual(['torn down', 'told']);
    }
  });

  test.each(['resubscribe', 'complete', 'error'] as const)(
    'a gate that is closed again, or that one leaves, while it is asked has not opened: %s',
    (onLoss) => {
      for (const act of ['close', 'leave'] as const)
        for (const asked of ['the clock', 'isOpen'] as const) {
          const gate = new Subject<boolean>();
          const leaving = new Subject<void>();
          const log: string[] = [];
          const end = (): void => (act === 'close' ? gate.next(false) : leaving.next());
          const forget = asked === 'the clock' ? onDueCheck(end) : (): void => undefined;
          const isOpen = (): boolean => {
            if (asked === 'isOpen') end();
            return true;
          };
          const source = new Observable<never>(() => {
            log.push('subscribed to');
          });
          const told = (): unknown => log.push('told');
          const gated = source.pipe(whileTrue(gate, { onLoss, isOpen })).subscribe({ error: told, complete: told });
          gated.add(leaving.subscribe(() => gated.unsubscribe()));
          gate.next(true);
          forget();
          expect([act, asked, log, gate.observed]).toEqual([act, asked, [], act === 'close']);
          gated.unsubscribe();
        }
    },
  );

  test('an item does not pass a gate that closes while it is asked', () => {
    const gate = new Subject<boolean>();
    const log: unknown[] = [];
    let isAsked = false;
    const isOpen = (): boolean => {
      if (isAsked) gate.next(false);
      return true;
    };
    const source = new Subject<string>();
    source.pipe(whileTrue(gate, { isOpen })).subscribe((item) => log.push(item));
    gate.next(true);
    source.next('passes');
    isAsked = true;
    source.next('does not');
    expect(log).toEqual(['passes']);
    expect(source.observed).toBe(false);
  });

  test('the error of a source is told though its teardown closes the gate', () => {
    const gate = new Subject<boolean>();
    const log: unknown[] = [];
    const source = new Observable<never>((subscriber) => {
      subscriber.error(new Error('the disk is full'));
      return () => gate.next(false);
    });
    source.pipe(whileTrue(gate)).subscribe({ error: (error) => log.push(error.message) });
    gate.next(true);
    expect(log).toEqual(['the disk is full']);
  });

  test('who unsubscribes while the source is subscribed to steps down when it is torn down, not before', () => {
    const log: string[] = [];
    const opened = new Subject<boolean>();
    const gate = opened.pipe(finalize(() => log.push('stepped down')));
    const subscription = new Observable<never>(() => {
      subscription.unsubscribe();
      log.push('subscribed');
      return () => log.push('torn down');
    })
      .pipe(whileTrue(gate))
      .subscribe();
    opened.next(true);
    expect(log).toEqual(['subscribed', 'torn down', 'stepped down']);
    expect(opened.observed).toBe(false);
  });

  test('a gate asks before it opens: no source is subscribed to where a loss is due', () => {
    for (const kind of ['leadership', 'lock'] as const)
      virtually(({ process, block, at, cold, expectSubscriptions }) => {
        const shared = <T>(state$: Observable<T>): Observable<T> =>
          state$.pipe(share({ connector: () => new ReplaySubject(1), resetOnRefCountZero: true }));
        const [leads$, held$] = [shared(leadership(process(), 'x')), shared(lock(process(), 'x'))];
        const told: unknown[] = [];
        const tell = { next: () => undefined, error: (error: Error) => told.push(error.name) };
        merge(kind === 'lock' ? held$ : leads$).subscribe({ error: () => undefined });
        const source = cold('x');
        at(41, () => {
          block(100);
          if (kind === 'lock') source.pipe(whileLocked(held$)).subscribe(tell);
          else source.pipe(whileLeader(leads$), takeUntil(timer(1))).subscribe(tell);
          expect(told).toEqual(kind === 'lock' ? ['LockLost'] : []);
        });
        expectSubscriptions(source.subscriptions).toBe([]);
      });
  });

  test('the end of a source does not count where a loss is due', () => {
    virtually(({ process, block, at, expectObservable, cold }) => {
      at(41, () => block(100));
      const output = () => cold('5ms a 39ms |');
      expectObservable(output().pipe(whileLeader(leadership(process(), 'e'), { onLoss: 'error' }))).toBe(
        '5ms a 39ms #',
        undefined,
        expect.objectContaining({ _tag: 'GateClosed' }),
      );
      expectObservable(output().pipe(whileLocked(lock(process(), 'l')))).toBe(
        '5ms a 39ms #',
        undefined,
        expect.objectContaining({ _tag: 'LockLost' }),
      );
    });
  });
});

describe('guarded work that closes its backend while it is being torn down', () => {
  type Guard = (backend: Backend, source: Observable<never>) => Observable<unknown>;
  const guards: Readonly<Record<string, Guard>> = {
    whileLocked: (backend, source) => source.pipe(whileLocked(lock(backend, 'l'))),
    'whileTrue of a lock': (backend, source) => source.pipe(whileTrue(lock(backend, 'l').pipe(map(() => true)))),
    withLock: (backend, source) => withLock(backend, 'l', () => source),
  };
  const ends: readonly string[] = ['one unsubscribes', 'it completes', 'it errors'];

  test.each(Object.entries(guards).flatMap(([name, guard]) => ends.map((end) => ({ name, guard, end }))))(
    '$name: nobody else is admitted before that is over, when $end',
    async ({ guard, end }) => {
      const { time, process, log, endAll } = setUp();
      const [mine, other] = [process(), process()];
      const stop = new Subject<never>();
      const source = new Observable<never>((subscriber) => {
        subscriber.add(stop.subscribe(subscriber));
        return () => {
          void mine.close();
          log.push('torn down');
        };
      });
      const guarded = guard(mine, source).subscribe({ error: () => undefined });
      lock(other, 'l').subscribe(() => log.push('another is admitted'));
      time.pass(5);
      expect(log).toEqual([]);
      if (end === 'one unsubscribes') guarded.unsubscribe();
      else if (end === 'it completes') stop.complete();
      else stop.error(new Error('failed'));
      expect(log).toEqual(['torn down', 'another is admitted']);
      await endAll();
    },
  );
});

describe('a codec that ends what it works for', () => {
  /** Does something the first time it is called. */
  const codecThat = (act: () => void): Codec => {
    let isDone = false;
    const once = <T>(value: T): T => {
      if (!isDone) {
        isDone = true;
        act();
      }
      return value;
    };
    return {
      encode: (value) => once(jsonCodec.encode(value)),
      decode: (bytes) => once(jsonCodec.decode(bytes)),
    };
  };
  const standing: Readonly<Record<string, (backend: Backend) => Observable<unknown>>> = {
    lock: (backend) => lock(backend, 'x', { data: 1 }),
    tryLock: (backend) => tryLock(backend, 'x', { data: 1 }),
    withLock: (backend) => withLock(backend, 'x', () => NEVER, { data: 1 }),
    campaign: (backend) => campaign(backend, 'x', { data: 1 }),
    leadership: (backend) => leadership(backend, 'x', { data: 1 }),
    join: (backend) => join(backend, 'x', { capabilities: 1, create: true }),
    'join with changing capabilities': (backend) =>
      join(backend, 'x', { capabilities: concat(of(1), NEVER), create: true }),
  };
  const looking: Readonly<Record<string, (backend: Backend) => Observable<unknown>>> = {
    holders: (backend) => holders(backend, 'x'),
    candidates: (backend) => candidates(backend, 'x'),
    leader: (backend) => leader(backend, 'x'),
    memberMap: (backend) => memberMap(backend, 'x'),
    members: (backend) => members(backend, 'x').pipe(membershipChanges(), settled(0)),
  };

  test.each(Object.entries(standing))('closes the backend: %s leaves nobody in line', async (_, stand) => {
    const { time, process, observer, log, endAll } = setUp();
    const backend: Backend = process({ codec: codecThat(() => void backend.close()) });
    stand(backend).subscribe(observer);
    await time.passWithPromises(1);
    expect(log.filter((line) => line !== false && !(typeof line === 'object'))).toEqual(['BackendClosed']);
    await expectFree(process(), time);
    await endAll();
  });

  test.each(Object.entries(standing))('unsubscribes: %s leaves nobody in line', async (_, stand) => {
    const { time, process, observer, log, endAll } = setUp();
    const stopping = new Subject<void>();
    const backend = process({ codec: codecThat(() => stopping.next()) });
    time.schedule(() => {
      stand(backend).pipe(takeUntil(stopping)).subscribe(observer);
    }, 1);
    await time.passWithPromises(3);
    expect(log.filter((line) => line !== false && !(typeof line === 'object'))).toEqual(['complete']);
    await expectFree(process(), time);
    await endAll();
  });

  test.each(Object.entries(looking))('closes the backend as it reads: %s comes to its end', async (_, look) => {
    const { time, process, observer, log, endAll } = setUp();
    const other = process();
    for (const stand of Object.values(standing).slice(2, 6)) stand(other).subscribe({ error: () => undefined });
    const backend: Backend = process({ codec: codecThat(() => void backend.close()) });
    look(backend).subscribe(observer);
    await time.passWithPromises(1);
    expect(log).toHaveLength(1);
    expect(['complete', 'BackendClosed']).toContain(log[0]);
    await endAll();
  });

  /** Nobody stands for the lock, in the election or in the group. */
  async function expectFree(backend: Backend, time: ManualTime): Promise<void> {
    const lengths: number[] = [];
    for (const kind of ['lock', 'election', 'group'] as const)
      backend.entries({ kind, name: 'x' }).subscribe((entries) => lengths.push(entries.length));
    await time.passWithPromises(1);
    expect(lengths).toEqual([0, 0, 0]);
  }
});

describe('a backend that is closed by whoever is told of its end', () => {
  test('counts once: the memory store of that name lives on while another backend uses it', async () => {
    const backend = (): Backend => memory({ store: 'reentrant-ends' });
    const [first, second] = [backend(), backend()];
    const told$: readonly Observable<unknown>[] = [
      leadership(first, 'e'),
      lock(first, 'l'),
      members(first, 'g'),
      first.session$,
    ];
    for (const one$ of told$) one$.subscribe({ complete: () => void first.close() });
    const leads: string[] = [];
    leadership(second, 'e').subscribe((isLeader) => isLeader && leads.push('second'));
    await first.close();
    const third = backend();
    leadership(third, 'e').subscribe((isLeader) => isLeader && leads.push('third'));
    expect(leads).toEqual(['second']);
    await Promise.all([second.close(), third.close()]);
    const fourth = backend();
    leadership(fourth, 'e').subscribe((isLeader) => isLeader && leads.push('fourth'));
    expect(leads).toEqual(['second', 'third', 'fourth']);
    await fourth.close();
  });
});

describe('what decides about another try ends it', () => {
  test('`when` and `random` may unsubscribe, close, or throw', async () => {
    for (const which of ['when', 'random'] as const)
      for (const how of ['unsubscribe', 'close', 'throw'] as const) {
        const { time, process, observer, log, endAll } = setUp();
        const backend = process();
        const subscription = new Subscription();
        let tries = 0;
        const act = (): void => {
          if (how === 'unsubscribe') subscription.unsubscribe();
          if (how === 'close') void backend.close();
          if (how === 'throw') throw new RangeError('cannot decide');
        };
        const failing = new Observable<never>((subscriber) => {
          tries++;
          time.schedule(() => subscriber.error(new Error('failed')), 1);
        });
        subscription.add(
          failing
            .pipe(
              retryWithBackoff({
                tries: 3,
                delayMs: 1,
                scheduler: time,
                when: () => {
                  if (which === 'when') act();
                  return true;
                },
                random: () => {
                  if (which === 'random') act();
                  return 0;
                },
              }),
            )
            .subscribe(observer),
        );
        await time.passWithPromises(50);
        expect([which, how, log, tries]).toEqual([
          which,
          how,
          how === 'unsubscribe' ? [] : how === 'throw' ? ['RangeError'] : ['Error'],
          how === 'close' ? 3 : 1,
        ]);
        await endAll();
      }
  });
});
