import {
  AsyncSubject,
  catchError,
  concat,
  concatWith,
  defer,
  EMPTY,
  expand,
  ignoreElements,
  last,
  map,
  type Observable,
  of,
  Subject,
  share,
  switchMap,
  takeUntil,
  tap,
  throwError,
  timeout,
} from 'rxjs';
import { SessionLost } from '../errors.js';
import type { StoreContext } from '../store.js';
import { Attachments } from './attachments.js';
import type { Connection } from './connection.js';
import { isLeaseGone, mayHaveHappened, unavailable } from './failures.js';
import { type Grant, grantLease } from './grant.js';
import { leaseHex } from './layout.js';
import type { Link } from './link.js';

/** More than this are not left on a lease that goes on for months. */
const MOST_LINGERING = 256;

/** A keepalive's answer, which proves nothing yet. */
interface KeptAlive {
  readonly ttlMs: number;
  readonly term: string;
  readonly sentMs: number;
  readonly tookMs: number;
}

/** A keepalive that was sent before the renewal that it is for. */
interface KeepAliveAhead {
  readonly lease: string;
  readonly connection: Connection | undefined;
  readonly kept$: Observable<KeptAlive>;
}

/**
 * The lease of a session.
 *
 * A renewal is proved when the keepalive's answer and that of a read that was sent after it both carry the term of the
 * grant: then no leader that has not seen the renewal can expire the lease. Under any other term it is never
 * extended again, since a deposed leader may still revoke it; instead everything moves to a new lease, and when all of
 * it has, the new grant is the proof.
 */
export class SessionLease {
  /** The first lease's id names the session's keys for good, also when they have moved to another. */
  readonly hex: string;
  readonly ttlMs: number;
  readonly attached: Attachments;
  /** Keys that are needed as long as requests which carry their lease may arrive. */
  #lingering = 0;
  /** Leases that keys may still be attached to, the newest last. */
  #grants: Grant[];
  /** Leases that nothing is attached to any more, until the server has them revoked. */
  readonly #retired = new Set<string>();

  readonly #ending = new Subject<void>();
  /** What was proved when nobody waited for it any more. */
  #unclaimedMs: number | undefined;
  /** Of the next renewal, where the store is slow. */
  #ahead: KeepAliveAhead | undefined;

  // Goes on when whoever asked has given up: it takes several requests, of which each may take as long as one may.
  readonly #renewal: Observable<number> = defer(() => (this.#grants.length > 1 ? this.#move() : this.#extend())).pipe(
    takeUntil(this.#ending),
    tap((provedMs) => {
      this.#unclaimedMs = provedMs;
    }),
    share({ resetOnRefCountZero: false }),
  );

  constructor(
    private readonly first: Grant,
    private readonly link: Link,
    private readonly probeKey: string,
    private readonly context: StoreContext,
  ) {
    this.hex = leaseHex(first.lease);
    this.ttlMs = first.ttlMs;
    this.#grants = [first];
    this.attached = new Attachments(link, (cause) => this.lost(cause));
  }

  /** What new keys are to be attached to. */
  get newest(): Grant {
    return this.#grants.at(-1) ?? this.first;
  }

  /** Whether a key attached to this lease lives as long as the session: otherwise it must be made again. */
  keep(key: string, token: bigint, lease: string): boolean {
    if (!this.#grants.some((grant) => grant.lease === lease)) return false;
    this.attached.add(key, token, lease);
    return true;
  }

  /** A key is to end with the newest lease. When there are too many of these, the lease is replaced. */
  linger(): void {
    this.#lingering++;
  }

  /** What this request makes is such a key, unless it is refused. */
  lingerIfMade(made: Promise<unknown>): void {
    made.then(
      () => this.linger(),
      (cause: unknown) => {
        if (mayHaveHappened(cause)) this.linger();
      },
    );
  }

  /**
   * Sends one renewal; emits the time that it proves, after the one that came too late for who asked before. One at a
   * time: who asks meanwhile gets the answer to that one.
   */
  renew(): Observable<number> {
    return defer(() => (this.#unclaimedMs === undefined ? EMPTY : of(this.#unclaimedMs))).pipe(
      concatWith(this.#renewal),
      tap(() => {
        this.#unclaimedMs = undefined;
      }),
    );
  }

  /** The session's end: all leases, and all that is attached to them. */
  revoke(): Observable<void> {
    return defer(() => {
      this.#ending.next();
      return this.#revokeAll([...this.#retired, ...this.#grants.map(({ lease }) => lease)]);
    });
  }

  /** Whether the server still has the lease, by its own and not by the cluster's word. */
  isAlive(): Observable<boolean> {
    return this.link
      .call('ask for the lease', ({ leaseClient }, options) =>
        leaseClient.leaseTimeToLive({ ID: this.newest.lease }, options),
      )
      .pipe(map(({ TTL }) => Number(TTL) > 0));
  }

  lost(cause?: unknown): SessionLost {
    return new SessionLost(this.hex, 'the store has expired or revoked its lease', true, cause);
  }

  /** What a request that carried this lease failed with: the end of the session, unless an older lease has ended. */
  lostIfGone(error: unknown, lease: string): unknown {
    return isLeaseGone(error) && lease === this.newest.lease ? this.lost(error) : error;
  }

  /** What is only tidied up comes second, and the session does not depend on it. */
  #extend(): Observable<number> {
    return concat(
      this.#prolong(),
      defer(() => (this.#lingering > MOST_LINGERING && this.#grants.length === 1 ? this.#replace() : EMPTY)).pipe(
        catchError((error) => (this.#grants.length === 1 ? EMPTY : throwError(() => error))),
      ),
    );
  }

  #prolong(): Observable<number> {
    const held = this.newest;
    const { connection } = this.link;
    const isGood = this.#ahead?.connection === connection && this.#ahead?.lease === held.lease;
    const ahead$ = isGood ? this.#ahead?.kept$ : undefined;
    this.#ahead = undefined;
    return (ahead$ ?? this.#keepAlive(held)).pipe(
      switchMap(({ ttlMs, term, sentMs, tookMs }) => {
        if (!(ttlMs > 0)) return throwError(() => this.lost());
        if (term !== held.term) return this.#replace();
        // Two such answers one after the other would come later than the next renewal is due.
        if (2 * tookMs > this.context.timing.renewEveryMs) this.#keepAliveAhead(held, connection);
        return this.link
          .through('renew', (link) => link.probe(this.probeKey))
          .pipe(
            switchMap(({ header }) =>
              header.raft_term === held.term ? of(this.#proved(sentMs, ttlMs)) : this.#replace(),
            ),
          );
      }),
    );
  }

  #keepAlive({ lease }: Grant): Observable<KeptAlive> {
    return defer(() => {
      const sentMs = this.context.now();
      return this.link
        .through('renew', ({ keepAlives }) => keepAlives.renew(lease))
        .pipe(
          (answer) => this.#bounded(answer),
          map(({ TTL, header }) => ({
            ttlMs: Number(TTL) * 1000,
            term: header.raft_term,
            sentMs,
            tookMs: this.context.now() - sentMs,
          })),
        );
    });
  }

  /** Begins the next renewal while this one still waits for its proof. */
  #keepAliveAhead(held: Grant, connection: Connection | undefined): void {
    const kept$ = new AsyncSubject<KeptAlive>();
    const ahead = { lease: held.lease, connection, kept$ };
    this.#ahead = ahead;
    const failed = (): void => {
      if (this.#ahead === ahead) this.#ahead = undefined;
    };
    this.#keepAlive(held)
      .pipe(takeUntil(this.#ending), tap({ error: failed }))
      .subscribe(kept$);
  }

  #replace(): Observable<number> {
    return this.link
      .through('grant a lease', (connection) => grantLease(connection, this.context))
      .pipe(
        switchMap((grant) => {
          this.#grants.push(grant);
          return this.#move();
        }),
      );
  }

  /** Goes on until nothing is attached to an older lease, also to what was entered meanwhile. */
  #move(): Observable<number> {
    const target = this.newest;
    if (this.context.now() - target.sentMs > target.ttlMs / 2) return this.#replace();
    return of(undefined).pipe(
      expand(() => this.attached.moveSome(target.lease) ?? EMPTY),
      last(),
      map(() => {
        this.#lingering = 0;
        // Nothing runs between the look at what is left and this.
        for (const { lease } of this.#grants.splice(0, this.#grants.length - 1)) this.#retired.add(lease);
        this.#retire();
        return this.#proved(target.sentMs, target.ttlMs);
      }),
    );
  }

  #bounded<T>(answer: Observable<T>): Observable<T> {
    const { timing, scheduler } = this.context;
    const sentMs = performance.now();
    const { connection } = this.link;
    return answer.pipe(
      timeout({
        first: timing.requestTimeoutMs,
        scheduler,
        with: () =>
          throwError(() => {
            // Streams say nothing when the server stalls: only this tells that they must be begun again.
            const silence = `no answer within ${timing.requestTimeoutMs} ms`;
            const failure = unavailable('renew', connection?.address ?? 'no connection', silence);
            connection?.suspect(failure, sentMs);
            return failure;
          }),
      }),
    );
  }

  /** The kernel counts the session's lifetime from this: a lease granted for less moves it back. */
  #proved(sentMs: number, ttlMs: number): number {
    return sentMs + Math.min(0, ttlMs - this.ttlMs);
  }

  /** One after the other: attached to the newer ones is what keeps out late requests that carry an older one. */
  #retire(): void {
    // If it fails, they end by themselves, or with the next one, or with the session.
    this.#revokeAll([...this.#retired]).subscribe({ error: () => undefined });
  }

  #revokeAll(leases: readonly string[]): Observable<void> {
    return concat(...leases.map((lease) => this.#revoke(lease)));
  }

  #revoke(lease: string): Observable<void> {
    return this.link
      .callAtOnce('revoke a lease', ({ leaseClient }, options) => leaseClient.leaseRevoke({ ID: lease }, options))
      .pipe(
        ignoreElements(),
        catchError((error) => (isLeaseGone(error) ? EMPTY : throwError(() => error))),
        (revoked) =>
          concat(
            revoked,
            defer(() => {
              this.#retired.delete(lease);
              return EMPTY;
            }),
          ),
      );
  }
}
