import * as RS from 'fp-ts/lib/ReadonlySet.js';
import * as S from 'fp-ts/lib/string.js';
import { filter, map, type OperatorFunction, pairwise, startWith } from 'rxjs';

/** Who came and who went between two sets. */
export interface MembershipChange {
  readonly joined: ReadonlySet<string>;
  readonly left: ReadonlySet<string>;
}

const EMPTY_SET: ReadonlySet<string> = new Set();
const without = RS.difference(S.Eq);

/**
 * Turns the sets of `members` into changes.
 *
 *     source   {}--{a}--{a,b}----{b}--
 *     output   ----+a---+b-------(-a)-
 *
 * **Emits** `{ joined, left }` for each set that differs from the one before; the first set counts as joined.
 * **Errors** what the source errors with.
 * **Completes** when the source completes.
 * **Teardown** that of the source.
 * **Guarantee** a member that left and joined again is seen as both, since `members` tells it as two sets.
 * **Source** tooz `watch_join_group` and `watch_leave_group`.
 *
 * @example
 * members(backend, 'workers').pipe(membershipChanges()).subscribe(({ joined, left }) => rebalance(joined, left));
 */
export function membershipChanges(): OperatorFunction<ReadonlySet<string>, MembershipChange> {
  return (source) =>
    source.pipe(
      startWith(EMPTY_SET),
      pairwise(),
      map(([before, now]): MembershipChange => ({ joined: without(now, before), left: without(before, now) })),
      filter(({ joined, left }) => joined.size + left.size > 0),
    );
}
