import { asyncScheduler, debounce, type MonoTypeOperatorFunction, type SchedulerLike, timer } from 'rxjs';
import { check, number, objectWith } from '../backends/shared/expectations.js';

/**
 * Lets a state pass when it has stayed the same for `quietMs` milliseconds: rebalance once after a deployment, not for
 * each process that comes.
 *
 *     source       -a-b-c-------d|
 *     settled(3)   --------c-----(d|)
 *
 * **Emits** the latest value of the source after `quietMs` without another; the last one at once when the source completes.
 * **Errors** what the source errors with; `InvalidOptions` (thrown at the call).
 * **Completes** when the source completes.
 * **Teardown** that of the source.
 * **Guarantee** not for what opens a gate: its `false` would come late. Not: that it ever emits while the source keeps changing.
 * **Source** kazoo `PatientChildrenWatch`.
 *
 * @example
 * members(backend, 'workers').pipe(settled(2_000)).subscribe(rebalance);
 */
export function settled<T>(quietMs: number, scheduler: SchedulerLike = asyncScheduler): MonoTypeOperatorFunction<T> {
  check({ quietMs, scheduler }, { quietMs: number(0, 2 ** 31 - 1), scheduler: objectWith('now', 'schedule') }, [
    'quietMs',
  ]);
  // `debounceTime` would ask for the time of day, and wait for longer when that is set back.
  return debounce(() => timer(quietMs, scheduler));
}
