import { expect, test } from 'vitest';
import type { Backend, Place, RosterKey } from '../../../src/backends/backend.js';
import { redis } from '../../../src/backends/redis/index.js';
import { until } from '../../../src/testing/processes/probes.js';
import { askRedis, type RedisCluster } from '../../../src/testing/servers/redis.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { clusterClient } from '../../support/redis-client/cluster-client.js';
import { client, layoutOfLock, lockAt, slotOfLock, startUsed } from './cluster-support.js';
import { enter, type Stay } from './support.js';

/** Longer than what is done to the cluster takes. */
const ttlMs = 4_000;

const idOf = async ({ url }: TestServer): Promise<string> =>
  /\r\n(\w{40})\r\n/.exec(await askRedis(url, 'CLUSTER', 'MYID'))?.[1] ?? '';

/** Tells those that run whose the slot is. */
async function give(slot: number, owner: TestServer, others: readonly TestServer[]): Promise<void> {
  const id = await idOf(owner);
  for (const { url } of [owner, ...others]) await askRedis(url, 'CLUSTER', 'SETSLOT', `${slot}`, 'NODE', id);
}

interface Used extends AsyncDisposable {
  /** The master that has the roster, and the two others. */
  readonly nodes: readonly [node: TestServer, target: TestServer, third: TestServer];
  readonly roster: RosterKey;
  readonly backend: Backend;
  /** From now on it finds no server any more. */
  cut(): void;
}

/** Somebody has a session at a master; by their time of being up the others would admit at once. */
async function use(cluster: RedisCluster): Promise<Used> {
  const nodes = cluster.nodes as [TestServer, TestServer, TestServer];
  const roster = await lockAt(cluster, nodes[0]);
  let isCut = false;
  const natMap = (): { host: string; port: number } | null => (isCut ? { host: '127.0.0.1', port: 1 } : null);
  const seeds = nodes.map(({ host, port }) => ({ host, port }));
  const backend = redis({ client: clusterClient(seeds, { natMap }), ttlMs });
  const first = enter(backend, roster);
  await first.admitted(2 * ttlMs);
  first.leave();
  return {
    nodes,
    roster,
    backend,
    cut: () => {
      isCut = true;
    },
    [Symbol.asyncDispose]: () => backend.close(),
  };
}

async function follows(stay: Stay, holder: Place): Promise<void> {
  const { entry } = await stay.admitted(4 * ttlMs);
  expect(holder.isValid()).toBe(false);
  expect(entry.token).toBeGreaterThan(holder.entry.token);
  stay.leave();
}

async function follow(cluster: RedisCluster, roster: RosterKey, holder: Place): Promise<void> {
  expect(holder.isValid()).toBe(true);
  await using theirs = client(cluster, ttlMs);
  await follows(enter(theirs.backend, roster), holder);
}

test('a slot that comes from a promoted replica that lagged is not taken for what its old master had', async () => {
  await using cluster = await startUsed({ withReplicas: true });
  await using mine = await use(cluster);
  const {
    nodes: [node, target, third],
    roster,
  } = mine;
  const replica = cluster.replicas[0] as TestServer;
  await cluster.untilReplicated();
  await askRedis(node.url, 'CONFIG', 'SET', 'requirepass', 'unknown to the replica');
  await askRedis(node.url.replace('://', '://:unknown to the replica@'), 'CLIENT', 'KILL', 'TYPE', 'replica');
  const place = await enter(mine.backend, roster).admitted();
  mine.cut();
  await node.kill();
  await askRedis(replica.url, 'CLUSTER', 'FAILOVER', 'TAKEOVER');
  const slot = slotOfLock(roster.name);
  const isTaken = async (): Promise<boolean> => (await cluster.ownerOf(slot)) === replica;
  await until(isTaken, 3_000, 'the takeover');
  const move = await cluster.beginMove(slot, target);
  await move.moveKeys();
  await give(slot, target, [replica, third]);
  await follow(cluster, roster, place);
}, 60_000);

test('a slot that is given to a master that has long been up and never had it is not taken for unused', async () => {
  await using cluster = await startUsed();
  await using mine = await use(cluster);
  const {
    nodes: [node, target, third],
    roster,
  } = mine;
  const place = await enter(mine.backend, roster).admitted();
  mine.cut();
  await node.kill();
  await give(slotOfLock(roster.name), target, [third]);
  await follow(cluster, roster, place);
}, 60_000);

test('what was moved before the old owner of a slot was lost belongs to nobody, and goes', async () => {
  await using cluster = await startUsed();
  await using mine = await use(cluster);
  const {
    nodes: [node, target, third],
    roster,
  } = mine;
  await enter(mine.backend, roster).admitted();
  const { slot, keys } = layoutOfLock(roster.name);
  const setsOf = async ({ url }: TestServer): Promise<string[]> =>
    (await askRedis(url, 'KEYS', `${keys[0].slice(0, -1)}i:*`)).match(/^\{.*(?=\r$)/gm) ?? [];
  const sets = await setsOf(node);
  expect(sets).toHaveLength(1);
  await cluster.beginMove(slot, target);
  for (const set of sets) await askRedis(node.url, 'MIGRATE', target.host, `${target.port}`, set, '0', '5000');
  await node.kill();
  await mine.backend.close();
  await give(slot, target, [third]);
  expect(await setsOf(target)).toEqual(sets);
  await using theirs = client(cluster, ttlMs);
  const stay = enter(theirs.backend, roster);
  await stay.admitted(3 * ttlMs);
  stay.leave();
  await until(async () => (await setsOf(target)).length === 0, 2 * ttlMs, 'nothing left behind');
}, 60_000);
