import { type MonoTypeOperatorFunction, map, type Observable } from 'rxjs';
import { check, checkGiven, integer, objectWith, SETS_OR_MAPS } from '../backends/shared/expectations.js';
import { type GateOptions, whileTrue } from './while-true.js';

/**
 * Subscribes to the source while at least `quorum` members are there.
 *
 *     members  {}--{a,b}---{a}---      for 2
 *     source       -a-b-c-
 *     output   -----a-b-c--------
 *
 * It stands after what it must stop, as `whileTrue` shows.
 *
 * **Emits** the items of the source.
 * **Errors** what the source or `members$` errors with; `GateClosed` with `onLoss: 'error'`; `InvalidOptions`
 * (thrown at the call; where `members$` gives no sets or maps).
 * **Completes** when the source completes; when `members$` completes, as it does when the backend is closed; with
 * `onLoss: 'complete'`, when there are too few.
 * **Teardown** unsubscribes from the source, then from `members$`.
 * **Guarantee** not: that one's own side has the quorum. Who is cut off from the store is told of no change, and counts those it
 * saw last, unless `whileMember` stands behind. Nor that only one process works: leadership is for that.
 * **Source** ZooKeeper recipes, "Barriers": begin when enough are there; as a gate it ends, too.
 *
 * @example
 * ticks$.pipe(concatMap(step), whileQuorum(members(backend, 'workers'), 3)).subscribe();
 */
export function whileQuorum<T>(
  members$: Observable<ReadonlySet<unknown> | ReadonlyMap<unknown, unknown>>,
  quorum: number,
  options: GateOptions = {},
): MonoTypeOperatorFunction<T> {
  check({ members$, quorum }, { members$: objectWith('subscribe'), quorum: integer(1, Number.MAX_SAFE_INTEGER) }, [
    'members$',
    'quorum',
  ]);
  const isQuorum$ = members$.pipe(
    map((members) => {
      checkGiven('members$', SETS_OR_MAPS, members);
      return members.size >= quorum;
    }),
  );
  return whileTrue(isQuorum$, options);
}
