import type { Etcd3, IRangeResponse, IResponseHeader, KVClient } from 'etcd3';
import { Observable } from 'rxjs';
import { Unavailable } from '../errors.js';
import { translate } from './failures.js';
import { KeepAliveStream } from './keep-alive-stream.js';
import { type KeyRange, oneKey } from './layout.js';
import { rangeOf } from './requests.js';
import { WatchStream } from './watch-stream.js';

export type CallOptions = NonNullable<Parameters<KVClient['range']>[1]>;
type Interceptor = NonNullable<CallOptions['interceptors']>[number];
type Call = ReturnType<Parameters<Interceptor>[1]>;

/** gRPC's status for a call that its caller has given up. */
const CANCELLED = 1;

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
  #heardMs = Number.NEGATIVE_INFINITY;
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

  /** One request. It is sent when subscribed to, and bounded in time; unsubscribing does not call it back. */
  call<T>(operation: string, send: (client: Etcd3, options: CallOptions) => Promise<T>): Observable<T> {
    return new Observable<T>((subscriber) => {
      if (this.#isClosed) {
        subscriber.error(new Unavailable('etcd', operation, 'the connection is closed'));
        return;
      }
      let call: Call | undefined;
      // The only way to get hold of a call, without which it cannot be cancelled. What `next` returns is all that
      // gRPC needs of it, but its types want the class.
      const capture = ((options, next) => {
        call = next(options);
        this.#calls.add(call);
        return call;
      }) as (...args: Parameters<Interceptor>) => Call as Interceptor;
      const settle = (): void => {
        if (call !== undefined) this.#calls.delete(call);
      };
      const sentMs = performance.now();
      const deadline = Date.now() + this.#options.requestTimeoutMs;
      send(this.#options.client, { deadline, interceptors: [capture] }).then(
        (response) => {
          settle();
          this.#heard();
          subscriber.next(response);
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
    });
  }

  /** A read that the cluster's majority has a part in. */
  read(operation: string, range: KeyRange): Observable<IRangeResponse> {
    return this.call(operation, ({ kv }, options) => kv.range(rangeOf(range), options));
  }

  /** Asks for an answer that only a majority can give; its header tells the term. */
  probe(key: string): Observable<{ readonly header: IResponseHeader }> {
    return this.call('probe', ({ kv }, options) =>
      kv.range({ ...rangeOf(oneKey(key)), keys_only: true, limit: 1 }, options),
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
    this.close();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.watches.close();
    this.keepAlives.close();
    for (const call of this.#calls) call.cancelWithStatus(CANCELLED, 'the connection is closed');
    this.#calls.clear();
    if (this.#options.isOwn) this.#options.client.close();
  }

  #heard(): void {
    this.#heardMs = performance.now();
  }
}

function isOverdue(cause: unknown): boolean {
  return cause instanceof Error && /^4 /.test(cause.message);
}

/** A request that etcd understood and refused says nothing about the way to it. */
function mayBeTheConnection(cause: unknown): boolean {
  return !(cause instanceof Error && /^(3|5|6|8|9|11) .*(etcdserver|mvcc)/.test(cause.message));
}
