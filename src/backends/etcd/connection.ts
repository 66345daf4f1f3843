import type { Etcd3, IRangeRequest, IRangeResponse, IResponseHeader } from 'etcd3';
import { AsyncSubject, defer, finalize, Observable, type Subscriber, switchMap, take, throwError, timeout } from 'rxjs';
import { CoordinationError, type StoreLocation, Unavailable } from '../errors.js';
import { type CallOptions, Calls, identified } from './calls.js';
import { isConnectedWithin } from './client.js';
import {
  isLeaseGone,
  isOutdatedToken,
  isOverdue,
  isRefusal,
  isWithoutUsers,
  translate,
  unavailable,
} from './failures.js';
import { Identity } from './identity.js';
import { KeepAliveStream } from './keep-alive-stream.js';
import { type KeyRange, oneKey } from './layout.js';
import { rangeOf } from './requests.js';
import { Turnstile } from './turnstile.js';
import { WatchStream } from './watch-stream.js';

/** More at once would not be answered sooner. */
const AT_ONCE = 64;

/** The same refusal, of as many as it may concern, is told so often. */
const TELL_AGAIN_AFTER_MS = 5_000;

type RangeOptions = Pick<IRangeRequest, 'keys_only' | 'limit'>;
type Send<T> = (client: Etcd3, options: CallOptions) => Promise<T>;

/** Who asks. */
export interface User {
  readonly username: string;
  readonly password: string;
}

export interface ConnectionOptions {
  readonly client: Etcd3;
  /** Whether the client was made here, and is to be closed here. */
  readonly isOwn: boolean;
  readonly address: string;
  readonly requestTimeoutMs: number;
  /** None for a client of the caller's, which asks as whom it likes. */
  readonly user?: User | undefined;
  /** Told of what the server refuses and is asked again. */
  fault(fault: CoordinationError): void;
}

/**
 * One client's connection to one member. It is used until the first failure that may be its own, and then no more:
 * half-open sockets and streams that went silent are cured by the next one.
 */
export class Connection {
  readonly address: string;
  readonly keepAlives: KeepAliveStream;
  /** Called once, with what broke the connection. */
  onBroken: (cause: CoordinationError) => void = () => undefined;
  readonly #options: ConnectionOptions;
  readonly #identity: Identity | undefined;
  readonly #calls = new Calls();
  readonly #turnstile = new Turnstile(AT_ONCE);
  readonly #toldMs = new Map<string, number>();
  #watches: WatchStream;
  #heardMs = Number.NEGATIVE_INFINITY;
  #first: Promise<void> | undefined;
  #awaiting: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: ConnectionOptions) {
    const { client, user } = options;
    this.#options = options;
    this.address = options.address;
    this.#identity = user === undefined ? undefined : new Identity(() => this.#authenticate(user));
    this.#watches = this.#newWatches();
    this.keepAlives = new KeepAliveStream(
      this.#store,
      async () => client.leaseClient.leaseKeepAlive(identified(await this.#identity?.token())),
      (cause) => this.#broken('renew', cause),
      () => this.#heard(),
    );
  }

  get #store(): StoreLocation {
    return { name: 'etcd', address: this.address };
  }

  get watches(): WatchStream {
    return this.#watches;
  }

  /**
   * One request, bounded in time. It is sent when subscribed to, and then unsubscribing does not call it back. Only so
   * many are under way at once, so that a renewal, which waits for none, is answered soon among thousands of others.
   */
  call<T>(operation: string, send: Send<T>): Observable<T> {
    return new Observable<T>((subscriber) => {
      let isSent = false;
      const gone = this.#turnstile.pass(() => {
        isSent = true;
        // What is inside leaves by being answered, in a later turn.
        this.#send(operation, send, subscriber, () => gone());
      });
      return () => {
        if (!isSent) gone();
      };
    });
  }

  /** What keeps or ends the session: it waits for none of the others. */
  callAtOnce<T>(operation: string, send: Send<T>): Observable<T> {
    return new Observable<T>((subscriber) => this.#send(operation, send, subscriber, () => undefined));
  }

  #send<T>(operation: string, send: Send<T>, subscriber: Subscriber<T>, answered: () => void): void {
    const sentMs = performance.now();
    this.#ask(operation, send).then(
      (answer) => {
        this.#heard();
        answered();
        subscriber.next(answer);
        subscriber.complete();
      },
      (cause: unknown) => {
        answered();
        const failure = this.#translated(operation, cause);
        if (isOverdue(failure)) this.suspect(failure, sentMs);
        else if (isRefusal(failure)) this.#tell(failure);
        else if (failure instanceof Unavailable) this.break(failure);
        subscriber.error(failure);
      },
    );
  }

  async #ask<T>(operation: string, send: Send<T>): Promise<T> {
    if (this.#identity === undefined) return this.#attempt(operation, send, undefined);
    const token = this.#identity.token();
    try {
      return await this.#attempt(operation, send, await token);
    } catch (cause) {
      if (!isOutdatedToken(cause)) throw cause;
      this.#identity.forget(token);
      return this.#attempt(operation, send, await this.#identity.token());
    }
  }

  async #attempt<T>(operation: string, send: Send<T>, token: string | undefined): Promise<T> {
    if (this.#isClosed) throw unavailable(operation, this.address, 'the connection is closed');
    // The time begins to count when it is sent, whatever the client had to do before.
    const deadline = (): number => {
      const isFirst = this.#heardMs === Number.NEGATIVE_INFINITY;
      // A client of the caller's has its own ways to connect.
      if (this.#options.isOwn) this.#first ??= this.#awaitFirst();
      return Date.now() + this.#options.requestTimeoutMs * (isFirst ? 2 : 1);
    };
    const attempt = this.#calls.next({ deadline, token });
    try {
      return await send(this.#options.client, attempt.options);
    } catch (cause) {
      throw translate(cause, {
        operation,
        address: this.address,
        username: this.#options.user?.username,
        ...attempt.sent,
      });
    } finally {
      attempt.settle();
    }
  }

  async #authenticate({ username: name, password }: User): Promise<string | undefined> {
    try {
      const { token } = await this.#attempt(
        'authenticate',
        ({ auth }, options) => auth.authenticate({ name, password }, options),
        undefined,
      );
      return token;
    } catch (cause) {
      // Then everybody may do everything, and needs no token.
      if (isWithoutUsers(cause)) return undefined;
      throw cause;
    }
  }

  #newWatches(): WatchStream {
    const { client } = this.#options;
    return new WatchStream({
      store: this.#store,
      open: async () => client.watchClient.watch(identified(await this.#identity?.token())),
      refused: (range, why) => this.#refusedWatch(range, why),
      broken: (cause) => this.#broken('watch', cause),
    });
  }

  /**
   * Not every version says why. Whoever may not read what is watched may not watch it; whoever may has come over a
   * stream whose token is outdated, and all that watch over it begin again over another.
   */
  #refusedWatch(range: KeyRange, why: Error): Observable<never> {
    return this.read('watch', range, { keys_only: true, limit: 1 }).pipe(
      switchMap(() => {
        const failure = unavailable('watch', this.address, why);
        const outdated = this.#watches;
        if (!this.#isClosed) this.#watches = this.#newWatches();
        outdated.close();
        return throwError(() => failure);
      }),
    );
  }

  /** What the server refuses for now: whoever asked asks again, and would wait in silence. */
  #tell(failure: CoordinationError): void {
    if (!(failure instanceof Unavailable) || isLeaseGone(failure)) return;
    const nowMs = performance.now();
    if (nowMs - (this.#toldMs.get(failure.message) ?? Number.NEGATIVE_INFINITY) < TELL_AGAIN_AFTER_MS) return;
    this.#toldMs.set(failure.message, nowMs);
    this.#options.fault(failure);
  }

  #broken(operation: string, cause: unknown): void {
    this.break(this.#translated(operation, cause));
  }

  #translated(operation: string, cause: unknown): CoordinationError {
    return cause instanceof CoordinationError ? cause : unavailable(operation, this.address, cause);
  }

  /** A read that the cluster's majority has a part in. */
  read(operation: string, range: KeyRange, how: RangeOptions = {}): Observable<IRangeResponse> {
    return this.call(operation, ({ kv }, options) => kv.range({ ...rangeOf(range), ...how }, options));
  }

  /**
   * Whether a majority answers, and answers to this. A lease is granted to anybody: only the read shows whether the
   * credentials are good for more; and the watch, whether something in between watches, and renews, on its own account.
   */
  greet(key: string): Observable<unknown> {
    return defer(() => {
      const created = new AsyncSubject<unknown>();
      const watching = this.#watches.watch(oneKey(key), 'deletions').pipe(take(1)).subscribe(created);
      const { requestTimeoutMs } = this.#options;
      const silence = unavailable('watch', this.address, `no answer within ${requestTimeoutMs} ms`);
      return this.probe(key).pipe(
        switchMap(() => created.pipe(timeout({ first: requestTimeoutMs, with: () => throwError(() => silence) }))),
        finalize(() => watching.unsubscribe()),
      );
    });
  }

  /** Asks for an answer that only a majority can give; its header tells the term. */
  probe(key: string): Observable<{ readonly header: IResponseHeader }> {
    const how = { keys_only: true, limit: 1 };
    return this.callAtOnce('probe', ({ kv }, options) => kv.range({ ...rangeOf(oneKey(key)), ...how }, options));
  }

  /**
   * Something is overdue since then (as of `performance.now`). A busy process runs its timers before it reads what has
   * arrived long ago, so it reads first, and only silence breaks the connection.
   */
  suspect(cause: CoordinationError, sinceMs: number): void {
    setImmediate(() =>
      setImmediate(() => {
        if (this.#heardMs < sinceMs) this.break(cause);
      }),
    );
  }

  break(cause: CoordinationError): void {
    if (this.#isClosed) return;
    // Whoever is told first learns that the link is down before any stream fails.
    this.onBroken(cause);
    this.close(cause.cause instanceof Error ? cause.cause.message : cause.message);
  }

  close(why: string = 'the connection is closed'): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#awaiting);
    this.#watches.close();
    this.keepAlives.close();
    this.#calls.cancel(why);
    if (this.#options.isOwn) this.#options.client.close();
  }

  /** To connect may take as long as a request may, and the first answer as long again. */
  async #awaitFirst(): Promise<void> {
    const { client, requestTimeoutMs } = this.#options;
    const isConnected = await isConnectedWithin(client, requestTimeoutMs);
    if (this.#isClosed || this.#heardMs > Number.NEGATIVE_INFINITY) return;
    const silence = (what: string): void =>
      this.suspect(unavailable('connect', this.address, `no ${what} within ${requestTimeoutMs} ms`), 0);
    if (isConnected) this.#awaiting = setTimeout(silence, requestTimeoutMs, 'answer');
    else silence('connection');
  }

  #heard(): void {
    this.#heardMs = performance.now();
    clearTimeout(this.#awaiting);
  }
}
