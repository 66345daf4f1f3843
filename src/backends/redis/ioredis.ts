import type { RedisOptions as ClientOptions, Redis } from 'ioredis';
import type { Observable } from 'rxjs';
import { loadClient, rethrow } from '../shared/load-client.js';
import type { Address } from './addresses.js';
import type { Login } from './way.js';
import { type Argument, CLOSING_MS, type Dial, unsubscribed, type Wire, type WireOptions, wireOver } from './wire.js';

/** The package, as far as it is used. */
type Ioredis = Pick<typeof import('ioredis'), 'Redis'>;

/** Loads the package when it is first needed. */
export const ioredis$: Observable<Ioredis> = loadClient('ioredis', 'redis', () =>
  import(/* webpackIgnore: true */ 'ioredis').catch(rethrow),
);

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
  return (options, to) => ioredisWire((strict) => make(strict, to), options);
}

function ioredisWire(make: (strict: StrictOptions) => Redis, options: WireOptions): Observable<Wire> {
  const { isSharded, heard } = options;
  return wireOver(options, ({ connected, ready, ended: end }) => {
    const client = make(strictOptions(options));
    const ended = outside(end);
    hear(client, ended);
    client.on('error', ended);
    client.on('close', () => ended(new Error('the server has closed the connection')));
    client.on('end', () => ended(new Error('the connection has ended')));
    client.on('moved', () => ended(unsubscribed()));
    client.on('connect', connected);
    client.on('ready', ready);
    if (heard !== undefined) client.on(isSharded ? 'smessage' : 'message', outside(heard));
    // What becomes of it is told by events.
    client.connect().catch(() => undefined);
    return {
      send: (command) => client.callBuffer(...(command as readonly [string, ...Argument[]])),
      subscribe: (channel) => (isSharded ? client.ssubscribe(channel) : client.subscribe(channel)),
      unsubscribe: (channel) => (isSharded ? client.sunsubscribe(channel) : client.unsubscribe(channel)),
      close: () => client.disconnect(),
    };
  });
}

/** What of a client makes its sockets. */
interface WithConnector {
  readonly connector: { connect(...args: unknown[]): Promise<Stream> };
}

interface Stream {
  on(event: 'error', listener: (cause: unknown) => void): unknown;
  emit(event: string, ...told: unknown[]): boolean;
  write(...what: unknown[]): boolean;
  cork(): void;
  uncork(): void;
}

/**
 * Has told what would end the process otherwise: the second error of a socket over TLS, of which the client hears the
 * first; and what it stumbles over in a reply that is rubbish.
 */
function hear(client: Redis, failed: (cause: unknown) => void): void {
  const { connector } = client as unknown as WithConnector;
  const { connect } = connector;
  connector.connect = async (...args) => {
    const stream = await connect.apply(connector, args);
    gather(stream);
    const { emit } = stream;
    stream.on('error', failed);
    stream.emit = (event, ...told) => {
      const pass = (): boolean => emit.call(stream, event, ...told);
      return event === 'data' || event === 'readable' ? reading(pass, failed) : pass();
    };
    return stream;
  };
}

/** What is sent in one go, a release and the next request for instance, leaves together: a write costs more than a command. */
function gather(stream: Stream): void {
  const { write } = stream;
  const { nextTick } = process;
  let isHeld = false;
  stream.write = (...what) => {
    if (!isHeld) {
      isHeld = true;
      stream.cork();
      nextTick(() => {
        isHeld = false;
        stream.uncork();
      });
    }
    return write.apply(stream, what);
  };
}

type NextTick = typeof process.nextTick;

/** The real one, while another one stands in its place. */
let hidden: NextTick | undefined;

/**
 * Reads replies, and has told what is thrown meanwhile: ioredis 5 throws at once, and 6 in the next tick, where nobody
 * could catch it. Whose class it is of makes no difference, since a client that was given may be of another copy.
 */
function reading(read: () => boolean, failed: (cause: unknown) => void): boolean {
  const { nextTick } = process;
  const before = hidden;
  const caught = (call: () => void) => () => {
    try {
      call();
    } catch (error) {
      failed(error);
    }
  };
  hidden = before ?? nextTick;
  // Those with arguments are of the socket.
  process.nextTick = (call: (...args: unknown[]) => void, ...args: unknown[]): void =>
    nextTick(args.length === 0 ? caught(call) : call, ...args);
  try {
    return read();
  } catch (error) {
    failed(error);
    return true;
  } finally {
    process.nextTick = nextTick;
    hidden = before;
  }
}

/** What is called while replies are read, and throws in the next tick, throws there as ever. */
function outside<A extends readonly unknown[]>(call: (...args: A) => void): (...args: A) => void {
  return (...args) => {
    const { nextTick } = process;
    process.nextTick = hidden ?? nextTick;
    try {
      call(...args);
    } finally {
      process.nextTick = nextTick;
    }
  };
}
