import {
  BehaviorSubject,
  catchError,
  defer,
  EMPTY,
  filter,
  finalize,
  ignoreElements,
  mergeMap,
  type Observable,
  Subscription,
  switchMap,
  take,
  takeUntil,
  tap,
  timer,
} from 'rxjs';
import type { Session } from './backend.js';
import { ConnectionRefused, CoordinationError, ReleaseFailed, SessionLost, Unavailable } from './errors.js';
import { backoffMs, type KernelContext, Lease, unansweredAfter } from './lease.js';
import type { Store, StoreContext, StoreSession } from './store.js';

interface Channel {
  readonly state: BehaviorSubject<Session>;
  readonly lease: BehaviorSubject<Lease | undefined>;
}

const newChannel = (attempt = 0, cause?: CoordinationError): Channel => ({
  state: new BehaviorSubject<Session>({ state: 'connecting', attempt, ...(cause && { cause }) }),
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
  /** The latest one, which `channel.lease` may not have yet: whoever is told that the session is live may close at once. */
  #lease: Lease | undefined;
  #running: Subscription | undefined;
  #isClosed = false;
  /** How often opening has failed since a session was last proved, also for what waiting does not heal. */
  #attempt = 0;
  /** Not before this is a session opened again. */
  #dueMs = Number.NEGATIVE_INFINITY;
  /** No session has been open yet: what `failFastMs` is about. */
  #isFirst = true;

  constructor(
    private readonly store$: Observable<Store>,
    private readonly context: KernelContext,
    private readonly storeContext: StoreContext,
  ) {}

  /** Completes all streams, says goodbye to the store, and completes when that is done or `withinMs` have passed. */
  close(withinMs: number): Observable<never> {
    this.#isClosed = true;
    const lease = this.#lease;
    const boundMs = Math.max(0, Math.min(withinMs, lease?.remainingMs() ?? 0));
    const failed = (cause: unknown): void =>
      this.context.report(new ReleaseFailed(`session ${lease?.session.id}`, cause));
    const goodbye =
      lease === undefined || lease.isOver
        ? EMPTY
        : defer(() => {
            lease.stopRenewing();
            return lease.perform('close', () => lease.session.end(false));
          }).pipe(
            takeUntil(timer(boundMs, this.context.clock).pipe(tap(() => failed('no answer in time')))),
            ignoreElements(),
            catchError((cause) => {
              failed(cause);
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
      const running = new Subscription();
      this.#running = running;
      // Whoever asked gets this channel, even if opening fails before this returns.
      const channel = this.#channel;
      const pauseMs = this.#dueMs - this.context.clock.now();
      if (pauseMs > 0) running.add(timer(pauseMs, this.context.clock).subscribe(() => this.#begin(running)));
      else this.#begin(running);
      return channel;
    }
    return this.#channel;
  }

  #begin(running: Subscription): void {
    this.#failFast(running);
    this.#open(running);
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
    this.#lease = lease;
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
        .end(true)
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

  /**
   * For what waiting does not heal: everybody gets the error, and whoever subscribes next tries again. Not at once: most
   * of them do so because of the error.
   */
  #fail(cause: unknown): void {
    const { state, lease } = this.#channel;
    const attempt = ++this.#attempt;
    this.#dueMs = this.context.clock.now() + backoffMs(this.context, attempt - 1);
    const told = cause instanceof CoordinationError ? cause : new Unavailable('the store', 'open a session', cause);
    this.#channel = newChannel(attempt, told);
    this.#running?.unsubscribe();
    this.#running = undefined;
    lease.error(cause);
    state.error(cause);
  }
}

function rootOf(error: CoordinationError | undefined): unknown {
  return error?.cause ?? error;
}
