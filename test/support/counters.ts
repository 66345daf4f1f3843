import { setTimeout } from 'node:timers/promises';
import { until } from '../../src/testing/processes/probes.js';
import { askHttp } from '../../src/testing/servers/ask.js';
import { askRedis } from '../../src/testing/servers/redis.js';
import { askZooKeeper } from '../../src/testing/servers/zookeeper.js';

/** Numbers that a server keeps, by name. What reading them adds is taken off, if only this process reads them. */
export type Counts = Readonly<Record<string, number>>;

/** By how much each number changed; those that did not are left out. */
export function difference(before: Counts, after: Counts): Counts {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  const changes = [...names].map((name) => [name, (after[name] ?? 0) - (before[name] ?? 0)] as const);
  return Object.fromEntries(changes.filter(([, change]) => change !== 0));
}

/** The same, once these numbers stand still: what those who have just come still ask for is no part of what follows. */
export async function settledCounts(read: () => Promise<Counts>, ...names: readonly string[]): Promise<Counts> {
  let counts = await read();
  const standsStill = async (): Promise<boolean> => {
    const before = counts;
    await setTimeout(STILL_MS);
    counts = await read();
    return names.every((name) => before[name] === counts[name]);
  };
  await until(standsStill, 10_000, 'counts that stand still');
  return counts;
}

/** Longer than a request takes. */
const STILL_MS = 200;

/** Calls by command, those from within scripts too, and all of them as `total`. */
export async function redisCounts(url: string): Promise<Counts> {
  const earlier = countReading(url);
  const counts = numbers(await askRedis(url, 'INFO', 'commandstats'), /^cmdstat_([^:]+):calls=(\d+)/gm);
  counts['info'] = (counts['info'] ?? 0) - earlier;
  if (new URL(url).password !== '') counts['auth'] = (counts['auth'] ?? 0) - earlier - 1;
  const total = Object.values(counts).reduce((sum, calls) => sum + calls, 0);
  return { ...counts, total };
}

/**
 * Messages that clients sent, by service and method (`KV/Txn`, `Lease/LeaseKeepAlive`): for what is not a stream these
 * are the calls. `… opened` counts the calls, which for a stream differ; `proposals` is what went through raft.
 */
export async function etcdCounts(url: string): Promise<Counts> {
  const { host } = new URL(url);
  const page = await askHttp(`http://${host}/metrics`);
  const labels = String.raw`\{grpc_method="(\w+)",grpc_service="etcdserverpb\.(\w+)",grpc_type="\w+"\}`;
  const count = (metric: string, suffix: string): (readonly [string, number])[] =>
    [...page.matchAll(new RegExp(`^grpc_server_${metric}_total${labels} (\\S+)`, 'gm'))].map(
      ([, method, service, value]) => [`${service}/${method}${suffix}`, Number(value)] as const,
    );
  const proposals = Number(/^etcd_server_proposals_committed_total (\S+)/m.exec(page)?.[1] ?? 0);
  return { ...Object.fromEntries([...count('msg_received', ''), ...count('started', ' opened')]), proposals };
}

const zooKeeperNames = new Set([
  'packets_received',
  'num_alive_connections',
  'global_sessions',
  'znode_count',
  'ephemerals_count',
  'watch_count',
  'approximate_data_size',
]);

/**
 * What `mntr` tells of sessions, nodes and watches; `packets_received` has requests and pings; `reads` and `writes` are
 * the requests that this server answered, pings among the reads.
 */
export async function zooKeeperCounts(url: string): Promise<Counts> {
  const { hostname, port } = new URL(url);
  const earlier = countReading(url);
  const page = numbers(
    await askZooKeeper({ host: hostname, port: Number(port || 2181) }, 'mntr'),
    /^zk_(\w+)\s+(\d+)$/gm,
  );
  const counts = Object.fromEntries(Object.entries(page).filter(([name]) => zooKeeperNames.has(name)));
  return {
    ...counts,
    packets_received: (counts['packets_received'] ?? 0) - earlier - 1,
    num_alive_connections: (counts['num_alive_connections'] ?? 0) - 1,
    reads: page['cnt_readlatency'] ?? 0,
    writes: page['cnt_updatelatency'] ?? 0,
  };
}

const readings = new Map<string, number>();

/** How often this process has read the numbers of `url` before. */
function countReading(url: string): number {
  const earlier = readings.get(url) ?? 0;
  readings.set(url, earlier + 1);
  return earlier;
}

function numbers(text: string, line: RegExp): Record<string, number> {
  return Object.fromEntries([...text.matchAll(line)].map(([, name = '', value]) => [name, Number(value)]));
}
