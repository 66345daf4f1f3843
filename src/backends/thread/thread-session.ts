import {
  catchError,
  concat,
  defer,
  EMPTY,
  Observable,
  of,
  ReplaySubject,
  race,
  Subject,
  switchMap,
  take,
  throwError,
  timer,
} from 'rxjs';
import type { Entry, Expected, RosterKey, RosterKind, SwapResult, Versioned } from '../backend.js';
import { CoordinationError, SessionLost, type StoreLocation, Unavailable } from '../errors.js';
import type { Proof, Standing, StandRequest, StoreContext, StoreSession } from '../store.js';
import { alone, type Method, type SentRequest, type SessionEvent, type Withdrawn } from './messages.js';
import type { RenewalThread } from './renewal-thread.js';
import { receivedError, type SentError } from './sent-error.js';
import { SharedProof } from './shared-proof.js';

/** Opens a session in the thread. Unsubscribing cuts its link there. */
export function openIn(
  thread: RenewalThread,
  store: StoreLocation,
  shard: number,
  context: StoreContext,
): Observable<StoreSession> {
  return new Observable((subscriber) => {
    const proof = new SharedProof();
    let opening = 0;
    let session: ThreadSession | undefined;
    const { timing } = context;
    const events$ = thread.call<SessionEvent>((call) => {
      opening = call;
      return { kind: 'open', call, shard, timing, proof: proof.memory };
    });
    thread.opened(proof);
    subscriber.add(() => thread.closed(proof));
    subscriber.add(
      events$.subscribe({
        next: (event) => {
          if (event.what === 'fault') context.fault(coordinationError(store, event.fault));
          else if (event.what === 'opened') {
            session = new ThreadSession(event, opening, thread, proof, store, context);
            subscriber.next(session);
          } else session?.heed(event);
        },
        error: (cause) => {
          const isTold = cause instanceof CoordinationError;
          // A thread that has died is like a connection that has: nobody knows what becomes of the session.
          if (session !== undefined && !isTold) session.sever(cause);
          else subscriber.error(isTold ? cause : new Unavailable(store, 'open a session', cause));
        },
      }),
    );
  });
}

/** An open session, which lives in the thread and is renewed there. */
class ThreadSession implements StoreSession {
  readonly id: string;
  readonly ttlMs: number;
  readonly provedMs: number;
  readonly link$: Observable<boolean>;
  readonly barredMs$?: Observable<number>;
  readonly #link = new ReplaySubject<boolean>(1);
  readonly #barred = new ReplaySubject<number>(1);
  /** How renewals have come out that are not told yet: without a cause, well. */
  readonly #outcome = new Subject<CoordinationError | undefined>();
  #untold: CoordinationError | undefined;

  constructor(
    { id, ttlMs, barredMs }: Extract<SessionEvent, { what: 'opened' }>,
    /** The call that has opened it. */
    private readonly opening: number,
    private readonly thread: RenewalThread,
    private readonly memory: SharedProof,
    private readonly store: StoreLocation,
    private readonly context: StoreContext,
  ) {
    this.id = id;
    this.ttlMs = ttlMs;
    this.provedMs = memory.read()?.provedMs ?? Number.NEGATIVE_INFINITY;
    this.link$ = this.#link.asObservable();
    if (barredMs === undefined) return;
    this.#barred.next(barredMs);
    this.barredMs$ = this.#barred.asObservable();
  }

  heed(event: Exclude<SessionEvent, { what: 'opened' | 'fault' }>): void {
    switch (event.what) {
      case 'link':
        this.#link.next(event.isUp);
        break;
      case 'barred':
        this.#barred.next(event.ms);
        break;
      case 'renewed':
        this.#untold = undefined;
        this.#outcome.next(undefined);
        break;
      case 'suspended':
        this.#tell(coordinationError(this.store, event.cause));
        break;
      case 'lost': {
        const cause = coordinationError(this.store, event.cause);
        if (cause instanceof SessionLost && cause.byStore) this.#link.error(cause);
        // Its end is to be told to the store yet, by way of the link.
        else this.#tell(cause);
        break;
      }
    }
  }

  /** The thread is no more. */
  sever(cause: unknown): void {
    this.#tell(new Unavailable(this.store, 'renew', cause));
    this.#link.next(false);
  }

  proof(): Proof | undefined {
    return this.memory.read();
  }

  /** What the thread has proved by now; completes, or fails, with its next renewal. */
  renew(): Observable<number> {
    return defer(() => {
      const proof = this.proof();
      const untold = this.#untold;
      if (untold !== undefined) {
        this.#untold = undefined;
        return throwError(() => untold);
      }
      if (proof === undefined) return EMPTY;
      const next = this.#outcome.pipe(
        take(1),
        switchMap((cause) => (cause === undefined ? EMPTY : throwError(() => cause))),
      );
      return concat(of(proof.provedMs), race(next, this.#overdue(proof.provedMs)));
    });
  }

  enter(roster: RosterKey, request: StandRequest): Observable<Standing> {
    return this.#about('enter', roster, request);
  }

  place(roster: RosterKey, request: StandRequest): Observable<number> {
    return this.#ask('place', [roster, sentRequest(request)]);
  }

  update(roster: RosterKey, request: StandRequest, payload: Uint8Array): Observable<void> {
    return this.#about('update', roster, request, alone(payload));
  }

  leave(roster: RosterKey, request: StandRequest, inDoubt: boolean): Observable<boolean> {
    return this.#about('leave', roster, request, inDoubt);
  }

  entries(roster: RosterKey): Observable<readonly Entry[]> {
    return this.#ask('entries', [roster]);
  }

  look(roster: RosterKey): Observable<readonly Entry[]> {
    return this.#ask('look', [roster]);
  }

  evict(roster: RosterKey, entryId: string, writeId: string): Observable<boolean> {
    return this.#ask('evict', [roster, entryId, writeId]);
  }

  register(roster: RosterKey, writeId: string): Observable<boolean> {
    return this.#ask('register', [roster, writeId]);
  }

  unregister(roster: RosterKey, writeId: string): Observable<'removed' | 'absent' | 'occupied'> {
    return this.#ask('unregister', [roster, writeId]);
  }

  registered(kind: RosterKind): Observable<ReadonlySet<string>> {
    return this.#ask('registered', [kind]);
  }

  cell(key: string): Observable<Versioned | undefined> {
    return this.#ask('cell', [key]);
  }

  swap(key: string, expected: Expected, value: Uint8Array | undefined, writeId: string): Observable<SwapResult> {
    return this.#ask('swap', [key, expected, value && alone(value), writeId]);
  }

  end(isLost: boolean): Observable<void> {
    return this.#ask('end', [isLost]);
  }

  /** What says when it goes out. That is known here a moment later: an entry that was made meanwhile is taken out there. */
  #about<T>(method: Method, roster: RosterKey, request: StandRequest, ...more: readonly unknown[]): Observable<T> {
    return this.#ask(method, [roster, sentRequest(request), ...more], () => request.sent(), { roster, id: request.id });
  }

  #ask<T>(method: Method, args: readonly unknown[], sent?: () => void, entry?: Withdrawn): Observable<T> {
    const session = this.opening;
    const answer$ = this.thread.call<T>(
      (call) => ({ kind: 'ask', call, session, method, args }),
      sent,
      (call, isSent) => ({
        kind: 'cancel',
        call,
        ...(method === 'enter' && entry && !isSent && { unsent: { session, entry } }),
      }),
    );
    return answer$.pipe(
      catchError((cause) =>
        throwError(() => (cause instanceof CoordinationError ? cause : new Unavailable(this.store, method, cause))),
      ),
    );
  }

  #tell(cause: CoordinationError): void {
    if (this.#outcome.observed) this.#outcome.next(cause);
    else this.#untold = cause;
  }

  /** Errors when nothing is proved or told for longer than a renewal takes. A blocked loop comes here first, so the memory is asked. */
  #overdue(provedMs: number): Observable<never> {
    const { timing, scheduler } = this.context;
    return timer(timing.renewEveryMs + 2 * timing.requestTimeoutMs, scheduler).pipe(
      switchMap(() => {
        const now = this.proof()?.provedMs ?? provedMs;
        const silence = new Error('its thread tells nothing of it');
        return now > provedMs ? this.#overdue(now) : throwError(() => new Unavailable(this.store, 'renew', silence));
      }),
    );
  }
}

function sentRequest({ id, mode, permits, payload, registered }: StandRequest): SentRequest {
  return { id, mode, permits, payload: alone(payload), registered };
}

function coordinationError(store: StoreLocation, sent: SentError): CoordinationError {
  const error = receivedError(sent);
  return error instanceof CoordinationError ? error : new Unavailable(store, 'renew', error);
}
