import { concatMap, map, type Observable, pairwise, startWith } from 'rxjs';
import type { Backend } from '../backends/backend.js';
import { type Member, memberMap } from './member-map.js';

/**
 * Emits the ids of the members of `group`.
 *
 * Looking never takes part.
 *
 *     output   {}--{a}--{a,b}----{b}--
 *
 * **Emits** the ids on subscribe (as soon as the store has answered), then after each joining and leaving. Where a member
 * has left and joined again between two looks, a set without it comes first, so that the change is seen. Never the same
 * set twice in a row. Silent while disconnected; never a false empty set.
 * **Errors** `InvalidName` (thrown at the call), `AuthenticationFailed`. Never on a lost connection, nor because the group
 * does not exist: then it has no members.
 * **Completes** when the backend is closed.
 * **Teardown** stops looking.
 * **Guarantee** that of `memberMap`.
 * **Source** tooz `get_members`, `watch_join_group`; kazoo `ChildrenWatch`.
 *
 * @example
 * members(backend, 'workers').subscribe((ids) => console.log([...ids]));
 */
export function members(backend: Backend, group: string): Observable<ReadonlySet<string>> {
  return memberMap(backend, group).pipe(
    startWith(undefined),
    pairwise(),
    concatMap(([before, now]) => setsBetween(before, now ?? new Map())),
    map((ids): ReadonlySet<string> => new Set(ids)),
  );
}

type Members = ReadonlyMap<string, Member>;

function setsBetween(before: Members | undefined, now: Members): readonly (readonly string[])[] {
  const ids = [...now.keys()];
  if (before === undefined) return [ids];
  const stayed = ids.filter((id) => !before.has(id) || before.get(id)?.token === now.get(id)?.token);
  if (stayed.length < ids.length) return [stayed, ids];
  return ids.length === before.size && ids.every((id) => before.has(id)) ? [] : [ids];
}
