import { concatMap, type Observable, type ObservableInput, throwError, timeout } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { LockLost, LockNotAcquired } from '../../backends/errors.js';
import { encodePayload } from '../../backends/shared/codec.js';
import { ANYTHING, checkAll, number } from '../../backends/shared/expectations.js';
import { checkName } from '../../backends/shared/keys.js';
import { type Contention, contending } from '../holding/contending.js';
import type { Grant } from '../holding/grant.js';

/** Options of `lock` and `withLock`. */
export interface LockOptions {
  /** Error with `LockNotAcquired` after this long. `0`: unless the lock is free when the store answers. Default: wait. */
  readonly waitMs?: number;
  /** Shown to everybody by `holders`; encoded by the backend's codec, at most 64 KiB. */
  readonly data?: unknown;
}

/**
 * Holds the lock `name` while subscribed.
 *
 * Cold: each subscription is a contender of its own; the lock is not re-entrant.
 *
 *     place    w---a------x
 *     output   ----g------#
 *
 * **Emits** one `Grant` when the lock is acquired, and stays open while it is held. The lock is held for as long as that
 * lasts, and no longer: `await firstValueFrom(lock(…))`, `take(1)` and `first()` end with the first value, so what they give is
 * released already, and the `reason` of its `signal` is `Released`. Use `withLock`, or stay subscribed.
 * **Errors** `LockLost` when it is lost after that, no later than the local deadline of the session: before anybody else
 * can acquire it; `retryWithBackoff()` acquires it again. `LockNotAcquired` after `waitMs`. `InvalidName`, `InvalidOptions` (thrown
 * at the call), `InvalidPayload`, `AuthenticationFailed`, `PermissionDenied`. Never on a lost connection.
 * **Completes** when the backend is closed. When it drains: at once, if the lock is not held yet. Who holds it is told by
 * `grant.draining`, holds it on, and is to unsubscribe when it is done: the backend waits for that, for `drainMs`.
 * **Teardown** leaves the line or releases; the request is sent at once, and `backend.close()` waits for it.
 * **Guarantee** not: that a paused process knows of its loss; ask `grant.isValid()` before each step, and give
 * `grant.token` to the resource. But: at most one valid grant while clock rates differ by less than `drift`; first come,
 * first served where the backend is `fair`.
 * **Source** etcd `concurrency.Mutex`, kazoo `Lock`, tooz `Lock`.
 *
 * @example
 * lock(backend, 'invoice-42', { waitMs: 5_000 }).subscribe((grant) => console.log(grant.token));
 */
export function lock(backend: Backend, name: string, options: LockOptions = {}): Observable<Grant> {
  checkLock(name, options);
  return acquiring(backend, name, options);
}

/** `lock`, whose release waits for what `beforeLeave` gives. */
export function acquiring(
  backend: Backend,
  name: string,
  { waitMs, data }: LockOptions,
  beforeLeave?: () => ObservableInput<unknown>,
): Observable<Grant> {
  const grant$ = placesFor(backend, name, { data, wait: waitMs !== 0, beforeLeave }).pipe(
    concatMap(({ grant }) => {
      if (grant === undefined && waitMs === 0) throw new LockNotAcquired(name, 0);
      return grant === undefined ? [] : [grant];
    }),
  );
  if (waitMs === undefined || waitMs === 0) return grant$;
  return grant$.pipe(
    timeout({
      first: waitMs,
      scheduler: backend.scheduler,
      with: () => throwError(() => new LockNotAcquired(name, waitMs)),
    }),
  );
}

/** How to stand in the line for a lock. */
interface LineOptions {
  readonly data: unknown;
  readonly wait: boolean;
  readonly beforeLeave?: (() => ObservableInput<unknown>) | undefined;
}

/** The places in the line for a lock, with the grant while it is held. */
export function placesFor(
  backend: Backend,
  name: string,
  { data, wait, beforeLeave }: LineOptions,
): Observable<Contention> {
  return contending(
    backend,
    { kind: 'lock', name },
    () => ({
      payload: encodePayload(backend.codec, `lock ${JSON.stringify(name)}`, data),
      wait,
      ...(beforeLeave && { beforeLeave }),
    }),
    (token, { reason, cause }) => new LockLost(name, token, reason, cause),
  );
}

/** Throws `InvalidName` or `InvalidOptions`. */
export function checkLock(name: string, options: LockOptions): void {
  checkName(name);
  checkAll(options, { waitMs: number(0, MAX_WAIT_MS), data: ANYTHING });
}

/** Longest delay a timer of the platform carries. */
const MAX_WAIT_MS = 2 ** 31 - 1;
