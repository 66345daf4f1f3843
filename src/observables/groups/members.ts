import { distinctUntilChanged, map, type Observable } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { idsOf } from './incarnations.js';
import { type Member, type MembersOptions, memberMap } from './member-map.js';

/**
 * Emits the ids of the members of `group`.
 *
 * Looking never takes part.
 *
 *     output   {}--{a}--{a,b}----{b}--
 *
 * **Emits** the ids on subscribe (as soon as the store has answered), then after each joining and leaving. Where a member
 * has left and joined again between two looks, the set comes again: the ids are the same, a member is another, and
 * `membershipChanges` sees it. Never the same members twice in a row. Silent while disconnected; never a false empty set,
 * nor one without a member who is there.
 * **Errors** `InvalidName`, `InvalidOptions` (thrown at the call), `AuthenticationFailed`, `PermissionDenied`. `GroupNotFound`
 * where the group is `required`, and does not exist, or is deleted; otherwise it has no members then. Never on a lost connection.
 * **Completes** when the backend is closed.
 * **Teardown** stops looking.
 * **Guarantee** that of `memberMap`.
 * **Source** tooz `get_members`, `watch_join_group`; kazoo `ChildrenWatch`.
 *
 * @example
 * members(backend, 'workers').subscribe((ids) => console.log([...ids]));
 */
export function members(
  backend: Backend,
  group: string,
  options: MembersOptions = {},
): Observable<ReadonlySet<string>> {
  return memberMap(backend, group, options).pipe(distinctUntilChanged(sameMembers), map(idsOf));
}

function sameMembers(a: ReadonlyMap<string, Member>, b: ReadonlyMap<string, Member>): boolean {
  return a.size === b.size && [...a].every(([id, { token }]) => b.get(id)?.token === token);
}
