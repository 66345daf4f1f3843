import type { RedisOptions as ClientOptions, Redis } from 'ioredis';
import { defer, from, map, type Observable, shareReplay, switchMap, tap } from 'rxjs';
import { loadClient, rethrow } from '../shared/load-client.js';
import type { Address } from './addresses.js';
import type { Login } from './way.js';
import { CLOSING_MS, type Dial, unsubscribed, type Wire, type WireOptions, wireOver } from './wire.js';

/** The package, as far as it is used. */
type Ioredis = Pick<typeof import('ioredis'), 'Redis'>;

/** Loads the package when it is first needed. */
export const ioredis$: Observable<Ioredis> = loadClient('ioredis', 'redis', () =>
  import(/* webpackIgnore: true */ 'ioredis').catch(rethrow),
).pipe(switchMap((loaded) => guarded$.pipe(map(() => loaded))));

/** Connections that log in as they are told. */
export function ioredisLogin({ Redis: Client }: Ioredis, login: Login): Dial {
  const { username, password, tls, db } = login;
  const said = { db, ...(username && { username }), ...(password && { password }), ...(tls && { tls }) };
  return ioredisDial((strict, to) => new Client({ ...said, ...strict, ...to }));
}

/** In these words ioredis 6 knows what type replies have. */
type StrictOptions = Omit<ClientOptions, 'replyMapping'> & { readonly replyMapping: 'legacy' };

/** A client that leads where its model does, or to the address, with these options. */
type MakeRedis = (strict: StrictOptions, to?: Address) => Redis;

/** What no client may deviate from: each option keeps a command from being sent twice, late, or under other keys. */
function strictOptions({ timing }: WireOptions): StrictOptions {
  return {
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    maxRetriesPerRequest: 0,
    reconnectOnError: null,
    retryStrategy: () => null,
    connectTimeout: timing.requestTimeoutMs,
    // How long an answer may take is measured here, alike for all clients.
    commandTimeout: undefined,
    blockingTimeout: undefined,
    socketTimeout: undefined,
    disconnectTimeout: CLOSING_MS,
    // Each connection begins with INFO anyway, to learn which server it leads to.
    enableReadyCheck: false,
    enableAutoPipelining: false,
    disableClientInfo: true,
    monitor: false,
    himportFieldsets: undefined,
    // It stands before the names already.
    keyPrefix: '',
    // With RESP3, a password that the server does not ask for leaves ioredis and the server with different protocols.
    protocol: 2,
    replyMapping: 'legacy',
    stringNumbers: false,
  };
}

/** Connections over ioredis, version 5 or 6. */
export function ioredisDial(make: MakeRedis): Dial {
  return (options, to) => guarded$.pipe(switchMap(() => ioredisWire((strict) => make(strict, to), options)));
}

function ioredisWire(make: (strict: StrictOptions) => Redis, options: WireOptions): Observable<Wire> {
  const { isSharded, heard } = options;
  return wireOver(options, ({ connected, ready, ended }) => {
    const client = make(strictOptions(options));
    hear(client, ended);
    client.on('error', ended);
    client.on('close', () => ended(new Error('the server has closed the connection')));
    client.on('end', () => ended(new Error('the connection has ended')));
    client.on('moved', () => ended(unsubscribed()));
    client.on('connect', () => {
      guard(client, ended);
      connected();
    });
    client.on('ready', ready);
    if (heard !== undefined) client.on(isSharded ? 'smessage' : 'message', heard);
    // What becomes of it is told by events.
    client.connect().catch(() => undefined);
    return {
      send: ([name, ...args]) => client.callBuffer(String(name), ...args),
      subscribe: (channel) => (isSharded ? client.ssubscribe(channel) : client.subscribe(channel)),
      unsubscribe: (channel) => (isSharded ? client.sunsubscribe(channel) : client.unsubscribe(channel)),
      close: () => client.disconnect(),
    };
  });
}

/** What reads the replies of one connection in ioredis 6. */
interface DataHandler {
  readonly redis: Redis;
  dispatch(read: () => void): void;
  returnFatalError(error: unknown): void;
}

/** What of a client makes its sockets. */
interface WithConnector {
  readonly connector: {
    connect(...args: unknown[]): Promise<{ on(event: 'error', listener: (cause: unknown) => void): unknown }>;
  };
}

/** A socket over TLS may tell of two errors. The client hears the first, and another one would end the process. */
function hear(client: Redis, failed: (cause: unknown) => void): void {
  const { connector } = client as unknown as WithConnector;
  const { connect } = connector;
  connector.connect = async (...args) => {
    const stream = await connect.apply(connector, args);
    stream.on('error', failed);
    return stream;
  };
}

const ours = new WeakSet<Redis>();

/**
 * Makes rubbish in a reply break this client's connection. What ioredis's own reading stumbles over it throws where
 * nobody can catch it, at once (5) or in the next tick (6, see `guarded$`), and that would end the process.
 */
function guard(client: Redis, failed: (cause: unknown) => void): void {
  const { stream } = client;
  ours.add(client);
  for (const read of stream.listeners('data')) {
    stream.off('data', read as () => void);
    stream.on('data', (chunk) => {
      try {
        read.call(stream, chunk);
      } catch (error) {
        failed(error);
      }
    });
  }
}

/** Has ioredis 6 tell a guarded client what it stumbles over. Clients that are not ours go on as they did. */
const guarded$ = defer(() => from(dataHandler())).pipe(
  tap((handler) => {
    if (handler === undefined) return;
    const { dispatch } = handler;
    handler.dispatch = function (this: DataHandler, read: () => void): void {
      if (!ours.has(this.redis)) {
        dispatch.call(this, read);
        return;
      }
      try {
        read();
      } catch (error) {
        this.returnFatalError(error);
      }
    };
  }),
  shareReplay(1),
);

/** `undefined` in a version of ioredis that reads its replies elsewhere. */
async function dataHandler(): Promise<DataHandler | undefined> {
  const module: { readonly default?: unknown } | undefined = await import(
    /* webpackIgnore: true */ 'ioredis/built/DataHandler.js'
  ).catch(() => undefined);
  // As Node imports it, what it exports by default stands one deeper.
  const found = [module, module?.default].map(defaultOf).find((each) => typeof each === 'function');
  const prototype: unknown = found?.prototype;
  return isDataHandler(prototype) ? prototype : undefined;
}

function defaultOf(exports: unknown): unknown {
  return typeof exports === 'object' && exports !== null && 'default' in exports ? exports.default : undefined;
}

function isDataHandler(value: unknown): value is DataHandler {
  return typeof value === 'object' && value !== null && 'dispatch' in value && 'returnFatalError' in value;
}
