import { map, type Observable } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { Contended } from '../../backends/errors.js';
import { type Either, left, right } from '../../backends/shared/either.js';
import type { Grant } from '../holding/grant.js';
import { checkHold, type HoldOptions, placesFor } from './lock.js';

/**
 * Takes the lock `name` if it is free, without waiting for it.
 *
 *     free     --R(g)--------      held while subscribed
 *     taken    --(L|)
 *
 * **Emits** once, as soon as the store has answered: `right(grant)` and stays open while the lock is held, or
 * `left(Contended)`, when nothing of this try is left in line. Its `reason` is `held`, or `barred` while the store admits
 * nobody, since it was started or may have lost data. `isRight` tells them apart: `{ _tag: 'Right', right }` and
 * `{ _tag: 'Left', left }`.
 * **Errors** `LockLost` when it is lost after it was acquired; `InvalidName` (thrown at the call), `InvalidPayload`,
 * `AuthenticationFailed`, `PermissionDenied`. Never on a lost connection.
 * **Completes** after `left`, and when the backend is closed. A drain waits for who holds it, as for `lock`.
 * **Teardown** releases; `backend.close()` waits for it.
 * **Guarantee** that of `lock`.
 * **Source** tooz `acquire(blocking=False)`, kazoo `NonBlockingLease`.
 *
 * @example
 * tryLock(backend, 'invoice-42').subscribe((taken) => {
 *   if (isRight(taken)) console.log('held, with token', taken.right.token);
 *   else console.log('not now:', taken.left.reason);
 * });
 */
export function tryLock(
  backend: Backend,
  name: string,
  options: HoldOptions = {},
): Observable<Either<Contended, Grant>> {
  checkHold(name, options);
  return placesFor(backend, name, { ...options, wait: false }).pipe(
    map(({ place, grant }) =>
      grant === undefined ? left(new Contended(name, place.barred === true ? 'barred' : 'held')) : right(grant),
    ),
  );
}
