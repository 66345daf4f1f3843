import { defer, filter, map, type Observable, type ObservableInput, of, retry, tap, throwError, timeout } from 'rxjs';
import type { Backend, Place } from '../backends/backend.js';
import { encodePayload } from '../backends/codec.js';
import { LockLost, LockNotAcquired, type PlaceLost } from '../backends/errors.js';
import { ANYTHING, checkAll, number } from '../backends/expectations.js';
import { isError } from '../backends/is-error.js';
import { checkName } from '../backends/keys.js';
import { type Grant, grantOf } from './grant.js';

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
 * **Emits** one `Grant` when the lock is acquired, and stays open while it is held.
 * **Errors** `LockLost` when it is lost after that, no later than the local deadline of the session: before anybody else
 * can acquire it; `retryWithBackoff()` acquires it again. `LockNotAcquired` after `waitMs`. `InvalidName`, `InvalidOptions` (thrown
 * at the call), `InvalidPayload`, `AuthenticationFailed`, `PermissionDenied`. Never on a lost connection.
 * **Completes** when the backend is closed.
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
    filter((place) => {
      if (!place.admitted && waitMs === 0) throw new LockNotAcquired(name, 0);
      return place.admitted;
    }),
    map((place) => grantOf(name, place)),
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

/** The places in the line for a lock. Lost while waiting: it stands again. Lost while held: `LockLost`. */
export function placesFor(backend: Backend, name: string, { data, wait, beforeLeave }: LineOptions): Observable<Place> {
  return defer(() => {
    const payload = encodePayload(backend.codec, `lock ${JSON.stringify(name)}`, data);
    let held: Place | undefined;
    return backend
      .enter(
        { kind: 'lock', name },
        { mode: 'exclusive', permits: 1, payload, wait, ...(beforeLeave && { beforeLeave }) },
      )
      .pipe(
        tap((place) => {
          if (place.admitted) held = place;
        }),
        retry({
          delay: (error) => {
            if (!isError<PlaceLost>(error, 'PlaceLost')) return throwError(() => error);
            if (held === undefined) return of(0);
            const { token } = held.entry;
            return throwError(() => new LockLost(name, token, error.reason, error.cause));
          },
        }),
      );
  });
}

/** Throws `InvalidName` or `InvalidOptions`. */
export function checkLock(name: string, options: LockOptions): void {
  checkName(name);
  checkAll(options, { waitMs: number(0, MAX_WAIT_MS), data: ANYTHING });
}

/** Longest delay a timer of the platform carries. */
const MAX_WAIT_MS = 2 ** 31 - 1;
