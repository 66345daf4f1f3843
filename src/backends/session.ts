import {
  BehaviorSubject,
  catchError,
  defer,
  distinctUntilChanged,
  EMPTY,
  filter,
  finalize,
  ignoreElements,
  type MonoTypeOperatorFunction,
  mergeMap,
  NEVER,
  Observable,
  ReplaySubject,
  retry,
  type SchedulerLike,
  Subscription,
  switchMap,
  take,
  takeUntil,
  throwError,
  timeout,
  timer,
} from 'rxjs';
import type { Session } from './backend.js';
import { type ClockLike, suspendWatch } from './clock.js';
import { ConnectionRefused, type CoordinationError, ReleaseFailed, SessionLost, Unavailable } from './errors.js';
import { reliableMs, type Timing } from './options.js';
import type { Store, StoreContext, StoreSession } from './store.js';
import { onDueCheck } from './validity.js';

/** Least jump of the wall clock against the monotonic one that counts: below lies the resolution of the clocks. */
const LEAST_JUMP_MS = 20;

/** What the kernel's parts share. */
export interface KernelContext {
  readonly timing: Timing;
  readonly clock: ClockLike;
  /** Uniform in [0, 1): jitter. */
  random(): number;
  report(fault: CoordinationError): void;
}

/** Exponential back-off with jitter: between half of the pause and all of it. */
export function backoffMs({ timing, random }: KernelContext, attempt: number): number {
  const pause = Math.min(timing.maxBackoffMs, timing.initialBackoffMs * 2 ** Math.min(attempt, 30));
  return pause * (0.5 + random() / 2);
}

/** Told of what becomes of a lease; `lost` after everybody who held something in it was told. */
interface LeaseObserver {
  proved(): void;
  live(): void;
  suspended(cause: CoordinationError): void;
  lost(cause: SessionLost): void;
}

/**
 * One session, held by the deadline rule:
 *
 *     deadline = send time of the last proved renewal + ttl × (1 − drift) − guard
 *
 * The store counts the ttl from when it received that renewal, which is later, so until the deadline nobody else can
 * have been admitted. At the deadline everything held here is given up first; only then is the store talked to again.
 * What arrives after the deadline revives nothing.
 */
export class Lease {
  readonly lost$: Observable<SessionLost>;
  readonly linked$: Observable<boolean>;
  readonly #lost = new ReplaySubject<SessionLost>(1);
  readonly #linked = new BehaviorSubject(false);
  readonly #subscriptions = new Subscription();
  readonly #jumpedMs: () => number;
  #renewal: Subscription | undefined;
  #deadlineTimer: Subscription | undefined;
  #deadlineMs: number;
  #over = false;

  constructor(
    readonly session: StoreSession,
    private readonly context: KernelContext,
    private readonly observer: LeaseObserver,
  ) {
    this.lost$ = this.#lost.asObservable();
    this.linked$ = this.#linked.pipe(distinctUntilChanged());
    this.#jumpedMs = suspendWatch(context.clock);
    this.#deadlineMs = this.#deadlineFrom(session.provedMs);
  }

  /** Starts renewing and watching the deadline. */
  start(): void {
    this.#subscriptions.add(onDueCheck(() => this.check()));
    this.#armDeadline();
    this.#renewAfter(this.session.provedMs + this.context.timing.renewEveryMs - this.context.clock.now());
    let up = true;
    this.#subscriptions.add(
      this.session.link$.subscribe({
        next: (linked) => {
          this.#linked.next(linked);
          if (!linked && up) this.#suspend(new Unavailable('the store', 'keep the connection'));
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
    const jumpedMs = this.#jumpedMs();
    if (jumpedMs > Math.max(this.context.timing.guardMs, LEAST_JUMP_MS))
      this.lose(`the machine was suspended or its wall clock set forward, by ${Math.round(jumpedMs)} ms`);
    else if (this.remainingMs() <= 0) this.lose('it was not renewed in time');
    return !this.#over;
  }

  /** From now to the deadline. */
  remainingMs(): number {
    return this.#over ? 0 : this.#deadlineMs - this.context.clock.now();
  }

  /** Gives up everything held in this session. Nothing revives it. */
  lose(reason: string, cause?: unknown): void {
    if (this.#over) return;
    this.#stop();
    const lost = cause instanceof SessionLost ? cause : new SessionLost(this.session.id, reason, false, cause);
    this.#lost.next(lost);
    this.#lost.complete();
    this.observer.lost(lost);
  }

  /** Whether it was lost or retired. Unlike `check`, does not ask the clocks. */
  get isOver(): boolean {
    return this.#over;
  }

  /** Ends renewal and timers because the backend is being closed; nothing is reported lost. */
  retire(): void {
    this.#stop();
    this.#lost.complete();
  }

  /**
   * Carries out one idempotent operation: when the link is up, again after each passing failure, until the session is
   * lost (then it errors with that). `unavailable` is told of each passing failure, and may stop it by returning false.
   */
  perform<T>(
    operation: string,
    run: () => Observable<T>,
    unavailable: (cause: Unavailable) => boolean = () => true,
  ): Observable<T> {
    const { timing, clock } = this.context;
    const attempt = this.linked$.pipe(
      filter((linked) => linked),
      take(1),
      mergeMap(() => run().pipe(unansweredAfter(timing.requestTimeoutMs, operation, clock))),
    );
    return this.#untilLost(
      attempt.pipe(
        retry({
          delay: (error, count) => {
            if (!(error instanceof Unavailable)) return throwError(() => error);
            return unavailable(error) ? timer(backoffMs(this.context, count - 1), clock) : throwError(() => error);
          },
        }),
      ),
    );
  }

  /** Follows a stream of the store while the link is up, and from its start again after each break. */
  follow<T>(run: () => Observable<T>): Observable<T> {
    const resumed = this.linked$.pipe(
      switchMap((linked) => (linked ? defer(run) : NEVER)),
      retry({
        delay: (error, count) =>
          error instanceof Unavailable
            ? timer(backoffMs(this.context, count - 1), this.context.clock)
            : throwError(() => error),
        resetOnSuccess: true,
      }),
    );
    return this.#untilLost(resumed);
  }

  #untilLost<T>(source: Observable<T>): Observable<T> {
    return new Observable<T>((subscriber) => {
      subscriber.add(this.#lost.subscribe((cause) => subscriber.error(cause)));
      if (subscriber.closed) return;
      subscriber.add(
        source.subscribe({
          next: (value) => subscriber.next(value),
          error: (error) => {
            if (error instanceof SessionLost) this.lose(error.reason, error);
            subscriber.error(error);
          },
          complete: () => subscriber.complete(),
        }),
      );
    });
  }

  #deadlineFrom(provedMs: number): number {
    return provedMs + reliableMs(this.context.timing, this.session.ttlMs);
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
    if (this.#over) return;
    this.#renewal = timer(Math.max(0, delayMs), this.context.clock).subscribe(() => this.#renew());
  }

  #renew(): void {
    if (!this.check()) return;
    const { timing, clock } = this.context;
    const sentMs = clock.now();
    this.#renewal = this.session
      .renew()
      .pipe(unansweredAfter(timing.requestTimeoutMs, 'renew', clock))
      .subscribe({
        next: (provedMs) => this.#prove(provedMs),
        error: (cause) => {
          if (cause instanceof SessionLost) return this.lose(cause.reason, cause);
          this.#suspend(cause instanceof Unavailable ? cause : new Unavailable('the store', 'renew', cause));
          this.#renewAfter(timing.renewEveryMs / 5);
        },
        complete: () => {
          if (this.#linked.value) this.observer.live();
          this.#renewAfter(sentMs + timing.renewEveryMs - clock.now());
        },
      });
  }

  #prove(provedMs: number): void {
    if (!this.check()) return;
    this.#deadlineMs = Math.max(this.#deadlineMs, this.#deadlineFrom(provedMs));
    this.observer.proved();
  }

  #suspend(cause: CoordinationError): void {
    if (this.#over) return;
    this.observer.suspended(cause);
    if (this.context.timing.giveUpAt === 'suspended') this.lose('the connection is in doubt', cause);
  }

  #stop(): void {
    this.#over = true;
    this.#renewal?.unsubscribe();
    this.#deadlineTimer?.unsubscribe();
    this.#subscriptions.unsubscribe();
  }
}

interface Channel {
  readonly state: BehaviorSubject<Session>;
  readonly lease: BehaviorSubject<Lease | undefined>;
}

const newChannel = (): Channel => ({
  state: new BehaviorSubject<Session>({ state: 'connecting', attempt: 0 }),
  lease: new BehaviorSubject<Lease | undefined>(undefined),
});

/** Opens sessions one after the other: the first when somebody asks, the next when one is lost. */
export class Sessions {
  /** The session's state, the current one first. */
  readonly session$: Observable<Session> = defer(() => this.#started().state);
  /** The session that is held now, then each one after it. */
  readonly lease$: Observable<Lease> = defer(() =>
    this.#started().lease.pipe(filter((lease): lease is Lease => lease !== undefined && !lease.isOver)),
  );
  #channel = newChannel();
  #running: Subscription | undefined;
  #isClosed = false;
  #attempt = 0;

  constructor(
    private readonly store$: Observable<Store>,
    private readonly context: KernelContext,
    private readonly storeContext: StoreContext,
  ) {}

  /** Completes all streams, says goodbye to the store, and completes when that is done or `withinMs` have passed. */
  close(withinMs: number): Observable<never> {
    this.#isClosed = true;
    const lease = this.#channel.lease.value;
    const boundMs = Math.max(0, Math.min(withinMs, lease?.remainingMs() ?? 0));
    const goodbye =
      lease === undefined || lease.isOver
        ? EMPTY
        : lease
            .perform('close', () => lease.session.end())
            .pipe(
              takeUntil(timer(boundMs, this.context.clock)),
              ignoreElements(),
              catchError((cause) => {
                this.context.report(new ReleaseFailed(`session ${lease.session.id}`, cause));
                return EMPTY;
              }),
            );
    return goodbye.pipe(
      finalize(() => {
        lease?.retire();
        this.#running?.unsubscribe();
        this.#channel.lease.complete();
        this.#channel.state.complete();
      }),
    );
  }

  #started(): Channel {
    if (this.#running === undefined && !this.#isClosed) {
      this.#running = new Subscription();
      this.#attempt = 0;
      // Whoever asked gets this channel, even if opening fails before this returns.
      const channel = this.#channel;
      this.#failFast(this.#running);
      this.#open(this.#running);
      return channel;
    }
    return this.#channel;
  }

  #failFast(running: Subscription): void {
    const { failFastMs } = this.context.timing;
    if (failFastMs === undefined) return;
    running.add(
      timer(failFastMs, this.context.clock)
        .pipe(mergeMap(() => this.store$.pipe(take(1))))
        .subscribe((store) => {
          const state = this.#channel.state.value;
          if (this.#isFirst && state.state === 'connecting')
            this.#fail(new ConnectionRefused(store.name, store.address, failFastMs, rootOf(state.cause)));
        }),
    );
  }

  #isFirst = true;

  #open(running: Subscription): void {
    const link = new Subscription();
    running.add(link);
    let lease: Lease | undefined;
    const failed = (cause: unknown): void => {
      if (lease !== undefined) {
        lease.lose('its link has ended', cause);
        return;
      }
      link.unsubscribe();
      if (cause instanceof Unavailable || cause instanceof SessionLost) this.#openAgain(running, cause);
      else this.#fail(cause);
    };
    const opened = this.store$.pipe(
      take(1),
      switchMap((store) => store.open(this.storeContext)),
      // A session that takes its lifetime to open would be over when it is there.
      unansweredAfter(this.context.timing.ttlMs, 'open a session', this.context.clock),
    );
    link.add(
      opened.subscribe({
        next: (session) => {
          lease = this.#adopt(session, link, running);
        },
        error: failed,
        complete: () => failed(new Unavailable('the store', 'open a session')),
      }),
    );
  }

  #adopt(session: StoreSession, link: Subscription, running: Subscription): Lease {
    const { state, lease: current } = this.#channel;
    const lease = new Lease(session, this.context, {
      proved: () => {
        this.#attempt = 0;
      },
      live: () => {
        if (state.value.state === 'suspended') state.next({ state: 'live', id: session.id });
      },
      suspended: (cause) => {
        if (state.value.state === 'live') state.next({ state: 'suspended', id: session.id, cause });
      },
      lost: (cause) => {
        if (state.value.state !== 'connecting') state.next({ state: 'lost', id: session.id, cause });
        this.#partFrom(session, link, cause);
        this.#openAgain(running, cause);
      },
    });
    this.#isFirst = false;
    state.next({ state: 'live', id: session.id });
    lease.start();
    if (!lease.isOver) current.next(lease);
    return lease;
  }

  /** What stands in a lost session only keeps others waiting: it is taken away if the store can still be told. */
  #partFrom(session: StoreSession, link: Subscription, lost: SessionLost): void {
    if (lost.byStore) {
      link.unsubscribe();
      return;
    }
    link.add(
      session
        .end()
        .pipe(unansweredAfter(this.context.timing.requestTimeoutMs, 'end the lost session', this.context.clock))
        .subscribe({
          error: (cause) => {
            this.context.report(new ReleaseFailed(`session ${session.id}`, cause));
            link.unsubscribe();
          },
          complete: () => link.unsubscribe(),
        }),
    );
  }

  #openAgain(running: Subscription, cause: CoordinationError): void {
    if (this.#isClosed || running.closed) return;
    const attempt = ++this.#attempt;
    this.#channel.state.next({ state: 'connecting', attempt, cause });
    running.add(timer(backoffMs(this.context, attempt - 1), this.context.clock).subscribe(() => this.#open(running)));
  }

  /** For what waiting does not heal: everybody gets the error, and whoever subscribes next tries again. */
  #fail(cause: unknown): void {
    const { state, lease } = this.#channel;
    this.#channel = newChannel();
    this.#running?.unsubscribe();
    this.#running = undefined;
    lease.error(cause);
    state.error(cause);
  }
}

function unansweredAfter<T>(ms: number, operation: string, scheduler: SchedulerLike): MonoTypeOperatorFunction<T> {
  return timeout({
    first: ms,
    scheduler,
    with: () => throwError(() => new Unavailable('the store', operation, new Error(`no answer within ${ms} ms`))),
  });
}

function rootOf(error: CoordinationError | undefined): unknown {
  return error?.cause ?? error;
}
