import { Observable, type SchedulerLike, type Subscription, timer } from 'rxjs';
import { InvalidOptions, InvalidPayload, Unavailable } from '../errors.js';
import { Code, codeOf, Refused } from './failures.js';
import {
  type ClientModule,
  type Credentials,
  isRawClient,
  override,
  type RawClient,
  type Server,
} from './raw-client.js';
import type { RequestSizes } from './request-sizes.js';

/** Largest answer that is believed: anything else means that no ZooKeeper is speaking. */
const MOST_BYTES = 64 * 1024 * 1024;
/** After a timer came due: what arrived while the event loop was blocked is read before anything is concluded. */
const SECOND_LOOK_MS = 20;

/** How long a server nearby may take to answer what it need not ask others about. */
const SOON_MS = 100;

/** The last number that a request can have: those of requests in flight must differ, and no more. */
const LAST_XID = 2 ** 31 - 1;

/** What makes a new connection the continuation of an old one. */
export interface Ticket {
  readonly sessionId: Buffer;
  readonly password: Buffer;
  /** The latest state of the store that was seen: no server that is behind it will be talked to. */
  readonly lastZxid: Buffer;
}

export interface ConnectionOptions {
  readonly module: ClientModule;
  readonly server: Server;
  readonly makeClient: (() => unknown) | undefined;
  readonly auth: readonly Credentials[];
  readonly acl: readonly { readonly permissions: number; readonly scheme: string; readonly id: string }[] | undefined;
  readonly sessionTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly ticket: Ticket | undefined;
  readonly sizes: RequestSizes;
  readonly scheduler: SchedulerLike;
}

export interface ConnectionObserver {
  connected(): void;
  /** Once. `expired` and `authFailed` end the session as well. */
  ended(how: 'cut' | 'expired' | 'authFailed', cause: unknown): void;
}

interface Call {
  readonly operation: string;
  /** Of the data that it carries. */
  readonly bytes: number;
  readonly sentMs: number;
  fail(error: unknown): void;
}

/**
 * One TCP connection of one session, over one client object, which is never used for a second: after a cut in the middle
 * of a packet the client misreads the next connection, and what it has queued never comes back. This,
 * connection.ts and raw-client.ts are the only files that know the client.
 *
 * Requests are cold, answered in the order in which they were sent, and fail at once when the connection ends. A server
 * that falls silent while a request is unanswered ends the connection; one whose answers take long to arrive does not.
 */
export abstract class Wire {
  /** When the request that opens or resumes the session was about to be sent. */
  connectSentMs: number;
  protected readonly client: RawClient;
  readonly #calls = new Set<Call>();
  readonly #onState = (state: { readonly name: string }): void => this.#stateChanged(state.name);
  readonly #endings = new Set<(cause: unknown) => void>();
  #limit: Subscription | undefined;
  /** When the last answer arrived, or a part of one. */
  #heardMs = Number.NEGATIVE_INFINITY;
  #rest: Buffer = Buffer.alloc(0);
  #state: 'connecting' | 'up' | 'over' = 'connecting';
  /** What ends the connection within this time of a request may be its answer: some of what opening it took. */
  #soonMs = SOON_MS;
  #socketError: unknown;

  constructor(
    private readonly options: ConnectionOptions,
    private readonly observer: ConnectionObserver,
  ) {
    const { module, server, makeClient, auth, ticket, sessionTimeoutMs, scheduler } = options;
    const client =
      makeClient?.() ??
      module.createClient(`${server.host}:${server.port}`, { sessionTimeout: sessionTimeoutMs, retries: 0 });
    if (!isRawClient(client))
      throw new InvalidOptions(['client must make a client of node-zookeeper-client 1.1 by its createClient']);
    if (client.connectionManager.socket !== undefined)
      throw new InvalidOptions(['client must make a new client each time, which is not connected yet']);
    this.client = client;
    this.connectSentMs = scheduler.now();
    for (const each of auth) client.addAuthInfo(each.scheme, Buffer.from(each.auth));
    const manager = client.connectionManager;
    manager.updateTimeout(sessionTimeoutMs);
    if (ticket !== undefined)
      Object.assign(manager, {
        sessionId: ticket.sessionId,
        sessionPassword: ticket.password,
        zxid: ticket.lastZxid,
      });
    this.#takeOver(manager);
  }

  /** Starts to connect. */
  start(): void {
    const manager = this.client.connectionManager;
    this.client.on('state', this.#onState);
    this.client.connect();
    // From here on it must not connect again by itself.
    override(manager, { connect: () => undefined });
    manager.socket?.on('error', (error) => {
      this.#socketError = error;
    });
    // The client tells nobody of a connection that was lost before it had a session.
    manager.socket?.on('close', () => this.#hungUp(new Error('the connection was closed')));
    // Its own limit would be that of the session.
    clearTimeout(manager.connectTimeoutHandler ?? undefined);
    const { connectTimeoutMs, scheduler } = this.options;
    this.#limit = timer(connectTimeoutMs, scheduler).subscribe(() =>
      this.#end('cut', new Error(`no session within ${connectTimeoutMs} ms`)),
    );
  }

  get isUp(): boolean {
    return this.#state === 'up';
  }

  /** The lifetime of the session that the server granted. */
  get negotiatedMs(): number {
    return this.client.connectionManager.sessionTimeout;
  }

  get ticket(): Ticket {
    const { sessionId, sessionPassword: password, zxid: lastZxid } = this.client.connectionManager;
    return { sessionId, password, lastZxid };
  }

  /** For messages. */
  get address(): string {
    const { host, port } = this.options.server;
    return `${host}:${port}`;
  }

  /** Where the connection leads: one server, even where the host's name stands for several. */
  get peer(): Server {
    const { remoteAddress: host, remotePort: port } = this.client.connectionManager.socket ?? {};
    return host === undefined || port === undefined ? this.options.server : { host, port };
  }

  /** Errors as soon as the connection has ended; never emits. */
  readonly ended$: Observable<never> = new Observable((subscriber) => {
    const ended = (cause: unknown): void => subscriber.error(cause);
    if (this.#state === 'over') ended(this.#lost('follow'));
    else this.#endings.add(ended);
    return () => this.#endings.delete(ended);
  });

  /** Cuts the connection at once, without a word to the server or the observer. */
  destroy(): void {
    this.#stop(this.#lost('anything'));
  }

  protected call<T>(
    operation: string,
    send: (done: (error: Error | null | undefined, value?: T) => void) => void,
    bytes = 0,
  ): Observable<T> {
    return new Observable<T>((subscriber) => {
      if (this.#state !== 'up') {
        subscriber.error(this.#lost(operation));
        return;
      }
      const objection = this.options.sizes.objection(bytes);
      if (objection !== undefined) {
        subscriber.error(new InvalidPayload(operation, objection));
        return;
      }
      const call: Call = {
        operation,
        bytes,
        sentMs: this.options.scheduler.now(),
        fail: (error) => subscriber.error(error),
      };
      this.#calls.add(call);
      this.#watchOver();
      try {
        send((error, value) => {
          if (!this.#calls.has(call)) return;
          if (error) {
            this.#refused(call, error);
            return;
          }
          this.#answered(call);
          subscriber.next(value as T);
          subscriber.complete();
        });
      } catch (error) {
        this.#calls.delete(call);
        subscriber.error(error);
      }
    });
  }

  #answered(call: Call): void {
    this.#calls.delete(call);
    this.options.sizes.taken(call.bytes);
  }

  /** The client tells the callers of a lost connection first, and would take new requests from them for it. */
  #refused(call: Call, error: Error): void {
    const code = codeOf(error);
    if (code === Code.connectionLoss) {
      this.#hungUp(error);
      return;
    }
    this.#answered(call);
    if (code === Code.sessionExpired) this.#end('expired', error);
    call.fail(error instanceof Refused ? error : new Refused(code, call.operation, error));
  }

  /** One timer for the oldest call: answers come in order. */
  #watchOver(): void {
    if (this.#limit !== undefined && !this.#limit.closed) return;
    const { requestTimeoutMs, scheduler } = this.options;
    const silentMs = (): number => {
      const [oldest] = this.#calls;
      return oldest === undefined ? 0 : scheduler.now() - Math.max(oldest.sentMs, this.#heardMs);
    };
    if (this.#calls.size === 0) return;
    this.#limit = timer(Math.max(1, requestTimeoutMs - silentMs()), scheduler).subscribe(() => {
      this.#limit = timer(silentMs() >= requestTimeoutMs ? SECOND_LOOK_MS : 0, scheduler).subscribe(() => {
        this.#limit = undefined;
        if (silentMs() >= requestTimeoutMs) this.#end('cut', new Error(`no answer within ${requestTimeoutMs} ms`));
        else this.#watchOver();
      });
    });
  }

  #stateChanged(name: string): void {
    if (this.#state === 'over') return;
    if (name === 'SYNC_CONNECTED') {
      this.#limit?.unsubscribe();
      this.#limit = undefined;
      this.#state = 'up';
      this.#soonMs = Math.max(SOON_MS, 2 * (this.options.scheduler.now() - this.connectSentMs));
      this.observer.connected();
    } else if (name === 'EXPIRED') this.#end('expired', new Error('the server does not know the session any more'));
    else if (name === 'AUTH_FAILED') this.#end('authFailed', new Error('authentication failed'));
    else this.#hungUp(new Error('the connection was closed'));
  }

  /** The other end has, or the network. */
  #hungUp(cause: unknown): void {
    if (this.#state === 'over') return;
    if (this.#state === 'up') this.#cutOver([...this.#calls]);
    this.#end('cut', this.#socketError ?? cause);
  }

  #cutOver(calls: readonly Call[]): void {
    const { sizes, scheduler } = this.options;
    const now = scheduler.now();
    sizes.cut(calls.map(({ bytes, sentMs }) => ({ bytes, isRecent: now - sentMs <= this.#soonMs })));
  }

  #end(how: 'cut' | 'expired' | 'authFailed', cause: unknown): void {
    if (this.#state === 'over') return;
    this.#socketError ??= cause;
    const error = this.#lost('keep the connection');
    this.#stop(error, () => this.observer.ended(how, cause));
  }

  /** The observer hears of it before those whose calls fail, so that they find the connection gone. */
  #stop(error: unknown, tell: () => void = () => undefined): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#limit?.unsubscribe();
    this.client.off('state', this.#onState);
    const { connectTimeoutHandler, socket } = this.client.connectionManager;
    clearTimeout(connectTimeoutHandler ?? undefined);
    socket?.destroy();
    tell();
    for (const call of [...this.#calls]) if (this.#calls.delete(call)) call.fail(error);
    for (const ended of [...this.#endings]) if (this.#endings.delete(ended)) ended(error);
  }

  #lost(operation: string): Unavailable {
    const location = { name: 'zookeeper', address: this.address };
    return new Unavailable(location, operation, this.#socketError ?? new Error('there is no connection'));
  }

  #takeOver(manager: RawClient['connectionManager']): void {
    const { onSocketData, onSocketConnected } = manager;
    const { server, scheduler } = this.options;
    let { xid } = manager;
    // The client counts its requests without end, and has 32 bits for it; negative ones mean something else.
    Object.defineProperty(manager, 'xid', {
      get: () => xid,
      set: (next: number) => {
        xid = next > LAST_XID ? 0 : next;
      },
    });
    override(manager, {
      findNextServer: (found) => found(server),
      onSocketConnected: () => {
        if (this.#state === 'over') return;
        this.connectSentMs = scheduler.now();
        onSocketConnected.call(manager);
      },
      // One packet at a time: the client recurses for each further one in a chunk, and keeps half ones for ever.
      onSocketData: (chunk) => {
        for (const packet of this.#packets(chunk)) {
          if (this.#state === 'over') return;
          if (isAnswer(packet)) this.#heardMs = scheduler.now();
          try {
            onSocketData.call(manager, packet);
          } catch (error) {
            this.#misread(error);
          }
        }
        if (this.#rest.length > 0) this.#heardMs = scheduler.now();
      },
    });
  }

  *#packets(chunk: Buffer): Generator<Buffer> {
    let rest: Buffer = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    // What is left must be kept even where the loop over this is left early.
    this.#rest = rest;
    while (rest.length >= 4) {
      const length = 4 + rest.readInt32BE(0);
      if (length < 4 || length > MOST_BYTES) {
        this.#end('cut', new Error(`what answers there is no ZooKeeper: it announces ${length} bytes`));
        return;
      }
      if (rest.length < length) return;
      const packet = rest.subarray(0, length);
      rest = rest.subarray(length);
      this.#rest = rest;
      yield packet;
    }
  }

  /** The client throws at codes it does not know, and has by then forgotten whose answer it was: the oldest call's. */
  #misread(error: unknown): void {
    const code = error instanceof Error ? /Unknown code: (-?\d+)/.exec(error.message)?.[1] : undefined;
    const [oldest] = this.#calls;
    if (code === undefined || oldest === undefined) {
      this.#end('cut', error);
      return;
    }
    this.#answered(oldest);
    oldest.fail(new Refused(Number(code), oldest.operation, error));
    // The session has gone to another connection, or this server takes no writes: over this one they never succeed.
    if (Number(code) === Code.sessionMoved || Number(code) === Code.notReadOnly) this.#end('cut', error);
  }
}

/** Events and answers to pings overtake the answers that are waited for, so they tell nothing of them. */
function isAnswer(packet: Buffer): boolean {
  return packet.length >= 8 && packet.readInt32BE(4) >= 0;
}
