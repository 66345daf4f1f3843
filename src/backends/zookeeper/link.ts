import {
  BehaviorSubject,
  defer,
  filter,
  map,
  merge,
  Observable,
  retry,
  Subject,
  type Subscription,
  switchMap,
  take,
  tap,
  throwError,
  timer,
} from 'rxjs';
import { AuthenticationFailed, InvalidOptions, SessionLost, type StoreLocation, Unavailable } from '../errors.js';
import { reconnectMs } from '../shared/options.js';
import type { StoreContext } from '../store.js';
import { Connection } from './connection.js';
import { isPassing } from './failures.js';
import type { Hosts } from './hosts.js';
import type { ResolvedOptions } from './options.js';
import { followerPlan, Proof, tooShortFor } from './proof.js';
import type { ClientModule, Server } from './raw-client.js';
import { RequestSizes } from './request-sizes.js';
import { askRole, isAlone, type Role, unanswered } from './role.js';
import type { Ticket } from './wire.js';

export interface LinkObserver {
  /** Once: the session is open. */
  opened(): void;
  /** Once, instead. Afterwards `up$` errors. */
  failed(error: unknown): void;
}

/** Keeps one session of ZooKeeper connected: connection after connection, each continuing the session of the one before. */
export class Link {
  readonly up$: BehaviorSubject<boolean> = new BehaviorSubject(false);
  #connection: Connection | undefined;
  #proof: Proof | undefined;
  #ticket: Ticket | undefined;
  #ttlMs = 0;
  #openedMs = 0;
  #waiting: Subscription | undefined;
  #asking: Subscription | undefined;
  #failures = 0;
  #upMs = Number.NEGATIVE_INFINITY;
  #isOpened = false;
  #isOver = false;
  #isEnding = false;
  readonly #gone = new Subject<void>();
  readonly #sizes = new RequestSizes();

  constructor(
    private readonly module: ClientModule,
    private readonly hosts: Hosts,
    private readonly options: ResolvedOptions,
    private readonly context: StoreContext,
    private readonly observer: LinkObserver,
  ) {}

  get sessionId(): string {
    return this.#ticket?.sessionId.toString('hex') ?? 'not open';
  }

  get ttlMs(): number {
    return this.#ttlMs;
  }

  /** When the request that made the session was sent. */
  get openedMs(): number {
    return this.#openedMs;
  }

  /** Tries each host once; then, for an open session, again after a pause. */
  connect(): void {
    try {
      const server = this.hosts.next();
      if (this.#violation() === undefined) this.#connectTo(server);
      else this.#askFirst(server);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Where all depends on the role, there may be room for one connection only: it is not kept while the other asks. */
  #askFirst(server: Server): void {
    this.#asking?.unsubscribe();
    this.#asking = this.#ask(server).subscribe((role) => {
      if (role === 'unanswered') this.#retry(unanswered(server));
      else this.#connectTo(server, role);
    });
  }

  #connectTo(server: Server, role?: Role): void {
    const { timing, scheduler } = this.context;
    const { client, auth, acl } = this.options;
    const inTurn = Math.max(1, this.hosts.all.length);
    try {
      const connection: Connection = new Connection(
        {
          module: this.module,
          server,
          makeClient: client,
          auth,
          acl,
          sessionTimeoutMs: this.#ticket === undefined ? Math.ceil(timing.ttlMs) : this.#ttlMs,
          connectTimeoutMs: Math.min(timing.requestTimeoutMs, timing.ttlMs / (inTurn + 1)),
          requestTimeoutMs: timing.requestTimeoutMs,
          ticket: this.#ticket,
          sizes: this.#sizes,
          scheduler,
        },
        {
          connected: () => this.#connected(connection, role),
          ended: (how, cause) => this.#ended(how, cause),
        },
      );
      this.#connection = connection;
      connection.start();
    } catch (error) {
      this.#fail(error);
    }
  }

  get #location(): StoreLocation {
    return { name: 'zookeeper', address: this.options.address };
  }

  /** Runs one operation on the connection of the moment. Who is refused again and again should not be so in silence. */
  use<T>(operation: string, run: (connection: Connection) => Observable<T>): Observable<T> {
    return defer(() => {
      const connection = this.#connection;
      return connection?.isUp
        ? run(connection)
        : throwError(() => new Unavailable(this.#location, operation, new Error('there is no connection')));
    }).pipe(
      tap({
        error: (error) => {
          if (isPassing(error)) this.context.fault(new Unavailable(this.#location, error.operation, error));
        },
      }),
    );
  }

  /**
   * One renewal: a write that changes nothing, but which only a leader with its quorum can acknowledge. On a follower
   * there may be a second one, where the times are tight.
   */
  renew(): Observable<number> {
    return this.use('renew', (connection) => {
      const first = this.#beat(connection);
      const plan = this.#plan();
      const again = this.#proof?.isForwarded && (typeof plan === 'string' || plan.twice);
      const provedMs = again ? first.pipe(switchMap(() => this.#beat(connection))) : first;
      return new Observable<number>((subscriber) =>
        provedMs.subscribe({
          next: (proved) => {
            if (proved !== undefined) subscriber.next(proved);
          },
          error: (error) => subscriber.error(error),
          complete: () => subscriber.complete(),
        }),
      );
    });
  }

  /** Says goodbye to the server after `last`. Where the answer is lost, an expired session tells as much. */
  end(last: (connection: Connection) => Observable<unknown>): Observable<void> {
    const isUp$ = this.up$.pipe(
      filter((isUp) => isUp),
      take(1),
    );
    const goodbye = isUp$.pipe(
      switchMap(() =>
        this.use('end the session', (connection) =>
          last(connection).pipe(
            switchMap(() => {
              this.#isEnding = true;
              return connection.closeSession();
            }),
          ),
        ),
      ),
    );
    const again = goodbye.pipe(
      retry({
        delay: (error) => (this.#isEnding && error instanceof Unavailable ? isUp$ : throwError(() => error)),
      }),
    );
    return merge(again, this.#gone).pipe(take(1));
  }

  /** Cuts the link at once. */
  destroy(): void {
    this.#isOver = true;
    this.#waiting?.unsubscribe();
    this.#asking?.unsubscribe();
    this.#connection?.destroy();
  }

  #beat(connection: Connection): Observable<number | undefined> {
    return defer(() => {
      const sentMs = this.context.now();
      const answered$ = connection.beat(this.options.layout.heartbeat);
      return answered$.pipe(map(() => this.#proof?.acked({ sentMs, ackedMs: this.context.now() })));
    });
  }

  #plan(): ReturnType<typeof followerPlan> {
    const { timing } = this.context;
    return followerPlan(timing, this.#ticket === undefined ? timing.ttlMs : this.#ttlMs, this.options.tickTimeMs);
  }

  /** Why nothing would be proved in time by a server that is not known to lead. */
  #violation(): string | undefined {
    const plan = this.#plan();
    return typeof plan === 'string' ? plan : undefined;
  }

  #ask(server: Server): Observable<Role> {
    const { timing, scheduler } = this.context;
    return askRole(server, Math.min(timing.requestTimeoutMs, 1_000), scheduler);
  }

  #connected(connection: Connection, told?: Role): void {
    const isNew = this.#ticket === undefined;
    const { negotiatedMs } = connection;
    if (!isNew && negotiatedMs < this.#ttlMs) {
      // From now on the server lets it live for less than the deadline in force was reckoned with.
      const reason = `the server granted only ${negotiatedMs} ms instead of ${this.#ttlMs}`;
      this.#fail(new SessionLost(this.sessionId, reason, false));
      return;
    }
    if (isNew) {
      this.#ttlMs = negotiatedMs;
      this.#openedMs = connection.connectSentMs;
    }
    this.#keepTicket();
    const proof = new Proof(connection.connectSentMs, this.options.tickTimeMs);
    this.#proof = proof;
    const violation = this.#violation();
    const tooShort = isNew ? tooShortFor(this.context.timing, this.#ttlMs) : undefined;
    if (tooShort !== undefined) {
      this.#fail(new InvalidOptions([tooShort]));
      return;
    }
    const ready = (role: Role): void => {
      proof.roleIs(this.#isBelieved(role) ? role : 'undisclosed');
      if (violation !== undefined && proof.isForwarded) this.#unprovable(violation, connection, role);
      if (!this.#isOver && !this.up$.value && connection.isUp) this.#isUp(connection);
    };
    this.#asking?.unsubscribe();
    if (told !== undefined && isAlone(told)) ready(told);
    else {
      this.#asking = this.#ask(connection.peer).subscribe(ready);
      // Only where all depends on the role is it waited for.
      if (violation === undefined || this.#isOpened) this.#isUp(connection);
    }
  }

  /**
   * Behind a balancer the question may reach the leader, and the session a follower; nothing in the protocol tells them
   * apart.
   */
  #isBelieved(role: Role): boolean {
    return isAlone(role) || !this.options.balanced;
  }

  #unprovable(violation: string, connection: Connection, role: Role): void {
    const { host, port } = connection.peer;
    const doubt = this.#isBelieved(role) ? '' : ', which is believed only where balanced is false';
    // One that is only slow is asked again, with the next session.
    const error =
      role === 'unanswered'
        ? unanswered(connection.peer)
        : new InvalidOptions([
            `${violation} (the server at ${host}:${port} is ${role}${role === 'leader' ? doubt : ''})`,
          ]);
    if (this.#isOpened) this.context.fault(error);
    else this.#fail(error);
  }

  /** With credentials, the first answer tells whether they were taken. */
  #isUp(connection: Connection): void {
    this.#failures = 0;
    this.#upMs = this.context.now();
    const tell = (): void => {
      if (this.#isOver || !connection.isUp) return;
      this.up$.next(true);
      if (this.#isOpened || this.#isOver) return;
      this.#isOpened = true;
      this.observer.opened();
    };
    if (this.#isOpened || this.options.auth.length === 0) tell();
    else this.#waiting = this.#beat(connection).subscribe({ next: tell, error: () => undefined });
  }

  #ended(how: 'cut' | 'expired' | 'authFailed', cause: unknown): void {
    this.#keepTicket();
    this.#asking?.unsubscribe();
    const { address } = this.options;
    if (how === 'expired' && this.#isEnding) {
      this.destroy();
      this.#gone.next();
      // Whoever asks for the end again need not wait for a link that will never be.
      this.up$.error(new SessionLost(this.sessionId, 'it has been ended', true, cause));
    } else if (how === 'authFailed') this.#fail(new AuthenticationFailed('zookeeper', address, cause));
    else if (how === 'expired') this.#fail(new SessionLost(this.sessionId, 'the store has expired it', true, cause));
    else this.#retry(cause);
  }

  #retry(cause: unknown): void {
    if (this.#isOver) return;
    if (this.up$.value) this.up$.next(false);
    if (this.#isOver) return;
    const round = this.hosts.all.length;
    // A server that takes whoever comes and then hangs up is no better than one that does not answer.
    if (this.context.now() - this.#upMs < this.context.timing.initialBackoffMs) this.#failures = round;
    this.#upMs = Number.NEGATIVE_INFINITY;
    this.#failures++;
    if (!this.#isOpened && this.#failures >= round) {
      this.#fail(new Unavailable(this.#location, 'open a session', cause));
      return;
    }
    this.#waiting = timer(this.#pauseMs(round), this.context.scheduler).subscribe(() => this.connect());
  }

  /** None while there are hosts that were not tried; then ever longer. */
  #pauseMs(round: number): number {
    return this.#failures <= round ? 0 : reconnectMs(this.context.timing, Math.floor(this.#failures / round) - 1);
  }

  #keepTicket(): void {
    const ticket = this.#connection?.ticket;
    if (ticket === undefined || ticket.sessionId.every((byte) => byte === 0)) return;
    const seen = (known: Ticket): bigint => known.lastZxid.readBigInt64BE();
    // Answers that carry no state of the store must not make older states acceptable again.
    const isOlder = this.#ticket !== undefined && seen(ticket) < seen(this.#ticket);
    this.#ticket = isOlder && this.#ticket !== undefined ? { ...ticket, lastZxid: this.#ticket.lastZxid } : ticket;
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.destroy();
    if (!this.#isOpened) this.observer.failed(error);
    this.up$.error(error);
  }
}
