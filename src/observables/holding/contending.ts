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
  type Subscriber,
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

/** What is told of a place in the line. */
export type Show<T> = (place: Place, grant: Grant | undefined) => T | undefined;

/** How a loss is told of what was held under a token. */
type LossOf = (token: bigint, lost: PlaceLost) => Loss;

/** A grant with signals that are made when they are asked for. */
class HeldGrant implements Grant {
  readonly token: bigint;
  readonly id: string;
  readonly isValid: () => boolean;
  readonly release: Grant['release'];
  readonly #holding: Holding;

  constructor(
    readonly name: string,
    holding: Holding,
  ) {
    this.token = holding.place.entry.token;
    this.id = holding.place.entry.id;
    this.isValid = () => holding.isValid();
    this.release = () => holding.release();
    this.#holding = holding;
  }

  get signal(): AbortSignal {
    return this.#holding.signal;
  }

  get draining(): AbortSignal {
    return this.#holding.place.draining;
  }
}

/** What is held from when one is admitted until it is given up, or lost. */
class Holding {
  readonly #sinceMs: number;
  #loss: Loss | undefined;
  #told: AbortController | undefined;
  #isGivenUp = false;
  #left: ReplaySubject<boolean> | undefined;

  constructor(
    readonly place: Place,
    private readonly contender: Contending<unknown>,
  ) {
    this.#sinceMs = contender.nowMs();
  }

  start(): void {
    const { contender } = this;
    // Nothing runs under it that could be told of a loss while it is kept for as long as it must be.
    if (contender.isKept) {
      const { signal } = this;
      signal.addEventListener('abort', () => {
        if (isError<BackendClosed>(signal.reason, 'BackendClosed')) contender.complete();
      });
    }
    const { maxHoldMs } = contender.stand;
    if (maxHoldMs !== undefined) contender.add(this.for(maxHoldMs).subscribe(() => this.#giveUp()));
  }

  /** Emits when it has been held for so long. */
  for(ms: number): Observable<unknown> {
    const { contender } = this;
    return defer(() => timer(Math.max(0, this.#sinceMs + ms - contender.nowMs()), contender.scheduler));
  }

  /** Completes when it has been held for as long as it must be. */
  get least$(): Observable<unknown> {
    const { holdAtLeastMs } = this.contender.stand;
    return holdAtLeastMs === undefined ? EMPTY : this.for(holdAtLeastMs);
  }

  /** The stream errors with the loss that the signal aborts with. */
  lossOf(lost: PlaceLost): Loss {
    this.#loss ??= this.contender.lossOf(this.place.entry.token, lost);
    return this.#loss;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The clock is asked in any case: a loss that is due is told by it. */
  isValid(): boolean {
    const isHeld = this.place.isValid();
    const { contender } = this;
    const { maxHoldMs } = contender.stand;
    if (maxHoldMs !== undefined && contender.nowMs() >= this.#sinceMs + maxHoldMs) this.#giveUp();
    return isHeld && !contender.isLeaving && !this.#isGivenUp && this.#told?.signal.aborted !== true;
  }

  release(): Observable<boolean> {
    // Whoever is told of the loss by the signal cannot make an end of one's own of it.
    if (this.#left !== undefined) return this.#left;
    this.contender.isReleased = true;
    this.contender.isLeaving = true;
    return this.place.leave(this.least$);
  }

  /** Made when somebody asks for it: how the place has ended is told then, too. */
  get #controller(): AbortController {
    this.#told ??= toldBy(this.place, (lost) => this.lossOf(lost));
    return this.#told;
  }

  /** Told first, then given up; the work is not waited for. */
  #giveUp(): void {
    if (this.#isGivenUp) return;
    this.#isGivenUp = true;
    this.#left = new ReplaySubject(1);
    if (!this.contender.isReleased) {
      const lost = this.lossOf(new PlaceLost(this.contender.subject, 'held too long'));
      this.#controller.abort(lost);
      this.contender.error(lost);
    }
    this.place.leave().subscribe(this.#left);
  }
}

/** One subscription's stay in a line: again and again, if it is lost while it waits. */
class Contending<T> {
  isReleased = false;
  /** It stands until the work has settled, and is held no longer. */
  isLeaving = false;
  #holding: Holding | undefined;
  #staying: Subscription | undefined;
  readonly #place$: Observable<Place>;

  constructor(
    private readonly backend: Backend,
    private readonly roster: RosterKey,
    readonly stand: Stand,
    readonly lossOf: LossOf,
    private readonly show: Show<T>,
    private readonly subscriber: Subscriber<T>,
  ) {
    const { agreement } = stand;
    const place$ = defer(() => this.#enter());
    this.#place$ = agreement === undefined ? place$ : place$.pipe(heldOnce(agreement, stand.wait !== false));
    subscriber.add(() => {
      this.isLeaving = true;
    });
    subscriber.add(() => this.#staying?.unsubscribe());
  }

  get scheduler(): Backend['scheduler'] {
    return this.backend.scheduler;
  }

  get subject(): string {
    return `${this.roster.kind} ${JSON.stringify(this.roster.name)}`;
  }

  /** Where it is given up, it is held on for as long as it must be, and there is no work that could be told. */
  get isKept(): boolean {
    return this.stand.holdAtLeastMs !== undefined && this.stand.beforeLeave === undefined;
  }

  nowMs(): number {
    return this.backend.scheduler.now();
  }

  add(teardown: Subscription): void {
    this.subscriber.add(teardown);
  }

  complete(): void {
    this.subscriber.complete();
  }

  start(): void {
    if (this.subscriber.closed) return;
    // There before it subscribes: that may fail at once, and start again.
    const stay = new Subscription();
    this.#staying = stay;
    stay.add(this.#place$.subscribe(this));
  }

  next(place: Place): void {
    const shown = this.show(place, place.admitted ? this.#hold(place) : undefined);
    if (shown !== undefined) this.subscriber.next(shown);
  }

  error(error: unknown): void {
    if (!isError<PlaceLost>(error, 'PlaceLost')) this.subscriber.error(error);
    // It was given up, and is over sooner than it was kept for.
    else if (this.isReleased) this.complete();
    else if (this.#holding === undefined) this.start();
    else this.subscriber.error(this.#holding.lossOf(error));
  }

  #hold(place: Place): Grant {
    const holding = new Holding(place, this);
    this.#holding = holding;
    holding.start();
    return new HeldGrant(this.roster.name, holding);
  }

  #enter(): Observable<Place> {
    const { data, agreement: _, maxHoldMs: __, holdAtLeastMs, beforeLeave, ...wish } = this.stand;
    const isAwaited = beforeLeave !== undefined || holdAtLeastMs !== undefined;
    return this.backend.enter(this.roster, {
      mode: 'exclusive',
      permits: 1,
      onDrain: 'work',
      ...data,
      ...wish,
      ...(isAwaited && { beforeLeave: () => this.#settled() }),
    });
  }

  #settled(): Observable<unknown> {
    this.isLeaving = true;
    const { beforeLeave, maxHoldMs } = this.stand;
    // It is told in any case that the entry is about to go.
    const work$ = beforeLeave?.() ?? EMPTY;
    const holding = this.#holding;
    if (holding === undefined) return merge(work$);
    const most$ = maxHoldMs === undefined ? NEVER : holding.for(maxHoldMs);
    return merge(work$, holding.least$).pipe(ignoreElements(), takeUntil(most$));
  }
}

/**
 * Stands in line for what only so many may hold, and tells what `show` makes of each place, and of the grant while it is held, if
 * that is anything. Lost while waiting: it stands again. Lost while held: it errors with the loss.
 */
export function contending<T>(
  backend: Backend,
  roster: RosterKey,
  stand: Stand,
  lossOf: LossOf,
  show: Show<T>,
): Observable<T> {
  return new Observable<T>((subscriber) => {
    new Contending(backend, roster, stand, lossOf, show, subscriber).start();
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
