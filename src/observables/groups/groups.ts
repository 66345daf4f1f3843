import type { Observable } from 'rxjs';
import type { Backend } from '../../backends/backend.js';

/**
 * Emits the ids of all groups.
 *
 *     output   {}--{workers}--{workers,gateways}--
 *
 * **Emits** the ids on subscribe (as soon as the store has answered), then after each creation and deletion. Silent while
 * disconnected.
 * **Errors** `AuthenticationFailed`, `PermissionDenied`. Never on a lost connection.
 * **Completes** when the backend is closed.
 * **Teardown** stops looking.
 * **Guarantee** not: that each intermediate set is seen. But: the last one is the truth.
 * **Source** tooz `get_groups`.
 *
 * @example
 * groups(backend).subscribe((ids) => console.log([...ids]));
 */
export function groups(backend: Backend): Observable<ReadonlySet<string>> {
  return backend.registered('group');
}
