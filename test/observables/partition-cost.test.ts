import { defer, delay, finalize, map, NEVER, type Observable, type Subscription, tap } from 'rxjs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { RosterKey } from '../../src/backends/backend.js';
import { MemoryStore, memory } from '../../src/backends/memory/index.js';
import type { Store, StoreSession } from '../../src/backends/store.js';
import { withPartition } from '../../src/observables/sharing/with-partition.js';
import { ManualTime, QUICK } from '../support/virtual-time.js';

/** Nothing is renewed while it is counted. */
const PATIENT = { ...QUICK, ttlMs: 600_000, renewEveryMs: 200_000, requestTimeoutMs: 5_000 };
const ROUND_TRIP_MS = 1;
const LIMIT_MS = 120_000;

/** Answers a round trip later, and counts what is asked, and what those are told who follow something. */
class CountingStore extends MemoryStore {
  count = 0;
  /** The most locks that one process asked for, or released, at once. */
  most = { enter: 0, leave: 0 };

  constructor(private readonly time: ManualTime) {
    super(time);
  }

  override adapter(namespace?: string): Store {
    const store = super.adapter(namespace);
    return { ...store, open: (context) => store.open(context).pipe(map((session) => this.#counted(session))) };
  }

  #counted(session: StoreSession): StoreSession {
    const underWay = { enter: 0, leave: 0 };
    const asked = <T>(kind: 'enter' | 'leave', roster: RosterKey, answer$: Observable<T>): Observable<T> =>
      defer(() => {
        this.count += 1;
        const by = roster.kind === 'lock' ? 1 : 0;
        underWay[kind] += by;
        this.most[kind] = Math.max(this.most[kind], underWay[kind]);
        return answer$.pipe(
          delay(ROUND_TRIP_MS, this.time),
          finalize(() => {
            underWay[kind] -= by;
          }),
        );
      });
    const told = <T>(source: Observable<T>): Observable<T> =>
      source.pipe(
        tap(() => {
          this.count += 1;
        }),
      );
    return {
      ...session,
      enter: (roster, request) => asked('enter', roster, session.enter(roster, request)),
      leave: (roster, request, inDoubt) => asked('leave', roster, session.leave(roster, request, inDoubt)),
      place: (...args) => told(session.place(...args)),
      entries: (...args) => told(session.entries(...args)),
      cell: (...args) => told(session.cell(...args)),
      swap: (...args) => told(session.swap(...args)),
    };
  }
}

/** What it costs that a third member joins two, and that it leaves again. */
function costOf(items: number) {
  const time = new ManualTime();
  const store = new CountingStore(time);
  const names = Array.from({ length: items }, (_, i) => `item-${i}`);
  const owned = { a: 0, b: 0, c: 0 };
  let begun = 0;
  const come = (id: 'a' | 'b' | 'c'): Subscription => {
    const work = (): Observable<never> =>
      defer(() => {
        begun += 1;
        owned[id] += 1;
        return NEVER.pipe(
          finalize(() => {
            owned[id] -= 1;
          }),
        );
      });
    return withPartition(memory({ ...PATIENT, store, scheduler: time }), 'g', names, work, {
      id,
      settledMs: 20,
    }).subscribe();
  };
  const during = (act: () => void) => {
    const before = { count: store.count, begun };
    store.most = { enter: 0, leave: 0 };
    act();
    time.pass(5_000);
    return { count: store.count - before.count, moved: begun - before.begun, most: store.most, owned: { ...owned } };
  };
  during(() => {
    come('a');
    come('b');
  });
  let third: Subscription | undefined;
  const joining = during(() => {
    third = come('c');
  });
  return { joining, leaving: during(() => third?.unsubscribe()) };
}

describe('a member that joins two, and leaves them', () => {
  let large: ReturnType<typeof costOf>;
  beforeAll(() => {
    large = costOf(10_000);
  }, LIMIT_MS);

  it('costs a release and a request for each item that moves, and what those are told who wait: no more where there are many', () => {
    for (const { joining, leaving } of [large, costOf(100)])
      for (const { count, moved } of [joining, leaving]) expect(count).toBeLessThan(4 * moved + 50);
  });

  it('moves a third of 10,000 items, and no other', () => {
    expect(large.joining).toMatchObject({ moved: 3_333, owned: { a: 3_334, b: 3_333, c: 3_333 } });
    expect(large.leaving).toMatchObject({ moved: 3_333, owned: { a: 5_000, b: 5_000, c: 0 } });
  });

  it('has at most 32 locks asked for, and as many released, at once', () => {
    expect(large.joining.most).toEqual({ enter: 32, leave: 32 });
    expect(large.leaving.most).toEqual({ enter: 32, leave: 32 });
  });
});
