import { concatMap, forkJoin, map, type Observable, of } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { checkName } from '../../backends/shared/keys.js';
import { admittedIn } from '../holding/contender.js';

/**
 * Takes the lock `name` away from whoever holds it now. For administrators: the next in line is admitted at once, while
 * the holder learns of it a moment later, so only fencing tokens protect what it still does.
 *
 *     output   --(t|)
 *
 * **Emits** whether somebody held it, once.
 * **Errors** `InvalidName` (thrown at the call), `AuthenticationFailed`, `PermissionDenied`, `BackendClosed`;
 * `OutcomeUnknown` where the session is lost while the answer is awaited, or a repeat is refused. Never on a lost connection.
 * **Completes** after that.
 * **Teardown** a request under way may still take effect.
 * **Guarantee** those who held it when the store answered are out; their streams error with `LockLost`.
 * **Source** tooz `Lock.break_`.
 *
 * @example
 * breakLock(backend, 'invoice-42').subscribe((wasHeld) => console.log(wasHeld));
 */
export function breakLock(backend: Backend, name: string): Observable<boolean> {
  const roster = { kind: 'lock', name: checkName(name) } as const;
  return backend.look(roster).pipe(
    map(admittedIn),
    concatMap((held) =>
      held.length === 0
        ? of(false)
        : forkJoin(held.map(({ id }) => backend.evict(roster, id))).pipe(map((broken) => broken.includes(true))),
    ),
  );
}
