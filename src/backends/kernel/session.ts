import {
  BehaviorSubject,
  catchError,
  defer,
  delay,
  EMPTY,
  filter,
  finalize,
  ignoreElements,
  map,
  mergeMap,
  type Observable,
  Subscription,
  switchMap,
  take,
  takeUntil,
  tap,
  timer,
} from 'rxjs';
import type { Session } from '../backend.js';
import { ConnectionRefused, CoordinationError, ReleaseFailed, SessionLost, Unavailable } from '../errors.js';
import type { Store, StoreContext, StoreSession } from '../store.js';
import { SuspendWatch } from './clock.js';
import { backoffMs, type KernelContext } from './context.js';
import { endLost } from './end-lost.js';
import { Lease, type LeaseObserver, unansweredAfter } from './lease.js';

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
  readonly session$: Observable<Session> = defer(() =>
    this.#started().state.pipe(map((session) => this.#asOfNow(session))),
  );
  /** The session that is held now, then each one after it. */
  readonly lease$: Observable<Lease> = defer(() =>
    this.#started().lease.pipe(filter((lease): lease is Lease => lease !== undefined && !lease.isOver)),
  );
  /** The session that is held now, for who need not wait for one. */
  get lease(): Lease | undefined {
    const lease = this.#running === undefined ? undefined : this.#channel.lease.value;
    return lease?.isOver === false ? lease : undefined;
  }
  #channel = newChannel();
  /** The latest one, which `channel.lease` may not have yet: whoever is told that the session is live may close at once. */
  #lease: Lease | undefined;
  #running: Subscription | undefined;
  #isClosed = false;
  /** How often opening has failed since a session was last proved, also for what waiting does not heal. */
  #attempt = 0;
  /** Not before this is a session opened again. */
  #dueMs = Number.NEGATIVE_INFINITY;
  /** Until when the store admits nobody, where it has said that it does not. */
  #barredUntilMs = 0;
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
    // Asked when it is time for the goodbye: guarded work is waited for before, and the session renewed or lost meanwhile.
    const goodbye = defer(() => {
      const lease = this.#lease;
      if (lease === undefined || lease.isOver) return EMPTY;
      const failed = (cause: unknown): void =>
        this.context.report(new ReleaseFailed(this.context.store, `session ${lease.session.id}`, cause));
      const boundMs = Math.max(0, Math.min(withinMs, lease.remainingMs()));
      lease.stopRenewing();
      return lease
        .perform('close', () => lease.session.end(false))
        .pipe(
          takeUntil(timer(boundMs, this.context.clock).pipe(tap(() => failed('no answer in time')))),
          ignoreElements(),
          catchError((cause) => {
            failed(cause);
            return EMPTY;
          }),
        );
    });
    return goodbye.pipe(
      finalize(() => {
        this.#lease?.retire();
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
    // From before anything is sent: the machine may be suspended while the answer is on its way.
    const suspensions = new SuspendWatch(this.context.clock);
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
      // A session that takes its lifetime to open would be over when it is there. How long it takes to load the client,
      // which happens before, says nothing of the store.
      switchMap((store) =>
        store.open(this.storeContext).pipe(unansweredAfter(this.context, this.context.timing.ttlMs, 'open a session')),
      ),
    );
    link.add(
      opened.subscribe({
        next: (session) => {
          lease = this.#adopt(session, suspensions, link, running);
        },
        error: failed,
        complete: () =>
          failed(new Unavailable(this.context.store, 'open a session', new Error('the adapter has ended without one'))),
      }),
    );
  }

  /** Who comes later, or is told of it again, is told what is left. The store itself says when that is over. */
  #asOfNow(session: Session): Session {
    if (session.state !== 'live' || session.barredMs === undefined) return session;
    return { ...session, barredMs: Math.max(1, Math.round(this.#barredUntilMs - this.context.clock.now())) };
  }

  #adopt(session: StoreSession, suspensions: SuspendWatch, link: Subscription, running: Subscription): Lease {
    const { state, lease: current } = this.#channel;
    let barredMs = 0;
    const live = (): void => state.next({ state: 'live', id: session.id, ...(barredMs > 0 && { barredMs }) });
    const observer: LeaseObserver = {
      proved: () => {
        this.#attempt = 0;
      },
      live: () => {
        if (state.value.state === 'suspended') live();
      },
      suspended: (cause) => {
        if (state.value.state === 'live') state.next({ state: 'suspended', id: session.id, cause });
      },
      lost: (cause) => {
        if (state.value.state !== 'connecting') state.next({ state: 'lost', id: session.id, cause });
        this.#partFrom(session, link, cause);
        this.#openAgain(running, cause);
      },
    };
    const lease = new Lease(session, this.context, observer, suspensions);
    this.#isFirst = false;
    this.#lease = lease;
    // It may have been on its way for longer than it may be relied on: then nobody is told of it.
    if (!lease.check()) return lease;
    link.add(
      session.barredMs$?.subscribe((ms) => {
        barredMs = ms;
        this.#barredUntilMs = this.context.clock.now() + ms;
        if (state.value.state === 'live') live();
      }),
    );
    live();
    lease.start();
    if (!lease.isOver) current.next(lease);
    return lease;
  }

  /**
   * What stands in a lost session only keeps others waiting, its own owner too: it is taken away as soon as the store can
   * be told, over the lost session's own link, which is kept for that.
   */
  #partFrom(session: StoreSession, link: Subscription, lost: SessionLost): void {
    if (lost.byStore) {
      link.unsubscribe();
      return;
    }
    const failed = (cause: unknown): void =>
      this.context.report(new ReleaseFailed(this.context.store, `session ${session.id}`, cause));
    let hasFailed = false;
    const ending = endLost(session, this.context, (cause) => {
      // Told once, however often it is tried again.
      if (!hasFailed) failed(cause);
      hasFailed = true;
    });
    // A session that was opened later, and has lived for so long, has outlived it in the store as well.
    const expired = this.lease$.pipe(take(1), delay(session.ttlMs, this.context.clock));
    link.add(
      ending
        .pipe(
          takeUntil(expired),
          finalize(() => link.unsubscribe()),
        )
        .subscribe({
          error: (cause) => {
            if (!(cause instanceof SessionLost)) failed(cause);
          },
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
    const told =
      cause instanceof CoordinationError ? cause : new Unavailable(this.context.store, 'open a session', cause);
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
