import type { Backend, RosterKey } from '../../../src/backends/backend.js';
import type { CoordinationError } from '../../../src/backends/errors.js';
import { shardOf } from '../../../src/backends/kernel/sharded-backend.js';
import { type Layout, layoutOf } from '../../../src/backends/redis/layout.js';
import { shardsOf } from '../../../src/backends/redis/options.js';
import { connect } from '../../../src/connect.js';
import { until } from '../../../src/testing/processes/probes.js';
import { askRedis, type RedisCluster, startRedisCluster } from '../../../src/testing/servers/redis.js';
import type { TestServer } from '../../../src/testing/servers/server.js';

export const TTL_MS = 2_000;
export const SHARDS = shardsOf({ cluster: [] });

/** A cluster whose nodes have been up for longer than the ttl. */
export async function startUsed(options?: Parameters<typeof startRedisCluster>[0]): Promise<RedisCluster> {
  const started = await startRedisCluster(options);
  const isOld = async ({ url }: TestServer): Promise<boolean> =>
    Number(/uptime_in_seconds:(\d+)/.exec(await askRedis(url, 'INFO', 'server'))?.[1]) > TTL_MS / 1_000 + 1;
  await until(async () => (await Promise.all(started.nodes.map(isOld))).every(Boolean), 10_000, 'the age of the nodes');
  return started;
}

interface ClusterClient extends AsyncDisposable {
  readonly backend: Backend;
  readonly faults: CoordinationError[];
}

export function client(of: RedisCluster, ttlMs = TTL_MS): ClusterClient {
  const backend = connect(of.url, { ttlMs, initialBackoffMs: 20, maxBackoffMs: 200 });
  const faults: CoordinationError[] = [];
  backend.faults$.subscribe((fault) => faults.push(fault));
  return { backend, faults, [Symbol.asyncDispose]: () => backend.close() };
}

export function layoutOfLock(name: string): Layout {
  return layoutOf('conclave', shardOf(`lock:${name}`, SHARDS), SHARDS);
}

export const slotOfLock = (name: string): number => layoutOfLock(name).slot;

/** The name of a lock that is at this master now, or at any but this one. */
export async function lockAt(of: RedisCluster, node: TestServer, isThere = true): Promise<RosterKey> {
  for (let at = 0; ; at++) {
    const name = `n${at}`;
    if (((await of.ownerOf(slotOfLock(name))) === node) === isThere) return { kind: 'lock', name };
  }
}
