import {
  defer,
  EMPTY,
  ignoreElements,
  map,
  merge,
  NEVER,
  Observable,
  of,
  retry,
  takeUntil,
  throwError,
  timer,
} from 'rxjs';
import type { Backend, EntryRequest, Place, RosterKey } from '../../backends/backend.js';
import { PlaceLost } from '../../backends/errors.js';
import { isError } from '../../backends/shared/is-error.js';
import { type Grant, type Loss, toldBy } from './grant.js';

/** Where one stands in a line for what only so many may hold. */
export interface Contention {
  readonly place: Place;
  /** While it is held. */
  readonly grant?: Grant;
}

/** How one stands in such a line, besides what is so in all of them. */
interface Stand extends Pick<EntryRequest, 'wait' | 'beforeLeave'>, Partial<Pick<EntryRequest, 'mode' | 'permits'>> {
  /** Read at each entry. */
  readonly data: Pick<EntryRequest, 'payload' | 'payload$'>;
  /** It is lost when it has been held for so long, whatever becomes of the work. */
  readonly maxHoldMs?: number | undefined;
  /** It is not given up before it has been held for so long, while its session lives. */
  readonly holdAtLeastMs?: number | undefined;
}

/** Stands in line for what only so many may hold. Lost while waiting: it stands again. Lost while held: it errors with the loss. */
export function contending(
  backend: Backend,
  roster: RosterKey,
  { data, maxHoldMs, holdAtLeastMs, beforeLeave, ...stand }: Stand,
  lossOf: (token: bigint, lost: PlaceLost) => Loss,
): Observable<Contention> {
  const { scheduler } = backend;
  return new Observable<Contention>((subscriber) => {
    let lossOfHeld: ((lost: PlaceLost) => Loss) | undefined;
    let heldFromMs = 0;
    const heldFor = (ms: number): Observable<unknown> =>
      defer(() => timer(Math.max(0, heldFromMs + ms - scheduler.now()), scheduler));
    const least$ = holdAtLeastMs === undefined ? EMPTY : heldFor(holdAtLeastMs);
    const most$ = maxHoldMs === undefined ? NEVER : heldFor(maxHoldMs);
    const settled = (): Observable<unknown> => {
      // It is told in any case that the entry is about to go.
      const work$ = beforeLeave?.() ?? EMPTY;
      return lossOfHeld === undefined ? merge(work$) : merge(work$, least$).pipe(ignoreElements(), takeUntil(most$));
    };
    const isAwaited = beforeLeave !== undefined || holdAtLeastMs !== undefined;

    const grantOf = (place: Place): Grant => {
      const { token, id } = place.entry;
      const loss = once((lost) => lossOf(token, lost));
      lossOfHeld = loss;
      heldFromMs = scheduler.now();
      const told = toldBy(place, loss);
      let isGivenUp = false;
      /** Told first, then given up; the work is not waited for. */
      const giveUp = (): void => {
        if (isGivenUp) return;
        isGivenUp = true;
        const lost = loss(new PlaceLost(`${roster.kind} ${JSON.stringify(roster.name)}`, 'held too long'));
        told.abort(lost);
        subscriber.error(lost);
        place.leave();
      };
      subscriber.add(most$.subscribe(giveUp));
      const isOverdue = (): boolean => {
        if (maxHoldMs === undefined || (!isGivenUp && scheduler.now() < heldFromMs + maxHoldMs)) return false;
        giveUp();
        return true;
      };
      return {
        name: roster.name,
        token,
        id,
        isValid: () => place.isValid() && !isOverdue(),
        signal: told.signal,
        draining: place.draining,
        release: () => place.leave(least$),
      };
    };

    const place$ = defer(() =>
      backend.enter(roster, {
        mode: 'exclusive',
        permits: 1,
        onDrain: 'work',
        ...data,
        ...stand,
        ...(isAwaited && { beforeLeave: settled }),
      }),
    );
    const contention$ = place$.pipe(
      map((place): Contention => (place.admitted ? { place, grant: grantOf(place) } : { place })),
      retry({
        delay: (error) => {
          if (!isError<PlaceLost>(error, 'PlaceLost')) return throwError(() => error);
          const loss = lossOfHeld?.(error);
          return loss === undefined ? of(0) : throwError(() => loss);
        },
      }),
    );
    subscriber.add(contention$.subscribe(subscriber));
  });
}

/** The stream errors with the loss that the signal aborts with. */
function once(lossOf: (lost: PlaceLost) => Loss): (lost: PlaceLost) => Loss {
  let loss: Loss | undefined;
  return (lost) => {
    loss ??= lossOf(lost);
    return loss;
  };
}
