import { distinctUntilChanged, type Observable } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { checkName } from '../../backends/shared/keys.js';
import { admittedIn, type Contender, contenders, sameContenders } from '../holding/contender.js';

/**
 * Emits who holds the lock `name`: nobody, one, or several who share it.
 *
 * Looking never takes part.
 *
 *     output   []--[a]------[b]--
 *
 * **Emits** the holders on subscribe (as soon as the store has answered), then after each change of them.
 * Silent while disconnected.
 * **Errors** `InvalidName` (thrown at the call), `AuthenticationFailed`, `PermissionDenied`. Never on a lost
 * connection.
 * **Completes** when the backend is closed.
 * **Teardown** stops looking.
 * **Guarantee** not: that they hold it at this instant; they did when the store answered.
 * **Source** kazoo `Lock.contenders`, `Semaphore.lease_holders`.
 *
 * @example
 * holders(backend, 'invoice-42').subscribe((held) => console.log(held.length));
 */
export function holders(backend: Backend, name: string): Observable<readonly Contender[]> {
  return contenders(backend, { kind: 'lock', name: checkName(name) }, admittedIn).pipe(
    distinctUntilChanged(sameContenders),
  );
}
