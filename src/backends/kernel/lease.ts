import {
  defer,
  type MonoTypeOperatorFunction,
  merge,
  mergeMap,
  Observable,
  type Observer,
  Subject,
  type Subscriber,
  Subscription,
  takeUntil,
  tap,
  throwError,
  timer,
} from 'rxjs';
import { type CoordinationError, SessionLost, Unavailable } from '../errors.js';
import { reliableMs } from '../shared/options.js';
import type { StoreSession } from '../store.js';
import type { SuspendWatch } from './clock.js';
import type { KernelContext } from './context.js';
import { Patience } from './patience.js';
import { Row, type Stander } from './row.js';
import {
  Following,
  type Life,
  type LifeListener,
  Operation,
  type Perseverance,
  type Undertaking,
} from './undertaking.js';
import { Window } from './window.js';

/**
 * Two clocks tell times so far apart without either having been set: one of them tells whole milliseconds. It counts for the
 * deadline, and says nothing of why it has passed.
 */
const CLOCKS_APART_MS = 2;

/**
 * So many enter at a time: enough to keep a store busy, and few enough that their answers, should all come at once, and the
 * requests that follow them, take no longer than a renewal can bear to wait.
 */
export const MOST_ENTERING = 128;

/** Told of what becomes of a lease; `lost` after everybody who held something in it was told. */
export interface LeaseObserver {
  proved(provedMs: number): void;
  live(): void;
  suspended(cause: CoordinationError): void;
  lost(cause: SessionLost): void;
}

/** What a lease needs of its session; those who hold something in it need more. */
export type Renewable = Pick<StoreSession, 'id' | 'ttlMs' | 'provedMs' | 'link$' | 'renew' | 'proof'>;

/**
 * One session, held by the deadline rule:
 *
 *     deadline = send time of the last proved renewal + ttl × (1 − drift) − guard
 *
 * The store counts the ttl from when it received that renewal, which is later, so until the deadline nobody else can
 * have been admitted. Time is what the monotonic clock says, or the wall clock where that says more: the former stands
 * still while the machine is suspended. At the deadline everything held here is given up first; only then is the store talked to again.
 * What arrives after the deadline revives nothing.
 */
export class Lease<S extends Renewable = StoreSession> implements Life {
  readonly patience: Patience;
  /** Who enters goes through this. Renewals and releases do not: they never wait behind it. */
  readonly entering: Window = new Window(MOST_ENTERING);
  /** An id for an entry: 32 hexadecimal digits, unique. */
  readonly newId: () => string;
  readonly #listeners = new Row<LifeListener>();
  #isLinked = false;
  /** So often the link has come up or broken. */
  #changes = 0;
  #ending: { readonly cause: SessionLost | undefined } | undefined;
  /** For so long after it was proved it may be relied on. */
  readonly #reliableMs: number;
  readonly #subscriptions = new Subscription();
  #renewal: Subscription | undefined;
  #deadlineTimer: Subscription | undefined;
  /** When the last proved renewal was sent. */
  #provedMs: number;
  #isEnding = false;
  #over = false;

  constructor(
    readonly session: S,
    readonly context: KernelContext,
    private readonly observer: LeaseObserver,
    /** Knows the moment at which the session was asked for. */
    private readonly suspensions: SuspendWatch,
  ) {
    this.newId = context.newIds();
    this.patience = new Patience(context.timing.requestTimeoutMs, context.clock);
    this.#reliableMs = reliableMs(context.timing, session.ttlMs);
    this.#provedMs = session.provedMs;
  }

  /** Starts renewing and watching the deadline. */
  start(): void {
    this.#subscriptions.add(this.context.onDueCheck(() => this.check()));
    this.#armDeadline();
    this.#renewAfter(this.session.provedMs + this.context.timing.renewEveryMs - this.context.clock.now());
    let up = true;
    this.#subscriptions.add(
      this.session.link$.subscribe({
        next: (linked) => {
          this.#tellLinked(linked);
          if (!linked)
            this.#suspend(
              new Unavailable(this.context.store, 'keep the connection', new Error('it is connected again by itself')),
            );
          if (linked && !up) this.#renewAfter(0);
          up = linked;
        },
        error: (cause) => this.lose('the store has ended it', cause),
      }),
    );
  }

  /** Whether what is held in this session may be relied on, asked of the clocks now. Tells the loss if it is due. */
  check(): boolean {
    if (this.#over) return false;
    if (!this.#heedProof()) this.lose('the thread that renews it has given it up');
    else if (this.#restMs() <= 0) {
      const nowMs = this.context.clock.now();
      const aheadMs = this.suspensions.aheadMs(this.#provedMs, nowMs);
      const isSuspended = nowMs - this.#provedMs + CLOCKS_APART_MS < this.#reliableMs;
      this.lose(
        isSuspended
          ? `the machine was suspended or its wall clock set forward, by ${Math.round(aheadMs)} ms since it was last renewed`
          : 'it was not renewed in time',
      );
    }
    return !this.#over;
  }

  /** From now to the deadline. */
  remainingMs(): number {
    return this.#heedProof() ? this.#restMs() : 0;
  }

  #restMs(): number {
    const nowMs = this.context.clock.now();
    return this.#reliableMs - (nowMs - this.#provedMs) - this.suspensions.aheadMs(this.#provedMs, nowMs);
  }

  /** Gives up everything held in this session. Nothing revives it. */
  lose(reason: string, cause?: unknown): void {
    if (this.#over) return;
    this.#stop();
    const lost = cause instanceof SessionLost ? cause : new SessionLost(this.session.id, reason, false, cause);
    this.#tellOver(lost);
    this.observer.lost(lost);
  }

  /** Whether it was lost or retired. Unlike `check`, does not ask the clocks. */
  get isOver(): boolean {
    return this.#over;
  }

  /** No renewal from here on: one that came after the session's end would be told of it as of a loss. */
  stopRenewing(): void {
    this.#isEnding = true;
    this.#renewal?.unsubscribe();
  }

  /** Ends renewal and timers because the backend is being closed; nothing is reported lost. */
  retire(): void {
    this.#stop();
    this.#tellOver(undefined);
  }

  get isLinked(): boolean {
    return this.#isLinked;
  }

  listen(listener: LifeListener): Stander<LifeListener> | undefined {
    if (this.#ending === undefined) return this.#listeners.add(listener);
    listener.over(this.#ending.cause);
    return undefined;
  }

  /**
   * Carries out one idempotent operation: when the link is up, again after each passing failure, until the session is
   * lost (then it errors with that). The time for the answer runs from when it is begun, or from when it is sent.
   */
  perform<T>(operation: string, run: () => Observable<T>, how: Perseverance = {}): Observable<T> {
    return started((subscriber) => this.operation(subscriber, operation, run, how));
  }

  /** The same to be started, for what happens often. */
  operation<T>(observer: Observer<T>, operation: string, run: () => Observable<T>, how: Perseverance): Operation<T> {
    return new Operation(this, observer, operation, run, how);
  }

  /** Follows a stream of the store while the link is up, and from its start again after each break. */
  follow<T>(run: () => Observable<T>): Observable<T> {
    return started((subscriber) => this.following(subscriber, run));
  }

  /** The same to be started. */
  following<T>(observer: Observer<T>, run: () => Observable<T>): Following<T> {
    return new Following(this, observer, run);
  }

  /** Who comes meanwhile sees how it is, and who goes is not told. If it changes meanwhile, all have been told by then. */
  #tellLinked(isLinked: boolean): void {
    if (isLinked === this.#isLinked) return;
    this.#isLinked = isLinked;
    const change = ++this.#changes;
    for (const listener of this.#listeners) {
      if (change !== this.#changes) return;
      listener.linked?.(isLinked);
    }
  }

  /** Takes what the session has proved by itself; `false` if it was given up. */
  #heedProof(): boolean {
    if (this.session.proof === undefined) return true;
    const proof = this.session.proof();
    if (proof !== undefined && proof.provedMs > this.#provedMs) {
      this.suspensions.learn(proof.provedMs, proof.leastAheadMs);
      this.#heed(proof.provedMs);
    }
    return proof !== undefined;
  }

  #heed(provedMs: number): void {
    this.#provedMs = Math.max(this.#provedMs, provedMs);
    this.suspensions.forgetBefore(this.#provedMs);
  }

  #tellOver(cause: SessionLost | undefined): void {
    this.#ending = { cause };
    for (const listener of this.#listeners) listener.over(cause);
  }

  #armDeadline(): void {
    this.#deadlineTimer?.unsubscribe();
    // A timer may fire a little early: then it is armed again.
    this.#deadlineTimer = timer(Math.max(1, this.remainingMs()), this.context.clock).subscribe(() => {
      if (this.check()) this.#armDeadline();
    });
  }

  #renewAfter(delayMs: number): void {
    this.#renewal?.unsubscribe();
    if (this.#over || this.#isEnding) return;
    this.#renewal = timer(Math.max(0, delayMs), this.context.clock).subscribe(() => this.#renew());
  }

  #renew(): void {
    if (!this.check()) return;
    const { timing, clock } = this.context;
    this.suspensions.mark();
    const sentMs = clock.now();
    // Known before it is begun: it may fail at once, and set the next one's timer in its stead.
    const renewal = new Subscription();
    this.#renewal = renewal;
    renewal.add(
      this.session
        .renew()
        .pipe(unansweredAfter(this.context, timing.requestTimeoutMs, 'renew'))
        .subscribe({
          next: (provedMs) => this.#prove(provedMs),
          error: (cause) => {
            if (cause instanceof SessionLost) {
              this.lose(cause.reason, cause);
              return;
            }
            const unavailable =
              cause instanceof Unavailable ? cause : new Unavailable(this.context.store, 'renew', cause);
            if (unavailable !== cause) this.context.report(unavailable);
            this.#suspend(unavailable);
            this.#renewAfter(timing.renewEveryMs / 5);
          },
          complete: () => {
            if (this.#isLinked) this.observer.live();
            this.#renewAfter(sentMs + timing.renewEveryMs - clock.now());
          },
        }),
    );
  }

  #prove(provedMs: number): void {
    if (!this.check()) return;
    this.#heed(provedMs);
    this.observer.proved(this.#provedMs);
  }

  #suspend(cause: CoordinationError): void {
    if (this.#over) return;
    this.observer.suspended(cause);
    if (this.context.timing.giveUpAt === 'suspended') this.lose('the connection is in doubt', cause);
  }

  #stop(): void {
    this.#over = true;
    this.entering.close();
    this.#renewal?.unsubscribe();
    this.#deadlineTimer?.unsubscribe();
    this.#subscriptions.unsubscribe();
    this.patience.dispose();
  }
}

function started<T>(undertaking: (subscriber: Subscriber<T>) => Undertaking<T>): Observable<T> {
  return new Observable((subscriber) => {
    const made = undertaking(subscriber);
    subscriber.add(made);
    made.start();
  });
}

/** Fails with `Unavailable` where the first answer, or the completion without one, comes later than `ms` after it was asked for. */
export function unansweredAfter<T>(
  { store, clock }: Pick<KernelContext, 'store' | 'clock'>,
  ms: number,
  operation: string,
): MonoTypeOperatorFunction<T> {
  return (source) =>
    defer(() => {
      const answered = new Subject<void>();
      const answer = (): void => {
        answered.next();
        answered.complete();
      };
      const overdue = timer(ms, clock).pipe(
        mergeMap(() => throwError(() => new Unavailable(store, operation, new Error(`no answer within ${ms} ms`)))),
        takeUntil(answered),
      );
      // First, since the source may be sent, and answer, at once.
      return merge(overdue, source.pipe(tap({ next: answer, complete: answer })));
    });
}
