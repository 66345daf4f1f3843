import {
  catchError,
  defer,
  EMPTY,
  exhaustMap,
  ignoreElements,
  type Observable,
  type ObservableInput,
  of,
  ReplaySubject,
  repeat,
  Subject,
  type Subscriber,
  Subscription,
  tap,
  timer,
} from 'rxjs';
import type { Entry, EntryRequest, Place, RosterKey } from '../backend.js';
import {
  BackendClosed,
  type CoordinationError,
  InvalidPayload,
  type LossReason,
  PlaceLost,
  Released,
  ReleaseFailed,
  SessionLost,
} from '../errors.js';
import { ToldEnd } from '../shared/told-end.js';
import type { Standing, StandRequest } from '../store.js';
import type { KernelContext } from './context.js';
import type { Lease } from './lease.js';
import type { LifeListener, Operation } from './undertaking.js';

/** What a participation needs of the backend it belongs to. */
export interface ParticipationContext extends KernelContext {
  readonly name: string;
  /** The entry with the token that users see. */
  shown(entry: Entry): Entry;
  /** While the backend closes, ending the session releases everything at once. */
  readonly isClosing: boolean;
  /** Emits when it has closed. */
  readonly ended$: Observable<void>;
}

/** Who is told that a request goes out, where nobody asks. */
const NOBODY = (): void => undefined;

const AFTER_NOTHING = (): ObservableInput<unknown> => EMPTY;

/** A place with signals that are made when they are asked for. */
class OwnPlace implements Place {
  readonly entry: Entry;
  readonly admitted: boolean;
  readonly ahead: number;
  declare readonly barred?: boolean;
  readonly isValid: () => boolean;
  readonly remainingMs: () => number;
  readonly leave: Place['leave'];
  readonly #end: ToldEnd;
  readonly #draining: ToldEnd;

  constructor(
    { entry, admitted, ahead, barred }: Required<Pick<Place, 'entry' | 'admitted' | 'ahead' | 'barred'>>,
    { isValid, remainingMs, leave }: Pick<Place, 'isValid' | 'remainingMs' | 'leave'>,
    end: ToldEnd,
    draining: ToldEnd,
  ) {
    this.entry = entry;
    this.admitted = admitted;
    this.ahead = ahead;
    if (barred) this.barred = true;
    this.isValid = isValid;
    this.remainingMs = remainingMs;
    this.leave = leave;
    this.#end = end;
    this.#draining = draining;
  }

  get signal(): AbortSignal {
    return this.#end.signal;
  }

  get draining(): AbortSignal {
    return this.#draining.signal;
  }
}

/**
 * One subscription's stay in one roster, in one session: enters, tells the places, and leaves.
 *
 * An `enter` that is under way cannot be called back: whoever unsubscribes meanwhile leaves when it has come to an end.
 * One whose reply was lost is repeated under the same id; if it is given up instead, the store is told to refuse it.
 */
export class Participation implements LifeListener {
  readonly #request: StandRequest;
  readonly #end = new ToldEnd();
  readonly #draining = new ToldEnd();
  readonly #stay = new Subscription();
  /** Told when the request that is asked for now goes out. */
  #sent: () => void = NOBODY;
  #isEntering = true;
  #entering: Operation<Standing> | undefined;
  #standing: Standing | undefined;
  #isAdmitted: boolean | undefined;
  #isInFlight = false;
  #inDoubt = false;
  #isLeaving = false;
  /** For what must end before it leaves. */
  #waiting: Subscription | undefined;
  #left: ReplaySubject<boolean> | undefined;
  #outcome: ((left: ReplaySubject<boolean>) => void) | undefined;
  #isOver = false;
  #isSettled = false;
  #settled: Subject<never> | undefined;
  /** Why it leaves, where not because its owner wishes it. */
  #reason: CoordinationError | undefined;

  constructor(
    private readonly roster: RosterKey,
    private readonly wish: EntryRequest,
    private readonly lease: Lease,
    private readonly context: ParticipationContext,
    private readonly subscriber: Subscriber<Place>,
    /** Told when nothing of the guarded work is left. */
    private readonly settled: () => void,
  ) {
    this.#request = {
      id: lease.newId(),
      mode: wish.mode,
      permits: wish.permits,
      payload: wish.payload,
      registered: wish.registered ?? false,
      sent: () => {
        this.#isInFlight ||= this.#isEntering;
        this.#sent();
      },
    };
  }

  /** Completes when nothing of the guarded work is left: the entry may go. */
  get settled$(): Observable<never> {
    if (this.#isSettled) return EMPTY;
    this.#settled ??= new Subject();
    return this.#settled;
  }

  start(): void {
    const listening = this.lease.listen(this);
    this.#stay.add(() => listening?.leave());
    if (this.#isOver) return;
    this.#entering = this.lease.operation<Standing>(
      {
        next: (standing) => {
          this.#answered(true);
          this.#standing = standing;
        },
        error: (error) => {
          this.#entered();
          if (this.#inDoubt) this.#sendLeave();
          else if (this.#isLeaving) this.#tellLeft(false);
          if (!this.#isLeaving && !(error instanceof SessionLost)) this.#fail(error);
        },
        complete: () => {
          this.#entered();
          this.#answered(false);
          if (this.#isLeaving) this.#sendLeave();
          else if (this.#standing !== undefined) this.#stand(this.#standing);
        },
      },
      `enter ${this.#subject}`,
      () => this.lease.session.enter(this.roster, this.#request),
      {
        again: () => {
          this.#answered(false);
          return !this.#isLeaving;
        },
        asking: this.#asking,
        through: this.lease.entering,
        isAnsweredOnce: true,
      },
    );
    this.#entering.start();
  }

  /** What was needed for it is let go. */
  #entered(): void {
    this.#entering = undefined;
    this.#sent = NOBODY;
  }

  /** Where the backend was closed, that has told it to leave. */
  over(cause: SessionLost | undefined): void {
    if (cause !== undefined) this.#lose('session lost', cause);
  }

  /**
   * The backend closes: the stream completes, which leaves. Guarded work settles first, and what becomes of the place
   * meanwhile is told as ever; the deadline that holds now is the last moment for it.
   */
  complete(): void {
    if (this.#isOver) return;
    this.#leaveBecause(new BackendClosed(this.context.name), !this.#isGuarding);
    if (this.#isOver) return;
    const { clock } = this.context;
    this.#stay.add(
      timer(Math.max(0, this.lease.remainingMs()), clock).subscribe(() => {
        const why = 'the backend was closed, and the work has not settled in time';
        this.#lose('session lost', new SessionLost(this.lease.session.id, why, false));
      }),
    );
  }

  /** The backend drains: who waits leaves, and so does who holds something and does not wish to stay. */
  drain(): void {
    if (this.#isOver || this.#isLeaving) return;
    if (this.#isAdmitted === true && (this.wish.onDrain ?? 'leave') !== 'leave')
      this.#draining.tell(() => new BackendClosed(this.context.name, 'draining'));
    else this.#leaveBecause(new BackendClosed(this.context.name, 'draining'), true);
  }

  /** The backend that drains waits for it. Also where one has unsubscribed, and guarded work has not settled. */
  get isWorking(): boolean {
    return !this.#isOver && this.#isAdmitted === true && this.wish.onDrain === 'work';
  }

  /** Whoever is told that it completes unsubscribes, and is not the reason for it. */
  #leaveBecause(reason: CoordinationError, completes: boolean): void {
    this.#reason = reason;
    this.#draining.tell(() => reason);
    if (completes) this.subscriber.complete();
    this.leave();
  }

  /** Waits for what must end first, then takes the entry out of the roster. */
  leave(): void {
    const { beforeLeave } = this.wish;
    this.#leaveAfter(beforeLeave === undefined ? AFTER_NOTHING : () => beforeLeave());
  }

  /** Takes the entry out after `first`, whatever else it would have waited for, or waits for already. */
  leaveAfter(first: ObservableInput<unknown>): Observable<boolean> {
    const waiting = this.#waiting;
    if (waiting === undefined) this.#leaveAfter(first === EMPTY ? AFTER_NOTHING : () => first);
    else {
      const instead = this.#end$(() => first).subscribe();
      this.#stay.add(instead);
      instead.add(() => waiting.unsubscribe());
    }
    return this.#left$.asObservable();
  }

  #leaveAfter(first: () => ObservableInput<unknown>): void {
    if (this.#isLeaving || this.#isOver) return;
    this.#isLeaving = true;
    this.#end.tell(() => this.#reason ?? new Released(this.#subject));
    if (first === AFTER_NOTHING) {
      this.#depart();
      return;
    }
    const waiting = this.#end$(first).subscribe();
    // A place that is lost is not waited for any longer.
    this.#waiting = waiting;
    this.#stay.add(waiting);
    waiting.add(() => this.#depart());
  }

  /** Completes when what must end first has ended, or failed. */
  #end$(first: () => ObservableInput<unknown>): Observable<never> {
    return defer(first).pipe(
      ignoreElements(),
      catchError((cause) => {
        this.context.report(new ReleaseFailed(this.context.store, this.#subject, cause));
        return EMPTY;
      }),
    );
  }

  /** It holds something under which work may run that cannot be stopped. */
  get #isGuarding(): boolean {
    return this.wish.beforeLeave !== undefined && this.#isAdmitted === true;
  }

  #depart(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stay.unsubscribe();
    if (!this.#isInFlight) {
      this.#entering?.unsubscribe();
      if (this.#standing !== undefined || this.#inDoubt) this.#sendLeave();
      else this.#tellLeft(false);
    }
    this.subscriber.complete();
    this.#settle();
  }

  get #subject(): string {
    return `${this.roster.kind} ${JSON.stringify(this.roster.name)}`;
  }

  #stand(standing: Standing): void {
    if (standing.ahead >= this.wish.permits && this.wish.wait === false) {
      this.#isLeaving = true;
      this.#stay.unsubscribe();
      const place = this.#place(standing, standing.ahead);
      this.#isOver = true;
      this.#settle();
      this.#sendLeave(() => {
        this.subscriber.next(place);
        this.subscriber.complete();
      });
      return;
    }
    this.#tell(standing, standing.ahead);
    if (this.#isOver || this.#isLeaving) return;
    const following = this.lease.following<number>(
      {
        next: (ahead) => this.#tell(standing, ahead),
        error: (error) => {
          if (error instanceof PlaceLost) this.#lose(error.reason, error.cause);
          else if (!(error instanceof SessionLost)) this.#fail(error);
        },
        complete: () => undefined,
      },
      () => this.lease.session.place(this.roster, this.#request, standing),
    );
    this.#stay.add(following);
    following.start();
    if (this.wish.payload$ !== undefined) this.#update(this.wish.payload$);
  }

  /** Writes one payload after the other. Of those that come meanwhile only the latest is kept, and written next. */
  #update(payload$: Observable<Uint8Array>): void {
    let next: Uint8Array | undefined;
    const write = defer(() => {
      const payload = next;
      next = undefined;
      if (payload === undefined) return EMPTY;
      this.#isEntering = false;
      const update = (): Observable<void> => this.lease.session.update(this.roster, this.#request, payload);
      return this.lease.perform(`update ${this.#subject}`, update, { asking: this.#asking }).pipe(
        tap({ complete: () => this.wish.stored?.(payload) }),
        catchError((error) => {
          if (!(error instanceof InvalidPayload)) throw error;
          this.context.report(error);
          return EMPTY;
        }),
      );
    }).pipe(repeat({ delay: () => (next === undefined ? EMPTY : of(undefined)) }));
    this.#stay.add(
      payload$
        .pipe(
          tap((payload) => {
            next = payload;
          }),
          exhaustMap(() => write),
        )
        .subscribe({
          error: (error) => {
            if (!(error instanceof SessionLost)) this.#fail(error);
          },
        }),
    );
  }

  #tell(standing: Standing, ahead: number): void {
    const admitted = ahead < this.wish.permits;
    if (admitted === this.#isAdmitted || this.#isOver || this.#isLeaving) return;
    // The reply may have come after the deadline: then the loss is told instead.
    if (!this.lease.check()) return;
    this.#isAdmitted = admitted;
    this.subscriber.next(this.#place(standing, ahead));
  }

  #place(standing: Standing, ahead: number): Place {
    const admitted = ahead < this.wish.permits;
    const isValid = (): boolean => admitted && !this.#isOver && this.lease.check();
    const told = {
      entry: this.context.shown(standing.entry),
      admitted,
      // Where any number may stand beside each other, adapters do not count.
      ahead: this.wish.permits === Number.POSITIVE_INFINITY ? 0 : ahead,
      barred: standing.barred === true && !admitted,
    };
    const acts = {
      isValid,
      remainingMs: () => (isValid() ? this.lease.remainingMs() : 0),
      leave: (first: ObservableInput<unknown> = EMPTY) => this.leaveAfter(first),
    };
    return new OwnPlace(told, acts, this.#end, this.#draining);
  }

  #lose(reason: LossReason, cause: unknown): void {
    if (this.#isOver) return;
    const lost = new PlaceLost(this.#subject, reason, cause);
    this.#endWith(lost);
  }

  /** Or nobody waits any longer for the answer: then the entry may stand all the same, if the request was sent. */
  #answered(isCertain: boolean): void {
    if (this.#isInFlight && !isCertain) this.#inDoubt = true;
    this.#isInFlight = false;
  }

  /** What waiting does not heal: the user gets it, and nothing stays in line. */
  #fail(error: unknown): void {
    if (this.#isOver || this.#isLeaving) return;
    this.#endWith(error, () => {
      if (this.#standing !== undefined) this.#sendLeave();
    });
  }

  /** Over first: whatever the rest sets off finds it so. Settled last: the backend that closes may go on then. */
  #endWith(error: unknown, leave: () => void = () => undefined): void {
    this.#isOver = true;
    this.#stay.unsubscribe();
    this.#end.tell(() => error);
    leave();
    this.#tellLeft(false);
    // Whoever is told of it by the signal may close the backend: then nothing is to be tried again.
    if (this.context.isClosing && !this.#isGuarding) this.subscriber.complete();
    else this.subscriber.error(error);
    this.#settle();
  }

  /** Until the request to enter has gone out, nothing of it can be in doubt. */
  readonly #asking = (sent: () => void): void => {
    this.#sent = sent;
  };

  #sendLeave(done: () => void = () => undefined): void {
    if (this.context.isClosing) {
      this.context.ended$.subscribe(() => this.#tellLeft(true));
      done();
      return;
    }
    let isRepeated = false;
    const failed = (cause: unknown): void =>
      this.context.report(new ReleaseFailed(this.context.store, this.#subject, cause));
    this.#isEntering = false;
    const leaving = this.lease.operation<boolean>(
      {
        // Of one that is repeated, the first may have taken it out.
        next: (wasThere) => this.#tellLeft(wasThere || isRepeated),
        error: (cause) => {
          // With its session, the entry is gone as well.
          if (cause instanceof SessionLost) this.#tellLeft(false);
          else {
            failed(cause);
            this.#noteLeft((left) => left.error(cause));
          }
          done();
        },
        complete: done,
      },
      `leave ${this.#subject}`,
      () => this.lease.session.leave(this.roster, this.#request, this.#inDoubt),
      {
        again: (cause) => {
          isRepeated = true;
          failed(cause);
          return true;
        },
        asking: this.#asking,
      },
    );
    leaving.start();
  }

  /** Whether it was there, once that is known. Made when it is asked for. */
  get #left$(): ReplaySubject<boolean> {
    if (this.#left === undefined) {
      this.#left = new ReplaySubject(1);
      this.#outcome?.(this.#left);
    }
    return this.#left;
  }

  #settle(): void {
    this.#isSettled = true;
    this.settled();
    this.#settled?.complete();
  }

  /** The store has it, or there is nothing to take out. */
  #tellLeft(wasThere: boolean): void {
    const wasHeld = wasThere && this.#isAdmitted === true;
    this.#noteLeft((left) => {
      left.next(wasHeld);
      left.complete();
    });
  }

  /** The first one counts. */
  #noteLeft(outcome: (left: ReplaySubject<boolean>) => void): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = outcome;
    if (this.#left !== undefined) outcome(this.#left);
  }
}
