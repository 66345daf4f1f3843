import { concatMap, forkJoin, map, type Observable, of } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { checkName } from '../../backends/shared/keys.js';
import { lookAtMembers } from './member-map.js';

/**
 * Removes the member `id` from `group`, whoever it is. Cold: each subscription tries once.
 *
 * The one removed is told, errors with `MembershipLost`, and does not join again by itself; one that is
 * cut off meanwhile learns only that its session was lost, and joins again. It learns of it a moment later, so
 * only tokens protect what it still does. Nobody is kept from joining under that id; who waits for it (`ifTaken: 'wait'`) is the
 * member from then on.
 *
 *     output   --(t|)
 *
 * **Emits** whether it was there, once.
 * **Errors** `InvalidName` (thrown at the call), `AuthenticationFailed`, `PermissionDenied`, `BackendClosed`;
 * `OutcomeUnknown` where the session is lost while the answer is awaited, or a repeat is refused. Never on a lost connection, nor
 * because the group does not exist.
 * **Completes** after that.
 * **Teardown** a request under way may still take effect.
 * **Guarantee** the member that was there when the store answered is out.
 * **Source** Kubernetes' removal of a node; tooz has none.
 *
 * @example
 * evictMember(backend, 'workers', 'w1').subscribe((wasThere) => console.log(wasThere));
 */
export function evictMember(backend: Backend, group: string, id: string): Observable<boolean> {
  const roster = { kind: 'group', name: checkName(group) } as const;
  checkName(id);
  return lookAtMembers(backend, group).pipe(
    concatMap((entries) => {
      const those = entries.filter(({ record }) => record.id === id);
      // It may stand there with a session that it has lost, too; others wait for its id.
      const owners = those.filter(({ record }) => record.owner === those[0]?.record.owner);
      return owners.length === 0 ? of([]) : forkJoin(owners.map(({ entry }) => backend.evict(roster, entry.id)));
    }),
    map((evicted) => evicted.includes(true)),
  );
}
