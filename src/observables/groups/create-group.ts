import { map, type Observable } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { GroupAlreadyExists } from '../../backends/errors.js';
import { checkName } from '../../backends/shared/keys.js';

/**
 * Creates `group`. Cold: each subscription tries once.
 *
 * **Emits** `undefined`, once, when the group is created.
 * **Errors** `GroupAlreadyExists`; `InvalidName` (thrown at the call), `AuthenticationFailed`, `PermissionDenied`,
 * `BackendClosed`; `OutcomeUnknown` where the session is lost while the answer is awaited, or a repeat is refused. Never on a
 * lost connection: then it waits, and a lost reply does not make it fail.
 * **Completes** after that.
 * **Teardown** a request under way may still take effect.
 * **Guarantee** of several who create the same group at once, one succeeds.
 * **Source** tooz `create_group`.
 *
 * @example
 * createGroup(backend, 'workers').subscribe({ complete: () => console.log('created') });
 */
export function createGroup(backend: Backend, group: string): Observable<void> {
  return backend.register({ kind: 'group', name: checkName(group) }).pipe(
    map((created) => {
      if (!created) throw new GroupAlreadyExists(group);
    }),
  );
}
