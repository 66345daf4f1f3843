import { defer, type Observable, type ObservableInput, Subscription, take, tap, throwError } from 'rxjs';
import type { RosterKey } from '../backend.js';
import { PlaceLost, SessionLost, Unavailable } from '../errors.js';
import { monotonicScheduler, type SuspendWatch } from '../kernel/clock.js';
import type { KernelContext } from '../kernel/context.js';
import { endLost } from '../kernel/end-lost.js';
import { hostEnvironment } from '../kernel/environment.js';
import { Lease, type Renewable } from '../kernel/lease.js';
import type { Standing, StandRequest, Store, StoreContext, StoreSession } from '../store.js';
import type { Method, SentRequest, SessionEvent, Withdrawn } from './messages.js';
import { sentError } from './sent-error.js';
import type { Pulse, SharedProof } from './shared-proof.js';

/** What an entry is to its adapter, which knows it again by these objects. */
interface Known {
  readonly request: StandRequest;
  /** The latest about it: under its number is told what goes out. */
  call: number;
  wasSent: boolean;
  standing?: Standing;
}

/** What a session is served with. */
export interface Serving {
  readonly store: Store;
  readonly context: StoreContext;
  readonly proof: SharedProof;
  readonly pulse: Pulse;
  readonly maxStallMs: number;
  readonly suspensions: SuspendWatch;
  tell(event: SessionEvent): void;
  /** A request of this call goes out. */
  sent(call: number): void;
}

/** After the first answer nothing is waited for. */
const ANSWERED_ONCE: ReadonlySet<Method> = new Set([
  'enter',
  'look',
  'evict',
  'register',
  'unregister',
  'swap',
] satisfies Method[]);

/**
 * A session of the adapter, held by a lease of the kernel, as if those who hold something in it were here. What that lease
 * says of it stands in memory that the main thread sees, and is believed there: so the one is over when the other is.
 */
export class ServedSession {
  readonly #lease: Lease<Renewable>;
  readonly #kernel: KernelContext;
  readonly #known = new Map<string, Known>();
  readonly #running = new Subscription();

  constructor(
    private readonly session: StoreSession,
    private readonly serving: Serving,
  ) {
    const { store, context, proof, suspensions, tell } = serving;
    this.#kernel = {
      // Whoever holds something is told of every doubt, and gives it up there if it is to.
      timing: { ...context.timing, giveUpAt: 'deadline' },
      clock: monotonicScheduler,
      store,
      random: hostEnvironment.random,
      newIds: hostEnvironment.newIds,
      onDueCheck: hostEnvironment.onDueCheck,
      report: context.fault,
    };
    const prove = (provedMs: number): void =>
      proof.prove({ provedMs, leastAheadMs: suspensions.leastAheadMs(provedMs) });
    prove(session.provedMs);
    // Ended as lost is told by the lease.
    const unheard = (): void => undefined;
    let barredMs: number | undefined;
    let isOpened = false;
    this.#running.add(
      session.barredMs$?.subscribe({
        next: (ms) => {
          barredMs = ms;
          if (isOpened) tell({ what: 'barred', ms });
        },
        error: unheard,
      }),
    );
    // Told along, so that nobody is told of a session that admits, and a moment later that it does not.
    tell({ what: 'opened', id: session.id, ttlMs: session.ttlMs, ...(barredMs !== undefined && { barredMs }) });
    isOpened = true;
    this.#lease = new Lease(
      unlessStalled(session, serving),
      this.#kernel,
      {
        proved: prove,
        live: () => tell({ what: 'renewed' }),
        suspended: (cause) => tell({ what: 'suspended', cause: sentError(cause) }),
        lost: (cause) => {
          proof.end();
          tell({ what: 'lost', cause: sentError(cause) });
          if (!cause.byStore) this.#part();
        },
      },
      suspensions,
    );
    this.#running.add(session.link$.subscribe({ next: (isUp) => tell({ what: 'link', isUp }), error: unheard }));
    if (this.#lease.check()) this.#lease.start();
  }

  /** Its link has ended for good. */
  lose(cause: unknown): void {
    this.#lease.lose('its link has ended', cause);
  }

  /** Nobody on the other side knows of it any more. */
  dispose(): void {
    this.#lease.retire();
    this.#running.unsubscribe();
  }

  ask(call: number, method: Method, args: readonly unknown[]): Observable<unknown> {
    const answer$ = defer(() => this.#ask(call, method, args));
    return ANSWERED_ONCE.has(method) ? answer$.pipe(take(1)) : answer$;
  }

  /** Who entered has left before hearing that anything was sent, so nobody else will take it out. */
  withdraw({ roster, id }: Withdrawn): void {
    const known = this.#known.get(id);
    if (known?.wasSent !== true) {
      this.#known.delete(id);
      return;
    }
    const leaving = this.#lease.perform('leave', () => this.session.leave(roster, known.request, true));
    this.#running.add(
      leaving.subscribe({
        error: (cause) => {
          // With its session, the entry is gone as well.
          if (!(cause instanceof SessionLost)) this.serving.context.fault(cause);
        },
        complete: () => this.#known.delete(id),
      }),
    );
  }

  #ask(call: number, method: Method, args: readonly unknown[]): ObservableInput<unknown> {
    const { session } = this;
    if (method === 'end') this.#lease.stopRenewing();
    if (method !== 'enter' && method !== 'place' && method !== 'update' && method !== 'leave') {
      const ask = session[method] as (...given: readonly unknown[]) => Observable<unknown>;
      return ask.call(session, ...args);
    }
    const [roster, sent, given] = args as readonly [RosterKey, SentRequest, unknown];
    const known = this.#knownAs(sent);
    const forget = (): void => void this.#known.delete(sent.id);
    if (method === 'place') {
      if (known.standing === undefined) throw new PlaceLost(roster.name, 'session lost');
      return session
        .place(roster, known.request, known.standing)
        .pipe(tap({ error: (cause) => cause instanceof PlaceLost && forget() }));
    }
    known.call = call;
    if (method === 'update') return session.update(roster, known.request, given as Uint8Array);
    if (method === 'leave') return session.leave(roster, known.request, given === true).pipe(tap({ complete: forget }));
    return session.enter(roster, known.request).pipe(
      tap((standing) => {
        known.standing = standing;
      }),
    );
  }

  #knownAs(sent: SentRequest): Known {
    const before = this.#known.get(sent.id);
    if (before !== undefined) return before;
    const known: Known = {
      request: {
        ...sent,
        sent: () => {
          known.wasSent = true;
          this.serving.sent(known.call);
        },
      },
      call: 0,
      wasSent: false,
    };
    this.#known.set(sent.id, known);
    return known;
  }

  /**
   * The main thread, which has the same to do, may be blocked. What stands in a lost session keeps others waiting, and some
   * stores keep one for as long as there is a connection.
   */
  #part(): void {
    this.#running.add(
      endLost(this.session, this.#kernel).subscribe({
        error: (cause) => {
          if (!(cause instanceof SessionLost)) this.serving.context.fault(cause);
        },
      }),
    );
  }
}

/** The session, but that it is not renewed for a main thread that is stuck. */
function unlessStalled(session: StoreSession, { store, pulse, maxStallMs }: Serving): Renewable {
  const { id, ttlMs, provedMs, link$ } = session;
  const renew = (): Observable<number> =>
    defer(() => {
      const stallMs = Math.round(pulse.sinceMs());
      if (stallMs <= maxStallMs) return session.renew();
      const cause = new Error(`the event loop is blocked for ${stallMs} ms, and maxStallMs is ${maxStallMs}`);
      return throwError(() => new Unavailable(store, 'renew', cause));
    });
  return { id, ttlMs, provedMs, link$, renew };
}
