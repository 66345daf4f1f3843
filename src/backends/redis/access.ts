import { catchError, defer, map, type Observable, of, shareReplay, switchMap, throwError } from 'rxjs';
import { InvalidOptions, MissingPackage } from '../errors.js';
import { ClusterMap } from './cluster-map.js';
import { givenWay } from './given.js';
import { ioredis$, ioredisLogin } from './ioredis.js';
import { nodeRedis$, nodeRedisLogin } from './node-redis.js';
import type { RedisUrlOptions } from './options.js';
import { Sentinels } from './sentinels.js';
import { type Login, ownWay, type Way } from './way.js';
import type { Dial, Wire, WireOptions } from './wire.js';

/** Options of `redis`. */
export interface RedisOptions extends Omit<RedisUrlOptions, 'client'> {
  /**
   * The library to connect with. Default: `'ioredis'` where that is installed, else `'node-redis'`.
   *
   * Or a client of either that says how to connect, in place of the options above: for a socket's path or a connector
   * of one's own, or for servers that name themselves otherwise than they are reached. It is only a model: duplicated,
   * never used itself and never closed; make it with `lazyConnect: true` to save ioredis's own connection. Its
   * `keyPrefix` stands before all keys and channels. Times, retries, queues and what replies are turned into are
   * conclave's in the duplicates. The database is that of its options, or on ioredis the one that `select` has chosen
   * before; node-redis does not tell which its `select` has chosen. A function may make a client of one server, not of a
   * cluster.
   */
  readonly client?: RedisUrlOptions['client'] | RedisClient | (() => RedisClient) | undefined;
}

/** What both libraries' clients have: those of one server, and those of a cluster. */
export interface RedisClient {
  duplicate(...args: never[]): unknown;
}

/** How connections are made. */
export interface Access {
  readonly isCluster: boolean;
  readonly waitReplicas: number;
  /** What all keys and channels begin with. */
  readonly keyPrefix: string;
  /** For messages. */
  readonly address: string;
  /** For messages: who logs in, and the commands that this user needs, as `ACL SETUSER` takes them. */
  readonly user: string;
  readonly commands: string;
  /** Leads to the server, in a cluster to whoever has the slot. */
  dial(options: WireOptions, slot: number): Observable<Wire>;
}

/** By the options, when their library is loaded, or by a client that was given. */
export function accessOf(options: RedisOptions): Observable<Access> {
  return wayOf(options).pipe(
    map((way) => accessBy(way, options)),
    shareReplay(1),
  );
}

/** Throws `InvalidOptions` where the given client has an option that cannot be used. */
export function checkClient({ client }: RedisOptions): void {
  if (typeof client === 'object') givenWay(client);
}

function wayOf({ client, ...own }: RedisOptions): Observable<Way> {
  if (typeof client === 'string' || client === undefined)
    return loginBy(client).pipe(map((dialAs) => ownWay(own, dialAs)));
  return defer(() => {
    if (typeof client === 'object') return of(givenWay(client));
    const way = givenWay(client());
    if (way.cluster !== undefined)
      throw new InvalidOptions(['client is a function that makes a client of a cluster: give that client itself']);
    return of(way);
  });
}

function loginBy(library: RedisUrlOptions['client']): Observable<(login: Login) => Dial> {
  const ioredis = ioredis$.pipe(map((loaded) => (login: Login) => ioredisLogin(loaded, login)));
  const nodeRedis = nodeRedis$.pipe(map((loaded) => (login: Login) => nodeRedisLogin(loaded, login)));
  if (library !== undefined) return library === 'ioredis' ? ioredis : nodeRedis;
  return ioredis.pipe(
    catchError((missing) =>
      missing instanceof MissingPackage
        ? // Where both are missing, the first is the one to install.
          nodeRedis.pipe(catchError((other) => throwError(() => (other instanceof MissingPackage ? missing : other))))
        : throwError(() => missing),
    ),
  );
}

function accessBy(way: Way, { waitReplicas = 0 }: RedisOptions): Access {
  const { address, username = 'default', db, keyPrefix, cluster } = way;
  const commands = [
    '+@read +@write +@pubsub +@scripting +info +time',
    ...(db > 0 ? ['+select'] : []),
    ...(waitReplicas > 0 ? ['+wait'] : []),
    ...(cluster === undefined
      ? []
      : ['+cluster|slots +cluster|nodes +cluster|links +cluster|keyslot +cluster|getkeysinslot']),
  ];
  return {
    isCluster: cluster !== undefined,
    ...{ waitReplicas, keyPrefix, address, user: username, commands: commands.join(' ') },
    dial: dialBy(way),
  };
}

function dialBy({ dial, cluster, sentinels }: Way): Access['dial'] {
  if (cluster !== undefined) {
    const known = new ClusterMap(cluster.nodes, dial, cluster.natMap);
    return (options, slot) => known.ownerOf(slot, options).pipe(switchMap((owner) => dial(options, owner)));
  }
  if (sentinels === undefined) return (options) => dial(options);
  const known = new Sentinels(sentinels, dial);
  return (options) => known.dial(options);
}
