/**
 * What is used of npm `node-zookeeper-client` 1.1, also of what it does not document: its own types leave that out, and
 * whoever uses conclave need not have them.
 */

/** One server to connect to. */
export interface Server {
  readonly host: string;
  readonly port: number;
}

/** What the servers are told about oneself. */
export interface Credentials {
  readonly scheme: string;
  readonly auth: Uint8Array;
}

type Done<T extends readonly unknown[]> = (error: Error | null | undefined, ...values: T) => void;

export interface RawStat {
  readonly czxid: Buffer;
  readonly mzxid: Buffer;
  readonly version: number;
  readonly ephemeralOwner: Buffer;
}

export interface RawEvent {
  readonly type: number;
  readonly path: string;
}

export interface RawResult {
  readonly path?: string;
  readonly stat?: RawStat;
  /** Of a transaction that was refused: 0 for the steps before the one that was, and something else for those after it. */
  readonly err?: number;
}

interface RawTransaction {
  readonly ops: { version?: number }[];
  create(path: string, ...dataAclsMode: unknown[]): this;
  setData(path: string, data: Buffer, version: number): this;
  remove(path: string, version: number): this;
  check(path: string, version: number): this;
  commit(done: Done<[results: readonly RawResult[]]>): void;
}

/** A request as the connection manager takes it. */
interface RawRequest {
  readonly header: { type: number; xid: number };
  readonly payload: null;
  toBuffer(): Buffer;
}

interface RawSocket {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'close', listener: () => void): unknown;
  destroy(): unknown;
}

interface RawManager {
  sessionId: Buffer;
  sessionPassword: Buffer;
  zxid: Buffer;
  xid: number;
  readonly sessionTimeout: number;
  readonly chrootPath: string | undefined;
  readonly credentials?: readonly Credentials[];
  readonly servers: readonly { readonly host: string; readonly port: number | string }[];
  readonly socket?: RawSocket;
  readonly connectTimeoutHandler?: NodeJS.Timeout | null;
  readonly watcherManager: {
    readonly dataWatchers: Record<string, unknown>;
    readonly childWatchers: Record<string, unknown>;
    readonly existenceWatchers: Record<string, unknown>;
  };
  updateTimeout(sessionTimeoutMs: number): void;
  connect(): void;
  findNextServer(found: (server: Server) => void): void;
  onSocketConnected(): void;
  onSocketData(chunk: Buffer): void;
  queue(request: RawRequest, done?: (error: Error | null | undefined) => void): void;
}

export interface RawClient {
  readonly connectionManager: RawManager;
  connect(): void;
  close(): void;
  on(event: 'state', listener: (state: { readonly name: string }) => void): unknown;
  off(event: 'state', listener: (state: { readonly name: string }) => void): unknown;
  addAuthInfo(scheme: string, auth: Buffer): void;
  create(path: string, ...dataAclsModeDone: unknown[]): void;
  remove(path: string, version: number, done: Done<[]>): void;
  exists(path: string, watcher: ((event: RawEvent) => void) | undefined, done: Done<[stat: RawStat | null]>): void;
  getData(
    path: string,
    watcher: ((event: RawEvent) => void) | undefined,
    done: Done<[data: Buffer | undefined, stat: RawStat]>,
  ): void;
  getChildren(
    path: string,
    watcher: ((event: RawEvent) => void) | undefined,
    done: Done<[children: readonly string[]]>,
  ): void;
  setData(path: string, data: Buffer, version: number, done: Done<[stat: RawStat]>): void;
  transaction(): RawTransaction;
}

export interface ClientModule {
  createClient(servers: string, options: { sessionTimeout: number; retries: 0 }): unknown;
  readonly ACL: new (permissions: number, id: unknown) => unknown;
  readonly Id: new (scheme: string, id: string) => unknown;
}

/** Whether this is a client of the kind that can be wrapped. */
export function isRawClient(value: unknown): value is RawClient {
  const manager =
    typeof value === 'object' && value !== null && 'connectionManager' in value ? value.connectionManager : undefined;
  return (
    typeof manager === 'object' &&
    manager !== null &&
    ['connect', 'findNextServer', 'onSocketConnected', 'onSocketData', 'queue', 'updateTimeout'].every(
      (method) => typeof Reflect.get(manager, method) === 'function',
    )
  );
}

/** What a caller's own client says about how to connect; `undefined` if it is none. */
export function modelOf(client: unknown): Model | undefined {
  if (!isRawClient(client)) return undefined;
  const { servers, chrootPath = '', credentials = [] } = client.connectionManager;
  return {
    servers: servers.map(({ host, port }) => ({ host, port: Number(port) })),
    chroot: chrootPath,
    auth: credentials.map(({ scheme, auth }) => ({ scheme, auth })),
  };
}

interface Model {
  readonly servers: readonly Server[];
  readonly chroot: string;
  readonly auth: readonly Credentials[];
}

/** The client's instance, with those of its methods that it calls on itself replaced. */
export function override<T extends object>(target: T, methods: Partial<T>): T {
  return Object.assign(target, methods);
}
