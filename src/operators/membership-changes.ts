import { concatMap, identity, map, type OperatorFunction, pairwise, startWith } from 'rxjs';
import { checkAll, FLAG } from '../backends/shared/expectations.js';
import { incarnationsOf, type Present } from '../observables/groups/incarnations.js';

/** Who came and who went between two sets. */
export interface MembershipChange {
  readonly joined: ReadonlySet<string>;
  readonly left: ReadonlySet<string>;
}

/** Options of `membershipChanges`. */
export interface MembershipChangesOptions {
  /** `false`: it begins with what is there, which is no change. Default `true`: the first set counts as joined. */
  readonly initial?: boolean;
}

/**
 * Turns what `members` or `memberMap` tells into changes.
 *
 *     source   {}--{a}--{a,b}----{b}--
 *     output   ----+a---+b-------(-a)-
 *
 * **Emits** `{ joined, left }` for each set that differs from the one before; the first set counts as joined, unless
 * `initial` is `false`. Where a member has left and joined again between two sets, two changes: it has left, then it has joined. So nobody is in both.
 * **Errors** what the source errors with; `InvalidOptions` (thrown at the call).
 * **Completes** when the source completes.
 * **Teardown** that of the source.
 * **Guarantee** a member that left and joined again is seen to have done both, by its token, which the sets of `members`
 * keep unseen. Not: in sets made anew of them, which have lost it; there a member is but an id.
 * **Source** tooz `watch_join_group` and `watch_leave_group`.
 *
 * @example
 * members(backend, 'workers').pipe(membershipChanges()).subscribe(({ joined, left }) => rebalance(joined, left));
 */
export function membershipChanges(options: MembershipChangesOptions = {}): OperatorFunction<Present, MembershipChange> {
  checkAll(options, { initial: FLAG });
  const { initial = true } = options;
  const nobody = new Map<string, bigint | undefined>();
  return (source) =>
    source.pipe(
      map(incarnationsOf),
      initial ? startWith(nobody) : identity,
      pairwise(),
      concatMap(([before, now]) => changesBetween(before, now)),
    );
}

type Incarnations = ReadonlyMap<string, bigint | undefined>;

function changesBetween(before: Incarnations, now: Incarnations): readonly MembershipChange[] {
  const came = [...now.keys()].filter((id) => !before.has(id));
  const went = [...before.keys()].filter((id) => !now.has(id));
  const again = [...now].filter(([id, token]) => isAnother(before.get(id), token)).map(([id]) => id);
  return [change(came, [...went, ...again]), change(again, [])].filter(
    ({ joined, left }) => joined.size + left.size > 0,
  );
}

/** Unknown tokens tell nothing apart. */
function isAnother(before: bigint | undefined, now: bigint | undefined): boolean {
  return before !== undefined && now !== undefined && before !== now;
}

function change(joined: readonly string[], left: readonly string[]): MembershipChange {
  return { joined: new Set(joined), left: new Set(left) };
}
