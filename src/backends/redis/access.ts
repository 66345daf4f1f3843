import type { RedisOptions as ClientOptions, Cluster, NatMap, Redis } from 'ioredis';
import { defer, map, type Observable, shareReplay } from 'rxjs';
import { InvalidOptions } from '../errors.js';
import { loadClient, rethrow } from '../load-client.js';
import { addressOf, addressOfNode, ClusterMap } from './cluster-map.js';
import { guardedClient, guardReplies } from './guarded-client.js';
import { isCluster, type RedisUrlOptions } from './options.js';
import { slotConnector } from './slot-connector.js';
import type { StrictOptions } from './strict-options.js';

/** Options of `redis`. */
export interface RedisOptions extends RedisUrlOptions {
  /**
   * A client of ioredis that says how to connect, in place of the options above: for sentinels, a socket's path or a
   * connector of one's own, or for a cluster behind a `natMap`. It is duplicated, never used itself and never closed;
   * make it with `lazyConnect: true` to save its own connection. What would make a command run twice is switched off in
   * the duplicates. A function may make a client of one server, not of a cluster.
   */
  readonly client?: Redis | Cluster | (() => Redis) | undefined;
}

/** How connections are made. */
export interface Access {
  readonly isCluster: boolean;
  readonly waitReplicas: number;
  /** For messages. */
  readonly address: string;
  /** For messages: who logs in, and the commands that this user needs, as `ACL SETUSER` takes them. */
  readonly user: string;
  readonly commands: string;
  /** A client, not yet connected; on a cluster it leads to whoever has the slot. */
  connect(options: StrictOptions, slot: number): Redis;
}

/** By a client that was given, or by the package, which is loaded when it is first needed. */
export function accessOf(options: RedisOptions): Observable<Access> {
  const { client, waitReplicas = 0 } = options;
  const access = {
    waitReplicas,
    address: serverAddress(options),
    isCluster: isCluster(options),
    ...loginFor(options),
  };
  if (isCluster(options)) return clusterAccess(options).pipe(map((connect) => ({ ...access, connect })));
  if (client !== undefined) {
    let model: Redis | undefined;
    return defer(guardReplies).pipe(
      map(() => {
        model ??= (typeof client === 'function' ? client() : client) as Redis;
        if (isCluster({ client: model }))
          throw new InvalidOptions(['client is a function that makes a client of a cluster: give that client itself']);
        const { duplicate } = model;
        const known = { ...access, address: addressOfClient(model), ...loginFor({ ...options, client: model }) };
        return { ...known, connect: (strict: StrictOptions) => duplicate.call(model, strict) };
      }),
    );
  }
  const { host, port, db } = options;
  const own: ClientOptions = {
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
    ...(db === undefined ? {} : { db }),
    ...loginOf(options),
  };
  return loadClient('ioredis', 'redis', importIoredis).pipe(
    map(({ Redis }) => ({ ...access, connect: (strict) => new Redis({ ...own, ...strict }) })),
  );
}

async function importIoredis() {
  const module = await import(/* webpackIgnore: true */ 'ioredis').catch(rethrow);
  await guardReplies();
  return module;
}

function clusterAccess(options: RedisOptions): Observable<Access['connect']> {
  const { own, nodes, natMap } = modelOf(options);
  return loadClient('ioredis', 'redis', importIoredis).pipe(
    map(({ AbstractConnector, Redis }) => {
      const cluster = new ClusterMap(
        nodes,
        (address, strict) => guardedClient(new Redis({ ...own, ...strict, ...address })),
        natMap,
      );
      return (strict: StrictOptions, slot: number) =>
        new Redis({
          ...own,
          ...strict,
          Connector: slotConnector(AbstractConnector, () => cluster.ownerOf(slot, strict)),
        });
    }),
    shareReplay(1),
  );
}

/** How the nodes of a cluster are reached, first of all those that were named. */
function modelOf(options: RedisOptions) {
  const { client, cluster = [] } = options;
  if (client === undefined) return { own: loginOf(options), nodes: cluster.map(addressOf), natMap: undefined };
  const { options: given = {}, startupNodes } = client as unknown as Pick<Cluster, 'options'> & {
    readonly startupNodes?: unknown;
  };
  const nodes = (Array.isArray(startupNodes) ? startupNodes : []).map(addressOfNode);
  const natMap: NatMap | undefined = given.natMap ?? undefined;
  return { own: (given.redisOptions ?? {}) as ClientOptions, nodes, natMap };
}

function loginOf({ username, password, tls }: RedisOptions): ClientOptions {
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined || tls === false ? {} : { tls: tls === true ? {} : tls }),
  };
}

/** Who logs in, and which commands that takes. */
function loginFor(options: RedisOptions): Pick<Access, 'user' | 'commands'> {
  const { username, db = 0 } = ownOptions(options);
  return {
    user: username ?? 'default',
    commands: [
      '+@read +@write +@pubsub +@scripting +info +time',
      ...(db > 0 ? ['+select'] : []),
      ...((options.waitReplicas ?? 0) > 0 ? ['+wait'] : []),
      ...(isCluster(options)
        ? ['+cluster|slots +cluster|nodes +cluster|links +cluster|keyslot +cluster|getkeysinslot']
        : []),
    ].join(' '),
  };
}

/** What a connection is made with, as far as it is known before the given function has made its client. */
function ownOptions(options: RedisOptions): {
  readonly username?: string | undefined;
  readonly db?: number | undefined;
} {
  const { client } = options;
  if (isCluster(options)) return modelOf(options).own;
  return client === undefined || typeof client === 'function' ? options : (client as Redis).options;
}

/** Names the server, or the nodes, and never the password. */
function serverAddress(options: RedisOptions): string {
  if (isCluster(options))
    return modelOf(options)
      .nodes.map(({ host, port }) => `${host}:${port}`)
      .join(',');
  const { client, host = 'localhost', port = 6379 } = options;
  if (typeof client === 'function') return 'the address of the given client';
  return client === undefined ? `${host}:${port}` : addressOfClient(client as Redis);
}

function addressOfClient({ options: { host, port, path, sentinels, name } }: Redis): string {
  if (sentinels !== undefined && sentinels !== null && sentinels.length > 0)
    return `${name} of the sentinels ${sentinels.map((each) => `${each.host}:${each.port ?? 26_379}`).join(',')}`;
  return path ?? `${host}:${port}`;
}
