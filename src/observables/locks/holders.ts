import { distinctUntilChanged, map, type Observable } from 'rxjs';
import type { Backend, Mode } from '../../backends/backend.js';
import { checkName } from '../../backends/shared/keys.js';
import { type Contender, contenders, sameContenders } from '../holding/contender.js';

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
  return contenders(backend, { kind: 'lock', name: checkName(name) }).pipe(
    map(holdersIn),
    distinctUntilChanged(sameContenders),
  );
}

/** Of those who stand in the line of a lock, who holds it: the first, and all who share it with that one. */
export function holdersIn<T extends { readonly mode: Mode }>(line: readonly T[]): readonly T[] {
  const firstExclusive = line.findIndex(({ mode }) => mode === 'exclusive');
  return firstExclusive < 0 ? line : line.slice(0, Math.max(1, firstExclusive));
}
