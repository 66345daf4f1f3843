import type { Etcd3, IRangeResponse, IResponseHeader, KVClient } from 'etcd3';
import { Observable, type Subscriber } from 'rxjs';
import { Unavailable } from '../errors.js';
import { isConnectedWithin } from './client.js';
import { translate } from './failures.js';
import { KeepAliveStream } from './keep-alive-stream.js';
import { type KeyRange, oneKey } from './layout.js';
import { rangeOf } from './requests.js';
import { Turnstile } from './turnstile.js';
import { WatchStream } from './watch-stream.js';

export type CallOptions = NonNullable<Parameters<KVClient['range']>[1]>;
type Interceptor = NonNullable<CallOptions['interceptors']>[number];
type Call = ReturnType<Parameters<Interceptor>[1]>;

/** gRPC's status for a call that its caller has given up. */
const CANCELLED = 1;

/** More at once would not be answered sooner. */
const AT_ONCE = 64;

export interface ConnectionOptions {
  readonly client: Etcd3;
  /** Whether the client was made here, and is to be closed here. */
  readonly isOwn: boolean;
  readonly address: string;
  readonly requestTimeoutMs: number;
}

/**
 * One client's connection to one member. It is used until the first failure that may be its own, and then no more:
 * half-open sockets, stale tokens and streams that went silent are all cured by the next one.
 */
export class Connection {
  readonly address: string;
  readonly watches: WatchStream;
  readonly keepAlives: KeepAliveStream;
  /** Called once, with what broke the connection. */
  onBroken: (cause: Unavailable) => void = () => undefined;
  readonly #options: ConnectionOptions;
  readonly #calls = new Set<Call>();
  readonly #turnstile = new Turnstile(AT_ONCE);
  #heardMs = Number.NEGATIVE_INFINITY;
  #first: Promise<void> | undefined;
  #awaiting: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: ConnectionOptions) {
    const { client } = options;
    this.#options = options;
    this.address = options.address;
    const broken = (operation: string) => (cause: unknown) => this.break(new Unavailable('etcd', operation, cause));
    this.watches = new WatchStream(() => client.watchClient.watch(), broken('watch'));
    this.keepAlives = new KeepAliveStream(
      () => client.leaseClient.leaseKeepAlive(),
      broken('renew'),
      () => this.#heard(),
    );
  }

  /**
   * One request, bounded in time. It is sent when subscribed to, and then unsubscribing does not call it back. Only so
   * many are under way at once, so that a renewal, which waits for none, is answered soon among thousands of others.
   */
  call<T>(operation: string, send: (client: Etcd3, options: CallOptions) => Promise<T>): Observable<T> {
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

  #send<T>(
    operation: string,
    send: (client: Etcd3, options: CallOptions) => Promise<T>,
    subscriber: Subscriber<T>,
    answered: () => void,
  ): void {
    let call: Call | undefined;
    // The only way to get hold of a call, without which it cannot be cancelled. What `next` returns is all that
    // gRPC needs of it, but its types want the class.
    // It is also where the time begins to count, whatever the client had to do before.
    const capture = ((options, next) => {
      const isFirst = this.#heardMs === Number.NEGATIVE_INFINITY;
      call = next({ ...options, deadline: Date.now() + this.#options.requestTimeoutMs * (isFirst ? 2 : 1) });
      // A client of the caller's has its own ways to connect.
      if (this.#options.isOwn) this.#first ??= this.#awaitFirst();
      this.#calls.add(call);
      return call;
    }) as (...args: Parameters<Interceptor>) => Call as Interceptor;
    const settle = (): void => {
      if (call !== undefined) this.#calls.delete(call);
      answered();
    };
    const sentMs = performance.now();
    const response = this.#isClosed
      ? Promise.reject(new Error('the connection is closed'))
      : send(this.#options.client, { interceptors: [capture] });
    response.then(
      (answer) => {
        this.#heard();
        settle();
        subscriber.next(answer);
        subscriber.complete();
      },
      (cause: unknown) => {
        settle();
        const failure = translate(cause, operation, this.address);
        if (failure instanceof Unavailable && isOverdue(cause)) this.suspect(failure, sentMs);
        else if (failure instanceof Unavailable && mayBeTheConnection(cause)) this.break(failure);
        subscriber.error(failure);
      },
    );
  }

  /** A read that the cluster's majority has a part in. */
  read(operation: string, range: KeyRange): Observable<IRangeResponse> {
    return this.call(operation, ({ kv }, options) => kv.range(rangeOf(range), options));
  }

  /** Asks for an answer that only a majority can give; its header tells the term. */
  probe(key: string): Observable<{ readonly header: IResponseHeader }> {
    return new Observable<IRangeResponse>((subscriber) =>
      this.#send(
        'probe',
        ({ kv }, options) => kv.range({ ...rangeOf(oneKey(key)), keys_only: true, limit: 1 }, options),
        subscriber,
        () => undefined,
      ),
    );
  }

  /**
   * Something is overdue since then (as of `performance.now`). A busy process runs its timers before it reads what has
   * arrived long ago, so it reads first, and only silence breaks the connection.
   */
  suspect(cause: Unavailable, sinceMs: number): void {
    setImmediate(() =>
      setImmediate(() => {
        if (this.#heardMs < sinceMs) this.break(cause);
      }),
    );
  }

  break(cause: Unavailable): void {
    if (this.#isClosed) return;
    // Whoever is told first learns that the link is down before any stream fails.
    this.onBroken(cause);
    this.close(cause.cause instanceof Error ? cause.cause.message : cause.message);
  }

  close(why: string = 'the connection is closed'): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#awaiting);
    this.watches.close();
    this.keepAlives.close();
    for (const call of this.#calls) call.cancelWithStatus(CANCELLED, why);
    this.#calls.clear();
    if (this.#options.isOwn) this.#options.client.close();
  }

  /** To connect may take as long as a request may, and the first answer as long again. */
  async #awaitFirst(): Promise<void> {
    const { client, requestTimeoutMs } = this.#options;
    const isConnected = await isConnectedWithin(client, requestTimeoutMs);
    if (this.#isClosed || this.#heardMs > Number.NEGATIVE_INFINITY) return;
    const silence = (what: string): void =>
      this.suspect(new Unavailable('etcd', 'connect', new Error(`no ${what} within ${requestTimeoutMs} ms`)), 0);
    if (isConnected) this.#awaiting = setTimeout(silence, requestTimeoutMs, 'answer');
    else silence('connection');
  }

  #heard(): void {
    this.#heardMs = performance.now();
    clearTimeout(this.#awaiting);
  }
}

function isOverdue(cause: unknown): boolean {
  return cause instanceof Error && /^4 /.test(cause.message);
}

/** A request that etcd understood and refused says nothing about the way to it, unless a token that was outdated came with it. */
function mayBeTheConnection(cause: unknown): boolean {
  return !(
    cause instanceof Error &&
    /^(3|5|6|8|9|11) .*(etcdserver(?!: revision of auth store is old)|mvcc)/.test(cause.message)
  );
}
