import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { loopback, ReservedPorts } from './ports.js';
import { ProxiedConnection } from './proxied-connection.js';
import type { Direction, Fate, Faults, StrandedConnection } from './proxied-lane.js';

export type { Direction, StrandedConnection };

/** Says by the first bytes that a client sent whether its connection is meant. */
export type Greeting = (firstChunk: Buffer) => boolean;

/** Told of a chunk, and of the first one that the client sent on this connection, by which a `Greeting` knows it. */
export type ChunkListener = (direction: Direction, chunk: Buffer, firstChunk: Buffer | undefined) => void;

export interface ProxyCounters {
  readonly toServerBytes: number;
  readonly toClientBytes: number;
  /** One chunk is what one read from the socket returned: often, but not always, what one write put into it. */
  readonly toServerChunks: number;
  readonly toClientChunks: number;
  readonly connectionsAccepted: number;
}

interface Trap {
  readonly direction: Direction;
  readonly matches: (chunk: Buffer) => boolean;
  /** Called when it is sprung. */
  readonly fate: () => Fate;
  readonly closed: (error: Error) => void;
}

const directions = ['toServer', 'toClient'] as const;

export interface ProxyOptions {
  readonly host?: string;
  readonly port: number;
  /** For so long a connection waits for a server that does not listen, before it is reset. */
  readonly patienceMs?: number;
}

/** Passes connections on to `host:port` until told to do otherwise. Its own port is the same for its whole life. */
export async function startProxy(options: ProxyOptions): Promise<TcpProxy> {
  const ports = new ReservedPorts();
  const proxy = new TcpProxy(options, await ports.take(), ports);
  await proxy.listen();
  return proxy;
}

/**
 * A network between one server and its clients that can be broken. What is cut keeps its connections: nothing is read
 * any more, no end is passed on, and what was sent meanwhile arrives after `heal`, as TCP's own repetition would have it.
 */
export class TcpProxy implements AsyncDisposable {
  readonly host: string = loopback;
  readonly #connections = new Set<ProxiedConnection>();
  readonly #listeners = new Set<ChunkListener>();
  readonly #counters = {
    toServerBytes: 0,
    toClientBytes: 0,
    toServerChunks: 0,
    toClientChunks: 0,
    connectionsAccepted: 0,
  };
  readonly #cut: Record<Direction, boolean | Greeting> = { toServer: false, toClient: false };
  readonly #delayMs: Record<Direction, number> = { toServer: 0, toClient: 0 };
  readonly #faults: Faults = {
    isCut: (direction, greeting) => {
      const cut = this.#cut[direction];
      return typeof cut === 'boolean' ? cut : greeting !== undefined && cut(greeting);
    },
    delayMs: (direction) => this.#delayMs[direction],
    bytesPerSecond: () => this.#bytesPerSecond,
    fateOf: (direction, chunk, greeting) => this.#fateOf(direction, chunk, greeting),
  };
  #bytesPerSecond = Number.POSITIVE_INFINITY;
  #traps: Trap[] = [];
  #listening: Server | undefined;

  constructor(
    private readonly options: ProxyOptions,
    readonly port: number,
    private readonly ports: ReservedPorts,
  ) {}

  get counters(): ProxyCounters {
    return { ...this.#counters };
  }

  url(scheme: string): string {
    return `${scheme}://${this.host}:${this.port}`;
  }

  /** How many connections are open on at least one side. */
  connections(): number {
    return this.#connections.size;
  }

  /** Cuts both directions; new connections are accepted and lead nowhere. `whose` restricts it to some connections. */
  blackhole(whose?: Greeting): void {
    for (const direction of directions) this.dropDirection(direction, whose);
  }

  /** Cuts one direction and leaves the other. */
  dropDirection(direction: Direction, whose?: Greeting): void {
    this.#cut[direction] = whose ?? true;
    this.#pumpAll();
  }

  /** New connections are refused, as if no process listened. Those that exist stay. */
  refuse(): void {
    this.#listening?.close();
    this.#listening = undefined;
  }

  /** Ends every existing connection with an RST to both sides. */
  resetAll(): void {
    for (const connection of this.#connections) connection.reset();
  }

  /** Holds what arrives from now on back for so long; the order stays. */
  delay({ toServerMs = 0, toClientMs = 0 }: { toServerMs?: number; toClientMs?: number }): void {
    this.#delayMs.toServer = toServerMs;
    this.#delayMs.toClient = toClientMs;
  }

  /** In each direction of each connection. */
  throttle(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** Undoes everything above, and delivers what was held back. Resolves when new connections are accepted again. */
  async heal(): Promise<void> {
    this.#cut.toServer = false;
    this.#cut.toClient = false;
    this.delay({});
    this.#bytesPerSecond = Number.POSITIVE_INFINITY;
    for (const connection of this.#connections) connection.hurry();
    this.#pumpAll();
    await this.listen();
  }

  /**
   * Loses the next chunk in `direction` that matches, and resolves when it is lost. With `thenCut` its connection is
   * reset too. Rejects when the proxy is closed before.
   */
  swallowNext(direction: Direction, matches: (chunk: Buffer) => boolean = () => true, thenCut = false): Promise<void> {
    return this.#trap(direction, matches, (sprung: (value: undefined) => void) => {
      sprung(undefined);
      return thenCut ? 'lost, and the connection too' : 'lost';
    });
  }

  /**
   * Holds back the next chunk to the server that matches, and resets its connection on the side of the client, which may
   * make another. Resolves with what is left of it: what was sent can still arrive. Rejects when the proxy is closed before.
   */
  strandNext(matches: (chunk: Buffer) => boolean): Promise<StrandedConnection> {
    return this.#trap('toServer', matches, (stranded) => ({ stranded }));
  }

  /** Calls `listener` with each chunk that arrives, also with those that are then swallowed. Returns how to stop it. */
  onData(listener: ChunkListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async listen(): Promise<void> {
    if (this.#listening !== undefined) return;
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client));
    this.#listening = server;
    server.listen(this.port, this.host);
    await once(server, 'listening');
  }

  async close(): Promise<void> {
    const closed = this.#listening && once(this.#listening, 'close');
    this.refuse();
    for (const connection of this.#connections) connection.destroy();
    const problem = new Error(`proxy on port ${this.port} was closed before a chunk came that was to be swallowed`);
    for (const trap of this.#traps.splice(0)) trap.closed(problem);
    await closed;
    this.ports[Symbol.dispose]();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #accept(client: Socket): void {
    this.#counters.connectionsAccepted += 1;
    const { host = loopback, port, patienceMs = 0 } = this.options;
    const connection = new ProxiedConnection(client, { host, port, patienceMs }, this.#faults, () =>
      this.#connections.delete(connection),
    );
    this.#connections.add(connection);
  }

  #pumpAll(): void {
    for (const connection of this.#connections) connection.pump();
  }

  #trap<T>(direction: Direction, matches: Trap['matches'], sprung: (settle: (value: T) => void) => Fate): Promise<T> {
    const trapped = new Promise<T>((settle, closed) => {
      this.#traps.push({ direction, matches, fate: () => sprung(settle), closed });
    });
    // Whoever does not wait for it does not care.
    trapped.catch(() => {});
    return trapped;
  }

  #fateOf(direction: Direction, chunk: Buffer, greeting: Buffer | undefined): Fate {
    this.#counters[`${direction}Bytes`] += chunk.length;
    this.#counters[`${direction}Chunks`] += 1;
    for (const listener of this.#listeners) listener(direction, chunk, greeting);
    const trap = this.#traps.find((each) => each.direction === direction && each.matches(chunk));
    if (trap === undefined) return 'passes';
    this.#traps = this.#traps.filter((each) => each !== trap);
    return trap.fate();
  }
}
