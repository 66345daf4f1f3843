import { map, type Observable } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { GroupNotEmpty, GroupNotFound } from '../../backends/errors.js';
import { checkName } from '../../backends/shared/keys.js';

/**
 * Deletes `group`, which must be empty. Cold: each subscription tries once.
 *
 * **Emits** `undefined`, once, when the group is deleted.
 * **Errors** `GroupNotFound`, `GroupNotEmpty`; `InvalidName` (thrown at the call), `AuthenticationFailed`,
 * `PermissionDenied`, `BackendClosed`; `OutcomeUnknown` where the session is lost while the answer is awaited, or a
 * repeat is refused. Never on a lost connection: then it waits.
 * **Completes** after that.
 * **Teardown** a request under way may still take effect.
 * **Guarantee** nobody is in a group that is deleted: joining and deleting exclude each other.
 * **Source** tooz `delete_group`.
 *
 * @example
 * deleteGroup(backend, 'workers').subscribe({ complete: () => console.log('deleted') });
 */
export function deleteGroup(backend: Backend, group: string): Observable<void> {
  return backend.unregister({ kind: 'group', name: checkName(group) }).pipe(
    map((outcome) => {
      if (outcome === 'absent') throw new GroupNotFound(group);
      if (outcome === 'occupied') throw new GroupNotEmpty(group);
    }),
  );
}
