import type { Observable } from 'rxjs';
import { type RunHelpers, TestScheduler } from 'rxjs/testing';
import { check, number } from '../backends/shared/expectations.js';
import type { Marble } from './marble-text.js';
import { parseMarbles } from './marble-text.js';
import { withPlainTimers } from './plain-timers.js';
import { type Happening, happeningsOf, type MarbleValues, mismatchBetween, mismatchOf } from './recording.js';
import { type Cluster, Simulation, type SimulationOptions } from './simulate.js';

/** Options of `marbles`. */
export interface MarblesOptions extends Omit<SimulationOptions, 'scheduler'> {
  /** When the test ends, and every backend is closed. Default 60,000. */
  readonly endsAtMs?: number | undefined;
}

/** What is expected of an Observable. Compared when virtual time has gone by. */
export interface ObservableExpectation {
  toBe(marbles: string, values?: MarbleValues, error?: unknown): void;
}

/** What is expected of the subscriptions to a `cold` or `hot` Observable. */
export interface SubscriptionsExpectation {
  toBe(marbles: string | readonly string[]): void;
}

/** A subscription as `cold` and `hot` log it. */
interface SubscriptionTimes {
  readonly subscribedFrame: number;
  readonly unsubscribedFrame: number;
}

/** What a marble test works with. */
export interface MarbleHelpers extends Pick<RunHelpers, 'cold' | 'hot' | 'time' | 'animate' | 'flush'> {
  /** The processes and the store of this test. */
  readonly cluster: Omit<Cluster, 'pass' | 'passWithPromises'>;
  readonly scheduler: TestScheduler;
  /** Subscribes at the beginning, or at `^`; unsubscribes at the end of the test, or at `!`. */
  expectObservable(observable: Observable<unknown>, subscription?: string): ObservableExpectation;
  expectSubscriptions(logs: readonly SubscriptionTimes[]): SubscriptionsExpectation;
}

/**
 * Runs a marble test with a simulated cluster, in RxJS's `TestScheduler` and its run mode.
 *
 *     faults   ---p----h--       scripted with cluster.faults
 *     leads    (ft)     f--      expected with expectObservable
 *
 * All time is virtual, as is that of RxJS's plain timers. Those which a process starts belong to it: they wait while it
 * is paused. `hot` and `cold` belong to no process; `observeOn(backend.scheduler)` brings their items into one.
 *
 * **Errors** throws `MarbleMismatch` where something else happened than was expected, with both diagrams one above the
 * other; and what the test throws.
 * **Completes** at `endsAtMs`, when every backend is closed.
 * **Guarantee** not: that promises settle in virtual time; `passWithPromises` of `simulate` is for those. But: the same
 * test has the same outcome each time, in any test runner.
 * **Source** RxJS `TestScheduler`.
 *
 * @example
 * import { partition } from 'conclave/testing'; // the fault, and not what divides work
 * marbles(({ cluster, expectObservable }) => {
 *   cluster.faults('3s p', { p: partition('a', 20_000) });
 *   expectObservable(leadership(cluster.backend('a'), 'scheduler')).toBe('(ft) 11396ms f', { f: false, t: true });
 * });
 */
export function marbles(test: (helpers: MarbleHelpers) => void, options: MarblesOptions = {}): void {
  check(options, { endsAtMs: number(0, Number.MAX_SAFE_INTEGER) });
  const { endsAtMs = 60_000, ...simulation } = options;
  const scheduler = new TestScheduler(() => undefined);
  const cluster = new Simulation({ ...simulation, scheduler }, endsAtMs);
  const expectations = new Expectations(scheduler, endsAtMs);
  // Sessions renew for ever otherwise. Whatever is expected up to the end has been unsubscribed from by then.
  cluster.at(endsAtMs + 1, () => void cluster.close());
  withPlainTimers(cluster.world, () =>
    scheduler.run(({ cold, hot, time, animate }) => {
      const flush = (): void => {
        scheduler.flush();
        expectations.verify();
      };
      const returned: unknown = test({
        cluster,
        scheduler,
        cold,
        hot,
        time,
        animate,
        flush,
        expectObservable: (observable, subscription) => expectations.observe(observable, subscription),
        expectSubscriptions: (logs) => expectations.watch(logs),
      });
      if (typeof returned === 'object' && returned !== null && 'then' in returned)
        throw new TypeError('A marble test must not be async: nothing settles while virtual time goes by.');
      flush();
    }),
  );
}

/** What is expected, until virtual time has gone by. */
class Expectations {
  #open: (() => void)[] = [];

  constructor(
    private readonly scheduler: TestScheduler,
    private readonly endsAtMs: number,
  ) {}

  observe(observable: Observable<unknown>, subscription = '^'): ObservableExpectation {
    const [{ fromMs, toMs } = { fromMs: 0, toMs: this.endsAtMs }] = timesOf([subscription]);
    const happenings: Happening[] = [];
    const add = (kind: Happening['kind'], value?: unknown): void => {
      happenings.push({ atMs: this.scheduler.now(), kind, value });
    };
    this.scheduler.schedule(() => {
      const subscribed = observable.subscribe({
        next: (value) => add('N', value),
        error: (error) => add('E', error),
        complete: () => add('C'),
      });
      const lastsMs = Math.min(toMs, Math.max(this.endsAtMs, fromMs)) - fromMs;
      this.scheduler.schedule(() => subscribed.unsubscribe(), lastsMs);
    }, fromMs);
    return {
      toBe: (marbles, values, error) => {
        const expected = happeningsOf(marbles, values, error);
        this.#open.push(() => throwIf(mismatchOf(expected, happenings, values)));
      },
    };
  }

  watch(logs: readonly SubscriptionTimes[]): SubscriptionsExpectation {
    return {
      toBe: (marbles) => {
        const expected = timesOf(typeof marbles === 'string' ? [marbles] : marbles);
        this.#open.push(() => {
          const actual = logs.map(({ subscribedFrame, unsubscribedFrame }) => ({
            fromMs: subscribedFrame,
            toMs: unsubscribedFrame,
          }));
          const rows = [expected, actual].map((times) => times.flatMap(marblesOf));
          if (JSON.stringify(rows[0]) !== JSON.stringify(rows[1])) throw mismatchBetween(rows);
        });
      },
    };
  }

  verify(): void {
    const due = this.#open;
    this.#open = [];
    for (const check of due) check();
  }
}

interface Times {
  readonly fromMs: number;
  readonly toMs: number;
}

function timesOf(subscriptions: readonly string[]): readonly Times[] {
  return subscriptions.flatMap((text) => {
    const marbles = parseMarbles(text);
    const other = marbles.find(({ symbol }) => symbol !== '^' && symbol !== '!');
    if (other !== undefined || marbles.length > 2)
      throw new Error(`A subscription is '^' and '!' and time, once each, not '${text}'.`);
    const at = (symbol: string): number | undefined => marbles.find((marble) => marble.symbol === symbol)?.atMs;
    const fromMs = at('^');
    return fromMs === undefined ? [] : [{ fromMs, toMs: at('!') ?? Number.POSITIVE_INFINITY }];
  });
}

function marblesOf({ fromMs, toMs }: Times): readonly Marble[] {
  const from = { atMs: fromMs, symbol: '^' };
  return Number.isFinite(toMs) ? [from, { atMs: toMs, symbol: '!' }] : [from];
}

function throwIf(error: Error | undefined): void {
  if (error !== undefined) throw error;
}
