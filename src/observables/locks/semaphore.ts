import { concat, filter, map, type Observable, type ObservableInput, of, switchMap, take } from 'rxjs';
import type { Backend, Entry, Place } from '../../backends/backend.js';
import { Contended, InvalidOptions, PermitsMismatch } from '../../backends/errors.js';
import { type Either, left, right } from '../../backends/shared/either.js';
import { checkWork, integer, violationsOf } from '../../backends/shared/expectations.js';
import type { Grant } from '../holding/grant.js';
import { guarded } from '../holding/guarded.js';
import { acquiring, checkHold, checkLock, type HoldOptions, type LockOptions, placesFor } from './lock.js';

/** Options of `semaphore` and `withPermit`. */
export type SemaphoreOptions = Omit<LockOptions, 'mode'>;

/**
 * Holds one of the `permits` of the semaphore `name` while subscribed.
 *
 *     a (2)    g--------|
 *     b (2)    -g----------
 *     c (2)    ---------g--      waits for one of them
 *
 * Cold: each subscription asks for a permit of its own. It is a lock that so many may hold: `lock` and `semaphore` of one name
 * exclude each other, and `holders` shows all who hold it.
 *
 * **Emits** one `Grant` when a permit is acquired, with a token of its own, and stays open while it is held.
 * **Errors** `PermitsMismatch` where those who stand there go by another number; `InvalidOptions` (thrown at the call) for a number
 * that is no integer from 1 to 10,000; else as `lock`.
 * **Completes** as `lock`.
 * **Teardown** as `lock`.
 * **Guarantee** not: that a paused process knows of its loss. But: at most `permits` valid grants, under the conditions of `lock`;
 * first come, first served where the backend is `fair`.
 * **Source** kazoo `Semaphore`, Curator `InterProcessSemaphoreV2`, Redisson `RSemaphore`.
 *
 * @example
 * semaphore(backend, 'reports', 3).subscribe((grant) => console.log(grant.token));
 */
export function semaphore(
  backend: Backend,
  name: string,
  permits: number,
  options: SemaphoreOptions = {},
): Observable<Grant> {
  checkLock(name, options);
  return permitted(backend, name, checkPermits(permits), options);
}

/**
 * Does `work` under a permit of the semaphore `name`: work first, then the permit is given back.
 *
 *     permit   ---g----------
 *     work        --a--b--|
 *     output   -----a--b--|
 *
 * `withLock` in all else.
 *
 * **Emits** what the work emits, unless a loss is due by then: that comes first.
 * **Errors** what the work errors with; `LockLost`; and what `semaphore` errors with.
 * **Completes** as `withLock`.
 * **Teardown** as `withLock`.
 * **Guarantee** that of `semaphore`. Not: that a promise stops when the permit is lost.
 * **Source** kazoo `with Semaphore`.
 *
 * @example
 * withPermit(backend, 'reports', 3, (grant) => settle(invoice, grant.token)).subscribe();
 */
export function withPermit<T>(
  backend: Backend,
  name: string,
  permits: number,
  work: (grant: Grant) => ObservableInput<T>,
  options: SemaphoreOptions = {},
): Observable<T> {
  checkLock(name, options);
  checkPermits(permits);
  checkWork(work);
  return guarded(work, {
    acquire: (beforeLeave) => permitted(backend, name, permits, options, beforeLeave),
  });
}

/**
 * Takes a permit of the semaphore `name` if there is one, without waiting for it.
 *
 *     free     --R(g)--------      held while subscribed
 *     taken    --(L|)
 *
 * **Emits** once: `right(grant)`, and stays open while it is held, or `left(Contended)`, as `tryLock`.
 * **Errors** `PermitsMismatch`; else as `tryLock`.
 * **Completes** after `left`, and when the backend is closed.
 * **Teardown** gives the permit back.
 * **Guarantee** that of `semaphore`.
 * **Source** kazoo `Semaphore.acquire(blocking=False)`, Redisson `tryAcquire`.
 *
 * @example
 * trySemaphore(backend, 'reports', 3).subscribe((taken) => {
 *   if (isRight(taken)) console.log('held, with token', taken.right.token);
 * });
 */
export function trySemaphore(
  backend: Backend,
  name: string,
  permits: number,
  options: Omit<HoldOptions, 'mode'> = {},
): Observable<Either<Contended, Grant>> {
  checkHold(name, options);
  checkPermits(permits);
  return placesFor(backend, name, {
    ...options,
    permits,
    wait: false,
    agreement: agreement(backend, name, permits),
  }).pipe(
    map(({ place, grant }) =>
      grant === undefined ? left(new Contended(name, place.barred === true ? 'barred' : 'held')) : right(grant),
    ),
  );
}

function permitted(
  backend: Backend,
  name: string,
  permits: number,
  options: LockOptions,
  beforeLeave?: () => ObservableInput<unknown>,
): Observable<Grant> {
  return acquiring(backend, name, options, beforeLeave, permits, agreement(backend, name, permits));
}

/** Throws `InvalidOptions`. */
function checkPermits(permits: number): number {
  const violations = violationsOf({ permits }, { permits: integer(1, MOST_PERMITS) }, ['permits']);
  if (violations.length > 0) throw new InvalidOptions(violations);
  return permits;
}

/** Who waits looks at as many as may hold it. */
const MOST_PERMITS = 10_000;

/**
 * Lets nobody hold it beside others who go by another number. Of two such, the later one finds the earlier before it is told that
 * it holds anything: whoever stands before it has entered before, and stays, or is about to leave because it has found another
 * itself. Errors when the first of them goes by another; `false` when one does who waits himself, such as for a `lock`.
 */
function agreement(backend: Backend, name: string, permits: number): (place: Place) => Observable<boolean> {
  const roster = { kind: 'lock', name } as const;
  return ({ entry: { token } }) => {
    const isAgreed = (line: readonly Entry[]): boolean => {
      const before = line.filter((entry) => entry.token < token && tellsPermits(entry));
      const [first] = before;
      if (first !== undefined && first.permits !== permits) throw new PermitsMismatch(name, permits, first.permits);
      return before.every((entry) => entry.permits === permits);
    };
    return backend.look(roster).pipe(
      switchMap((line) => {
        if (isAgreed(line)) return of(true);
        return concat(
          [false],
          backend.entries(roster).pipe(
            filter(isAgreed),
            take(1),
            map(() => true),
          ),
        );
      }),
    );
  };
}

/** Of what other clients hold or wait for, the store may not know by how many they go. */
function tellsPermits({ permits }: Entry): boolean {
  return permits > 0 && Number.isFinite(permits);
}
