import { lookup } from 'node:dns';
import type { RedisOptions as ClientOptions, Cluster, ClusterOptions, Redis } from 'ioredis';
import { bindNodeCallback, map, type Observable, of, switchMap } from 'rxjs';
import { objectWith } from '../shared/expectations.js';
import { type Address, addressOf, shown } from './addresses.js';
import { ioredis$, ioredisDial } from './ioredis.js';
import { addressOfMaster, SENTINEL_PORT, type Way } from './way.js';
import type { Dial } from './wire.js';

export function isRedis(client: object): client is Redis {
  return isOfIoredis(client) && client.isCluster === false;
}

export function isCluster(client: object): client is Cluster {
  return isOfIoredis(client) && client.isCluster === true;
}

function isOfIoredis(client: object): client is { readonly isCluster: unknown } {
  return 'isCluster' in client && 'duplicate' in client && 'options' in client && objectWith()[1](client.options);
}

/** The way of a client of one server, and what of its options cannot be used. */
export function givenRedis(model: Redis): [Way, violations: string[]] {
  const { role, readOnly } = model.options;
  const violations: string[] = [];
  if (role === 'slave') violations.push('client must lead to the master, but its role is slave');
  if (readOnly === true) violations.push('client must be able to write, but its readOnly is true');
  return [wayOfRedis(model), violations];
}

function wayOfRedis(model: Redis): Way {
  const { options, duplicate } = model;
  const { username, keyPrefix = '', sentinels, name = '', updateSentinels = true } = options;
  const db = databaseOf(model);
  const common = { username: username ?? undefined, db, keyPrefix };
  const dialWith = (said: ClientOptions = {}): Dial =>
    ioredisDial((strict, to) => duplicate.call(model, { db, ...said, ...strict, ...to }));
  if (options.Connector !== undefined || !sentinels?.length) {
    const { host, port, path } = options;
    return { ...common, address: path ?? `${host}:${port}`, dial: dialWith() };
  }
  const nodes = sentinels.map(({ host = 'localhost', port }) => addressOf({ host, port }, SENTINEL_PORT));
  // They are asked here, and no connection of ioredis's own is made to them.
  const direct = { sentinels: null, path: undefined } as unknown as ClientOptions;
  const { enableTLSForSentinelMode, tls, sentinelUsername, sentinelPassword, sentinelTLS, natMap } = options;
  return {
    ...common,
    address: addressOfMaster(name, nodes),
    dial: dialWith({ ...direct, tls: enableTLSForSentinelMode ? tls : undefined }),
    sentinels: {
      name,
      nodes,
      natMap: natMap ?? undefined,
      areOthersSought: updateSentinels,
      dial: dialWith({
        ...direct,
        ...{ db: 0, tls: sentinelTLS },
        ...{ username: sentinelUsername ?? undefined, password: sentinelPassword ?? undefined },
      }),
    },
  };
}

/** What ioredis knows of its connection, and of the one before, whose database it chooses again. */
interface WithCondition {
  readonly condition?: Condition | null;
  readonly prevCondition?: Condition | null;
}

interface Condition {
  readonly select?: number | undefined;
}

/** The one that was chosen by a command, if any was: the client chooses it again with each connection, too. */
function databaseOf(model: Redis): number {
  const { condition, prevCondition } = model as unknown as WithCondition;
  return (prevCondition ?? condition)?.select ?? model.options.db ?? 0;
}

/** The way of a client of a cluster, to each node with the options for nodes; and what of its options cannot be used. */
export function givenCluster(model: Cluster): [Way, violations: string[]] {
  const violations: string[] = [];
  if (model.options.useSRVRecords === true)
    violations.push('client must name the nodes of its cluster, but its useSRVRecords is true');
  if (startupNodesOf(model).some(hasLogin))
    violations.push(
      'client must have the login to its cluster in redisOptions, which are for all nodes, not in a node',
    );
  return [wayOfCluster(model), violations];
}

function wayOfCluster(model: Cluster): Way {
  const { redisOptions = {}, keyPrefix = '', natMap, dnsLookup } = model.options;
  const own: ClientOptions = redisOptions;
  const nodes = startupNodesOf(model).map(addressOfNode);
  return {
    address: shown(nodes),
    username: own.username,
    db: own.db ?? 0,
    keyPrefix,
    dial: (options, to) =>
      ioredis$.pipe(
        switchMap(({ Redis }) => {
          const dial = ioredisDial((strict, at) => new Redis({ ...own, ...strict, ...at }));
          return lookedUp(to, dnsLookup).pipe(switchMap((at) => dial(options, at)));
        }),
      ),
    cluster: { nodes, natMap: natMap ?? undefined },
  };
}

function startupNodesOf(model: Cluster): readonly unknown[] {
  const { startupNodes } = model as unknown as { readonly startupNodes?: unknown };
  return Array.isArray(startupNodes) ? startupNodes : [];
}

/** A node in any of the forms that ioredis takes. */
function addressOfNode(node: unknown): Address {
  if (typeof node === 'number') return { host: '127.0.0.1', port: node };
  if (typeof node === 'string') {
    const { hostname, port } = urlOf(node);
    return addressOf({ host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? undefined : Number(port) });
  }
  const { host = '127.0.0.1', port } = node as Partial<Address>;
  return addressOf({ host, port });
}

function hasLogin(node: unknown): boolean {
  if (typeof node === 'string') {
    const { username, password, protocol } = urlOf(node);
    return username !== '' || password !== '' || protocol === 'rediss:';
  }
  return typeof node === 'object' && node !== null && ['username', 'password', 'tls'].some((name) => name in node);
}

function urlOf(node: string): URL {
  return new URL(node.includes('://') ? node : `redis://${node}`);
}

function lookedUp(address: Address | undefined, by: ClusterOptions['dnsLookup']): Observable<Address | undefined> {
  if (address === undefined || by === undefined || by === lookup) return of(address);
  return bindNodeCallback(by)(address.host).pipe(
    map((found) => ({ ...address, host: String(Array.isArray(found) ? found[0] : found) })),
  );
}
