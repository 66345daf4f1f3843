import {
  catchError,
  concat,
  defer,
  EMPTY,
  ignoreElements,
  type MonoTypeOperatorFunction,
  map,
  merge,
  NEVER,
  Observable,
  of,
  ReplaySubject,
  Subject,
  Subscription,
  switchMap,
  takeUntil,
  takeWhile,
  tap,
  timer,
} from 'rxjs';
import type { Backend, EntryRequest, Place, RosterKey } from '../../backends/backend.js';
import { type BackendClosed, PlaceLost } from '../../backends/errors.js';
import { isError } from '../../backends/shared/is-error.js';
import { aborted } from './aborted.js';
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
  /**
   * Asked about each entry before it is told that it holds anything. Emits whether it may: `false` where others stand before it who
   * should not, and are about to go; `true` at last. Errors where it never may.
   */
  readonly agreement?: ((place: Place) => Observable<boolean>) | undefined;
  /** It is lost when it has been held for so long, whatever becomes of the work. */
  readonly maxHoldMs?: number | undefined;
  /** It is not given up before it has been held for so long, while its session lives. */
  readonly holdAtLeastMs?: number | undefined;
}

/** A grant with signals that are made when they are asked for. */
class HeldGrant implements Grant {
  readonly token: bigint;
  readonly id: string;
  readonly isValid: () => boolean;
  readonly release: Grant['release'];
  readonly #place: Place;
  readonly #signal: () => AbortSignal;

  constructor(
    readonly name: string,
    place: Place,
    { isValid, release }: Pick<Grant, 'isValid' | 'release'>,
    signal: () => AbortSignal,
  ) {
    this.token = place.entry.token;
    this.id = place.entry.id;
    this.isValid = isValid;
    this.release = release;
    this.#place = place;
    this.#signal = signal;
  }

  get signal(): AbortSignal {
    return this.#signal();
  }

  get draining(): AbortSignal {
    return this.#place.draining;
  }
}

/** Stands in line for what only so many may hold. Lost while waiting: it stands again. Lost while held: it errors with the loss. */
export function contending(
  backend: Backend,
  roster: RosterKey,
  { data, agreement, maxHoldMs, holdAtLeastMs, beforeLeave, ...stand }: Stand,
  lossOf: (token: bigint, lost: PlaceLost) => Loss,
): Observable<Contention> {
  const { scheduler } = backend;
  return new Observable<Contention>((subscriber) => {
    let lossOfHeld: ((lost: PlaceLost) => Loss) | undefined;
    let heldFromMs = 0;
    let isReleased = false;
    /** It stands until the work has settled, and is held no longer. */
    let isLeaving = false;
    subscriber.add(() => {
      isLeaving = true;
    });
    const heldFor = (ms: number): Observable<unknown> =>
      defer(() => timer(Math.max(0, heldFromMs + ms - scheduler.now()), scheduler));
    const least$ = holdAtLeastMs === undefined ? EMPTY : heldFor(holdAtLeastMs);
    const most$ = maxHoldMs === undefined ? NEVER : heldFor(maxHoldMs);
    const settled = (): Observable<unknown> => {
      isLeaving = true;
      // It is told in any case that the entry is about to go.
      const work$ = beforeLeave?.() ?? EMPTY;
      return lossOfHeld === undefined ? merge(work$) : merge(work$, least$).pipe(ignoreElements(), takeUntil(most$));
    };
    const isAwaited = beforeLeave !== undefined || holdAtLeastMs !== undefined;

    const grantOf = (place: Place): Grant => {
      const { token } = place.entry;
      const loss = once((lost) => lossOf(token, lost));
      lossOfHeld = loss;
      heldFromMs = scheduler.now();
      let asked: AbortController | undefined;
      /** Made when somebody asks for it: how the place has ended is told then, too. */
      const told = (): AbortController => {
        asked ??= toldBy(place, loss);
        return asked;
      };
      // Nothing runs under it that could be told of a loss while it is kept for as long as it must be.
      if (isAwaited && beforeLeave === undefined) {
        const { signal } = told();
        signal.addEventListener('abort', () => {
          if (isError<BackendClosed>(signal.reason, 'BackendClosed')) subscriber.complete();
        });
      }
      let isGivenUp = false;
      let left: ReplaySubject<boolean> | undefined;
      /** Told first, then given up; the work is not waited for. */
      const giveUp = (): void => {
        if (isGivenUp) return;
        isGivenUp = true;
        left = new ReplaySubject(1);
        if (isReleased) {
          place.leave().subscribe(left);
          return;
        }
        const lost = loss(new PlaceLost(`${roster.kind} ${JSON.stringify(roster.name)}`, 'held too long'));
        told().abort(lost);
        subscriber.error(lost);
        place.leave().subscribe(left);
      };
      if (most$ !== NEVER) subscriber.add(most$.subscribe(giveUp));
      const isOverdue = (): boolean => maxHoldMs !== undefined && scheduler.now() >= heldFromMs + maxHoldMs;
      const acts = {
        // The clock is asked in any case: a loss that is due is told by it.
        isValid: () => {
          const isHeld = place.isValid();
          if (isOverdue()) giveUp();
          return isHeld && !isLeaving && !isGivenUp && asked?.signal.aborted !== true;
        },
        release: () => {
          // Whoever is told of the loss by the signal cannot make an end of one's own of it.
          if (left !== undefined) return left;
          isReleased = true;
          isLeaving = true;
          return place.leave(least$);
        },
      };
      return new HeldGrant(roster.name, place, acts, () => told().signal);
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
    const agreed$ = agreement === undefined ? place$ : place$.pipe(heldOnce(agreement, stand.wait !== false));
    let staying: Subscription | undefined;
    const standAgain = (error: unknown): void => {
      if (!isError<PlaceLost>(error, 'PlaceLost')) subscriber.error(error);
      // It was given up, and is over sooner than it was kept for.
      else if (isReleased) subscriber.complete();
      else if (lossOfHeld === undefined) enter();
      else subscriber.error(lossOfHeld(error));
    };
    const enter = (): void => {
      if (subscriber.closed) return;
      // There before it subscribes: that may fail at once, and enter again.
      const stay = new Subscription();
      staying = stay;
      stay.add(
        agreed$.subscribe({
          next: (place) => subscriber.next(place.admitted ? { place, grant: grantOf(place) } : { place }),
          error: standAgain,
          complete: () => subscriber.complete(),
        }),
      );
    };
    subscriber.add(() => staying?.unsubscribe());
    enter();
  });
}

/**
 * Shows a place as one that waits until the agreement is there. Where the backend drains before that, nothing is begun: it
 * completes. Who does not wait for it is told once.
 */
function heldOnce(
  agreement: (place: Place) => Observable<boolean>,
  isWaiting: boolean,
): MonoTypeOperatorFunction<Place> {
  return (place$) =>
    defer(() => {
      const ended = new Subject<void>();
      let agreedId: string | undefined;
      const asAgreed = (place: Place): Observable<Place> => {
        const { id } = place.entry;
        if (id === agreedId) return of(place);
        const waiting = asWaiting(place);
        const shown$ = agreement(place).pipe(
          map((isAgreed) => {
            if (isAgreed) agreedId = id;
            return isAgreed ? place : waiting;
          }),
          takeUntil(aborted(place.draining).pipe(tap(() => ended.next()))),
          catchError((error) => {
            if (!isError<BackendClosed>(error, 'BackendClosed')) throw error;
            ended.next();
            return EMPTY;
          }),
        );
        return isWaiting && !place.admitted ? concat([waiting], shown$) : shown$;
      };
      const told$ = place$.pipe(switchMap(asAgreed), takeUntil(ended));
      return isWaiting ? told$ : told$.pipe(takeWhile(({ admitted }) => admitted, true));
    });
}

function asWaiting(place: Place): Place {
  return { ...place, admitted: false, signal: place.signal, draining: place.draining };
}

/** The stream errors with the loss that the signal aborts with. */
function once(lossOf: (lost: PlaceLost) => Loss): (lost: PlaceLost) => Loss {
  let loss: Loss | undefined;
  return (lost) => {
    loss ??= lossOf(lost);
    return loss;
  };
}
