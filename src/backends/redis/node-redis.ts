import tls, { type ConnectionOptions, type TLSSocket } from 'node:tls';
import { map, type Observable, shareReplay } from 'rxjs';
import { loadClient, rethrow } from '../shared/load-client.js';
import type { Login } from './way.js';
import {
  type Argument,
  CLOSING_MS,
  type Dial,
  ReplyError,
  unsubscribed,
  type Wire,
  type WireOptions,
  wireOver,
} from './wire.js';

/** What is used of a client of `redis`, version 5 or 6. */
interface NodeRedisClient {
  readonly isReady: boolean;
  on(event: string, listener: (...told: never[]) => void): unknown;
  connect(): Promise<unknown>;
  sendCommand(command: readonly (string | Buffer)[], options: object): Promise<unknown>;
  subscribe(channel: string, listener: Listener): Promise<unknown>;
  unsubscribe(channel: string, listener: Listener): Promise<unknown>;
  sSubscribe(channel: string, listener: Listener): Promise<unknown>;
  sUnsubscribe(channel: string, listener: Listener): Promise<unknown>;
  close(): Promise<unknown>;
}

type Listener = (message: string, channel: string) => void;

/** Options of `createClient`, as far as they matter here. */
export interface NodeRedisOptions {
  readonly url?: string | undefined;
  readonly socket?: NodeRedisSocket | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly database?: number | undefined;
  readonly keyPrefix?: string | Buffer | undefined;
  readonly readonly?: boolean | undefined;
  readonly credentialsProvider?: CredentialsProvider | undefined;
}

interface NodeRedisSocket {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly path?: string | undefined;
  readonly tls?: boolean | undefined;
}

interface CredentialsProvider {
  readonly type: string;
  credentials?(): Promise<Credentials>;
}

/** A client with these options, and no others. */
export type MakeNodeRedis = (options: object) => NodeRedisClient;

/** Strings of replies are given as bytes: what they begin with on the wire, and what is made of them. */
const AS_BYTES = { typeMapping: Object.fromEntries(['+', '$'].map((type) => [type.charCodeAt(0), Buffer])) };

/** What no client may deviate from: each option keeps a command from being sent twice, late, or under other keys. */
function strictOptions(model: NodeRedisOptions, { timing }: WireOptions, signal: AbortSignal): object {
  const { credentialsProvider, socket, username, password } = model;
  return {
    ...model,
    // What it says is in the other options by now.
    url: undefined,
    ...whole({ username, password }),
    credentialsProvider: credentialsProvider && named(credentialsProvider),
    socket: {
      ...socket,
      reconnectStrategy: false,
      connectTimeout: timing.requestTimeoutMs,
      socketTimeout: undefined,
      // It ends no connection that is still being made.
      signal,
    },
    RESP: 2,
    disableOfflineQueue: true,
    commandsQueueMaxLength: undefined,
    commandOptions: undefined,
    pingInterval: undefined,
    keyPrefix: undefined,
    disableClientInfo: true,
    clientSideCache: undefined,
    emitInvalidate: undefined,
    maintNotifications: 'disabled',
  };
}

interface Credentials {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
}

/**
 * Without a user's name, a server that asks for no password refuses one; and without a password version 5 leaves out the
 * user, though whoever needs none may give any.
 */
function whole({ username, password }: Credentials): Credentials {
  if (!username && !password) return {};
  return { username: username || 'default', password: password || 'none' };
}

function named(provider: CredentialsProvider): CredentialsProvider {
  const { credentials } = provider;
  if (credentials === undefined) return provider;
  return {
    ...provider,
    credentials: async () => whole(await credentials.call(provider)),
  };
}

/**
 * Loads the package when it is first needed. Each client that `createClient` makes has a class of its own, with all
 * commands: 40 ms of the processor, for each connection. Duplicates share that of their model.
 */
export const nodeRedis$: Observable<MakeNodeRedis> = loadClient('redis', 'redis', () =>
  import(/* webpackIgnore: true */ 'redis').catch(rethrow),
).pipe(
  map(({ createClient }): MakeNodeRedis => {
    const model = createClient() as unknown as { readonly duplicate: MakeNodeRedis };
    return (options) => model.duplicate(options);
  }),
  shareReplay(1),
);

/** Connections that log in as they are told. */
export function nodeRedisLogin(make: MakeNodeRedis, login: Login): Dial {
  const { username, password, tls, db } = login;
  return nodeRedisDial(make, { username, password, database: db, socket: { ...tls, tls: tls !== undefined } });
}

/** Connections over node-redis, version 5 or 6, by a client's options. */
export function nodeRedisDial(make: MakeNodeRedis, model: NodeRedisOptions): Dial {
  return (options, to) => nodeRedisWire(make, { ...model, socket: { ...model.socket, ...to } }, options);
}

function nodeRedisWire(make: MakeNodeRedis, model: NodeRedisOptions, options: WireOptions): Observable<Wire> {
  const { isSharded, heard } = options;
  return wireOver(options, ({ connected, ready, ended }) => {
    const cut = new AbortController();
    const client = make(strictOptions(model, options, cut.signal));
    const listener: Listener = (message, channel) => heard?.(channel, message);
    client.on('error', (cause) => ended(cause));
    client.on('end', () => ended(new Error('the connection has ended')));
    client.on('sharded-channel-moved', () => ended(unsubscribed()));
    client.on('connect', connected);
    client.on('ready', ready);
    // What becomes of it is told by events, of which the error comes first.
    tellingErrors(ended, () => client.connect()).catch(ended);
    return {
      send: (command) => client.sendCommand(command.map(textOrBytes), AS_BYTES).catch(refused(String(command[0]))),
      subscribe: (channel) =>
        (isSharded ? client.sSubscribe(channel, listener) : client.subscribe(channel, listener)).catch(
          refused(isSharded ? 'SSUBSCRIBE' : 'SUBSCRIBE'),
        ),
      // Without its listener, one that is subscribed to again meanwhile would be taken for one that still is.
      unsubscribe: (channel) =>
        isSharded ? client.sUnsubscribe(channel, listener) : client.unsubscribe(channel, listener),
      close: () => {
        if (!client.isReady) {
          cut.abort();
          return;
        }
        const patience = setTimeout(() => cut.abort(), CLOSING_MS);
        client.close().then(
          () => clearTimeout(patience),
          // It has ended already.
          () => clearTimeout(patience),
        );
      },
    };
  });
}

/**
 * Has every error told of what is connected to over TLS meanwhile. Such a socket may tell of two: the client, which makes
 * it at once and shows it to nobody, hears the first, and another one would end the process.
 */
function tellingErrors<T>(failed: (cause: unknown) => void, connect: () => T): T {
  const before = tls.connect;
  const connecting = (options: ConnectionOptions): TLSSocket => before(options).on('error', failed);
  Object.assign(tls, { connect: connecting });
  try {
    return connect();
  } finally {
    Object.assign(tls, { connect: before });
  }
}

function textOrBytes(argument: Argument): string | Buffer {
  return typeof argument === 'number' ? String(argument) : argument;
}

/** Whatever else keeps a command from being answered ends the connection first, and then nobody waits for this. */
function refused(command: string): (cause: unknown) => never {
  return (cause) => {
    throw new ReplyError(cause instanceof Error ? cause.message : String(cause), command);
  };
}
