import type { Observable } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { checkName } from '../../backends/shared/keys.js';
import { type Contender, contenders } from '../holding/contender.js';

/**
 * Emits who stands in `election`, in the order of the line: the first one leads now, the others will in this order, unless a
 * `priority` or `handOver` makes them change places.
 *
 * Looking never takes part.
 *
 *     output   []--[a]--[a,b]----[b]--
 *
 * **Emits** the candidates on subscribe (as soon as the store has answered), then after each change. Silent while disconnected.
 * **Errors** `InvalidName` (thrown at the call), `AuthenticationFailed`, `PermissionDenied`. Never on a lost
 * connection.
 * **Completes** when the backend is closed.
 * **Teardown** stops looking.
 * **Guarantee** not: that the first one leads at this instant; it did when the store answered. But: no false empty list.
 * **Source** kazoo `Election.contenders`.
 *
 * @example
 * candidates(backend, 'scheduler').subscribe((line) => console.log(line.map(({ data }) => data)));
 */
export function candidates(backend: Backend, election: string): Observable<readonly Contender[]> {
  return contenders(backend, { kind: 'election', name: checkName(election) });
}
