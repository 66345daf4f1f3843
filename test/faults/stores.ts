import type { ConnectOptions } from '../../src/index.js';
import type { TestCluster } from '../../src/testing/servers/cluster.js';
import { startEtcd } from '../../src/testing/servers/etcd.js';
import { type RedisCluster, startRedis, startRedisCluster } from '../../src/testing/servers/redis.js';
import type { TestServer } from '../../src/testing/servers/server.js';
import { startZooKeeper } from '../../src/testing/servers/zookeeper.js';
import { ShiftedClock } from '../support/shifted-clock.js';
import { type RedisEndpoint, startRedisEndpoint } from './redis-endpoint.js';
import { type RedisReplication, startRedisReplication } from './redis-replication.js';

export type StoreName = 'redis' | 'etcd' | 'zookeeper';
export const storeNames: readonly StoreName[] = ['redis', 'etcd', 'zookeeper'];

const standardTtlMs = 2_000;

/** Many processes of a store whose client takes much processor time need longer to take part again. */
export const ttlMs = Number(process.env['CONCLAVE_FAULTS_TTL_MS'] ?? standardTtlMs);
if (!(ttlMs >= standardTtlMs)) throw new Error(`CONCLAVE_FAULTS_TTL_MS must be ${standardTtlMs} or more`);

/** To be set before the command that repeats a run. */
export const ttlSetting: string = ttlMs === standardTtlMs ? '' : `CONCLAVE_FAULTS_TTL_MS=${ttlMs} `;

/** One store, run for the faults alone. */
export interface StoreUnderTest extends AsyncDisposable {
  readonly name: StoreName;
  readonly topology: string;
  readonly nodes: readonly TestServer[];
  readonly cluster: TestCluster | undefined;
  /** The wall clock of the only server, if it can be shifted. */
  readonly clock?: ShiftedClock;
  /** By way of these, Redis tells who is the master. Actors reach it directly then, without a proxy. */
  readonly sentinels?: readonly { readonly host: string; readonly port: number }[];
  /** Its address leads to one of the nodes, in place of their own addresses. */
  readonly endpoint?: RedisEndpoint;
  /** By way of this, the servers name each other. Actors reach them directly then, too. */
  readonly url?: string;
  /** There is a proxy between each actor and each node. Default: where the servers do not name each other. */
  readonly isProxied?: boolean;
  options(namespace: string): ConnectOptions;
}

const common = { ttlMs, initialBackoffMs: 50, maxBackoffMs: 500 };

const optionsOf: Record<StoreName, (namespace: string) => ConnectOptions> = {
  redis: (namespace) => ({ ...common, namespace }),
  etcd: (namespace) => ({ ...common, namespace }),
  zookeeper: (namespace) => ({ ...common, namespace, tickTimeMs: 500 }),
};

export async function startSingle(name: StoreName): Promise<StoreUnderTest> {
  const clock = name === 'etcd' ? undefined : new ShiftedClock();
  const shifted = clock && { env: clock.environment };
  const start = {
    // Each write before it is acknowledged: what is kept when it is killed is all of it.
    redis: () => startRedis({ appendonly: true, appendfsync: 'always', ...shifted }),
    etcd: startEtcd,
    zookeeper: () => startZooKeeper({ ...shifted }),
  }[name];
  const server = await start();
  return {
    name,
    topology: 'one server',
    nodes: [server],
    cluster: undefined,
    ...(clock && { clock }),
    options: optionsOf[name],
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      clock?.[Symbol.dispose]();
    },
  };
}

/** One master, one replica, three sentinels. */
export async function startSentinel(): Promise<StoreUnderTest & { replication: RedisReplication }> {
  const replication = await startRedisReplication();
  return {
    name: 'redis',
    topology: 'one replica, three sentinels',
    nodes: replication.servers,
    cluster: undefined,
    sentinels: replication.sentinels,
    replication,
    options: optionsOf.redis,
    [Symbol.asyncDispose]: () => replication[Symbol.asyncDispose](),
  };
}

/** Two servers, and one address that leads to one of them. */
export async function startBehindEndpoint(): Promise<StoreUnderTest> {
  const endpoint = await startRedisEndpoint();
  return {
    name: 'redis',
    topology: 'two servers behind one address',
    nodes: endpoint.servers,
    cluster: undefined,
    endpoint,
    options: optionsOf.redis,
    [Symbol.asyncDispose]: () => endpoint[Symbol.asyncDispose](),
  };
}

export async function startThree(
  name: 'etcd' | 'zookeeper',
  env: Readonly<Record<string, string>> = {},
): Promise<StoreUnderTest & { cluster: TestCluster }> {
  const start = {
    etcd: () => startEtcd({ nodes: 3 }),
    // As in production, so that there is a disk to wait for.
    zookeeper: () => startZooKeeper({ nodes: 3, config: ['forceSync=yes'], env }),
  };
  const cluster = await start[name]();
  return {
    name,
    topology: 'three nodes',
    nodes: cluster.nodes,
    cluster,
    options: optionsOf[name],
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

/** A Redis Cluster, with a replica of each master if that is asked for. */
export async function startMasters(
  withReplicas: boolean,
  isProxied = false,
): Promise<StoreUnderTest & { masters: RedisCluster }> {
  const masters = await startRedisCluster({ withReplicas });
  return {
    name: 'redis',
    topology: withReplicas ? 'three masters, a replica of each' : 'three masters',
    nodes: [...masters.nodes, ...masters.replicas],
    cluster: undefined,
    isProxied,
    url: masters.url,
    masters,
    options: optionsOf.redis,
    [Symbol.asyncDispose]: () => masters[Symbol.asyncDispose](),
  };
}
