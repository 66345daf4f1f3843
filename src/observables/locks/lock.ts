import {
  catchError,
  concat,
  concatMap,
  defer,
  EMPTY,
  finalize,
  ignoreElements,
  map,
  type Observable,
  type ObservableInput,
  switchMap,
  takeUntil,
  tap,
  throwError,
  timeout,
  timer,
} from 'rxjs';
import type { Backend, Mode, Place } from '../../backends/backend.js';
import { type HolderInfo, InvalidOptions, LockLost, LockNotAcquired } from '../../backends/errors.js';
import { encodePayload } from '../../backends/shared/codec.js';
import { ANYTHING, checkAll, type Expectation, number, oneOf } from '../../backends/shared/expectations.js';
import { checkName } from '../../backends/shared/keys.js';
import { admittedIn, lookAtContenders } from '../holding/contender.js';
import { type Contention, contending, type Show } from '../holding/contending.js';
import type { Grant } from '../holding/grant.js';
import { withData } from '../holding/with-data.js';

/** Options of `tryLock`, and of all that wait for a lock. */
export interface HoldOptions {
  /** Shown to everybody by `holders`; encoded by the backend's codec, at most 64 KiB. An Observable's values replace each other. */
  readonly data?: unknown;
  /** `shared`: beside others who share it, and never beside one who does not. Default `exclusive`. */
  readonly mode?: Mode;
  /**
   * The longest that it is held: then it is lost, with the reason `held too long`, whatever becomes of the work. Default: as
   * long as the session lives.
   */
  readonly maxHoldMs?: number;
  /**
   * The least that it is held: who lets go of it sooner keeps others waiting until then. For jobs that are over sooner than
   * clocks differ. It ends with the session: at `close()` it is waited for until the deadline that holds then. Default 0.
   */
  readonly holdAtLeastMs?: number;
}

/** Options of `lock` and `withLock`. */
export interface LockOptions extends HoldOptions {
  /** Error with `LockNotAcquired` after this long. `0`: unless the lock is free when the store answers. Default: wait. */
  readonly waitMs?: number;
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
  { waitMs, ...options }: LockOptions,
  beforeLeave?: () => ObservableInput<unknown>,
  permits = 1,
  agreement?: LineOptions['agreement'],
): Observable<Grant> {
  const stand = { ...options, wait: waitMs !== 0, permits, beforeLeave, agreement };
  if (waitMs === undefined) return inLine(backend, name, stand, (_, grant) => grant);
  return defer(() => {
    /** What keeps one waiting, as far as it is known. */
    let reason: LockNotAcquired['reason'] = 'unreachable';
    let holders: readonly HolderInfo[] = [];
    let mine: string | undefined;
    const refusal = (): LockNotAcquired => new LockNotAcquired(name, waitMs, reason, holders);
    const look$ = defer(() => lookAtHolders(backend, name)).pipe(
      tap((found) => {
        // Its own may count as admitted while it waits for others to agree with it.
        holders = found.filter(({ id }) => id !== mine);
      }),
      ignoreElements(),
    );
    const grant$ = placesFor(backend, name, stand).pipe(
      concatMap(({ place, grant }) => {
        if (grant !== undefined) return [grant];
        mine = place.entry.id;
        reason = place.barred === true ? 'barred' : 'held';
        return waitMs === 0
          ? concat(
              look$,
              throwError(() => refusal()),
            )
          : EMPTY;
      }),
    );
    if (waitMs === 0) return grant$;
    return defer(() => {
      // Asked shortly before the end, so that the end comes in time.
      const asking = timer(waitMs - Math.min(waitMs / 2, LOOK_MS), backend.scheduler)
        .pipe(switchMap(() => (reason === 'unreachable' ? EMPTY : look$)))
        .subscribe();
      return grant$.pipe(
        tap(() => asking.unsubscribe()),
        timeout({ first: waitMs, scheduler: backend.scheduler, with: () => throwError(() => refusal()) }),
        finalize(() => asking.unsubscribe()),
      );
    });
  });
}

/** How long who holds a lock may be asked for, for the sake of a message. */
const LOOK_MS = 1_000;

/** Who holds the lock, once, as an error tells it. Without an answer, nothing: it is a help, and no more. */
function lookAtHolders(backend: Backend, name: string): Observable<readonly HolderInfo[]> {
  return lookAtContenders(backend, { kind: 'lock', name }, admittedIn).pipe(
    map((line) =>
      line.map(({ id, token, data }) => ({ id, token, ...(data._tag === 'Some' && { data: data.value }) })),
    ),
    takeUntil(timer(LOOK_MS, backend.scheduler)),
    catchError(() => EMPTY),
  );
}

/** How to stand in the line for a lock. */
interface LineOptions extends HoldOptions {
  readonly wait: boolean;
  readonly permits?: number;
  readonly agreement?: ((place: Place) => Observable<boolean>) | undefined;
  readonly beforeLeave?: (() => ObservableInput<unknown>) | undefined;
}

/** The places in the line for a lock, with the grant while it is held. */
export function placesFor(backend: Backend, name: string, options: LineOptions): Observable<Contention> {
  return inLine(backend, name, options, (place, grant) => ({ place, ...(grant && { grant }) }));
}

function inLine<T>(
  backend: Backend,
  name: string,
  { data, mode = 'exclusive', permits = 1, beforeLeave, ...options }: LineOptions,
  show: Show<T>,
): Observable<T> {
  const encode = (value: unknown): Uint8Array => encodePayload(backend.codec, `lock ${JSON.stringify(name)}`, value);
  return withData(backend, data, encode, (stand) =>
    contending(
      backend,
      { kind: 'lock', name },
      { data: stand, ...options, mode, permits, ...(beforeLeave && { beforeLeave }) },
      (token, { reason, cause }) => new LockLost(name, token, reason, cause),
      show,
    ),
  );
}

/** Longest delay a timer of the platform carries. */
const MAX_MS = 2 ** 31 - 1;

/** What the options of holding a lock must be. */
const HOLD_OPTIONS = {
  data: ANYTHING,
  mode: oneOf('exclusive', 'shared'),
  maxHoldMs: number(1, MAX_MS),
  holdAtLeastMs: number(0, MAX_MS),
};

const LOCK_OPTIONS = { ...HOLD_OPTIONS, waitMs: number(0, MAX_MS) };

/** Throws `InvalidName` or `InvalidOptions`. */
export function checkHold(
  name: string,
  options: HoldOptions,
  known: Readonly<Record<string, Expectation>> = HOLD_OPTIONS,
): void {
  checkName(name);
  checkAll(options, known);
  const { maxHoldMs = Number.POSITIVE_INFINITY, holdAtLeastMs = 0 } = options;
  if (maxHoldMs < holdAtLeastMs)
    throw new InvalidOptions([`maxHoldMs (${maxHoldMs}) must not be less than holdAtLeastMs (${holdAtLeastMs})`]);
}

/** Throws `InvalidName` or `InvalidOptions`. */
export function checkLock(name: string, options: LockOptions): void {
  checkHold(name, options, LOCK_OPTIONS);
}
