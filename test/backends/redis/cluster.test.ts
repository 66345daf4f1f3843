import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { shardOf } from '../../../src/backends/kernel/sharded-backend.js';
import { redis } from '../../../src/backends/redis/index.js';
import { layoutOf } from '../../../src/backends/redis/layout.js';
import { connect } from '../../../src/connect.js';
import { until } from '../../../src/testing/processes/probes.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { askRedis, type RedisCluster, startRedis } from '../../../src/testing/servers/redis.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { clusterClient } from '../../support/redis-client/cluster-client.js';
import { client, lockAt, SHARDS, slotOfLock, startUsed, TTL_MS } from './cluster-support.js';
import { enter, entriesOnce, waiting } from './support.js';

let cluster: RedisCluster;
beforeAll(async () => {
  cluster = await startUsed();
});
afterAll(() => cluster[Symbol.asyncDispose]());

test('names are spread evenly over slots and masters, and each is where a cluster expects it', async () => {
  for (const namespace of ['conclave', 'a{b}', 'ü'])
    for (let shard = 0; shard < SHARDS; shard++) {
      const { slot, keys } = layoutOf(namespace, shard, SHARDS);
      expect(Math.floor((slot * SHARDS) / 16_384)).toBe(shard);
      const said = await askRedis(cluster.nodes[0]?.url ?? '', 'CLUSTER', 'KEYSLOT', keys[0]);
      expect(said).toBe(`:${slot}\r\n`);
    }
  const counts = new Map<number, number>();
  for (let at = 0; at < 16_000; at++) {
    const shard = shardOf(`lock:invoice-${at}`, SHARDS);
    counts.set(shard, (counts.get(shard) ?? 0) + 1);
  }
  expect([counts.size, Math.max(...counts.values()) < 1_200]).toEqual([SHARDS, true]);
});

test('locks on different masters are held side by side, and only what is used has a lease', async () => {
  await using mine = client(cluster);
  const stays = [];
  for (const node of cluster.nodes) stays.push(enter(mine.backend, await lockAt(cluster, node)));
  await Promise.all(stays.map((stay) => stay.admitted()));
  const leases = await Promise.all(cluster.nodes.map(({ url }) => askRedis(url, 'KEYS', '*:s')));
  expect(leases.map((reply) => reply.split('\r\n')[0])).toEqual(['*1', '*1', '*1']);
  for (const stay of stays) stay.leave();
});

test('a cluster is reached by way of any node that answers, and what is none, or only a part, is said to be so', async () => {
  const [node, another] = cluster.nodes as [TestServer, TestServer];
  const seeds = [
    { host: node.host, port: 1 },
    { host: node.host, port: node.port },
  ];
  await using mine = redis({ cluster: seeds, ttlMs: TTL_MS });
  const roster = await lockAt(cluster, another);
  const stay = enter(mine, roster);
  await stay.admitted();
  stay.leave();
  await using single = await startRedis();
  await using mistaken = connect(`redis-cluster://${single.host}:${single.port}`);
  expect(await enter(mistaken).lost()).toMatchObject({ _tag: 'NotSupported' });
  const elsewhere = layoutOf('conclave', 0, 1).slot;
  const notThere = (await cluster.ownerOf(elsewhere)) === node ? another : node;
  await using part = connect(notThere.url);
  expect(await enter(part).lost()).toMatchObject({ _tag: 'NotSupported' });
  await using hidden = redis({ client: () => clusterClient(seeds) });
  expect(await enter(hidden).lost()).toMatchObject({ _tag: 'InvalidOptions' });
});

test('a backend that is closed while nodes are asked for the way asks no other', async () => {
  await using first = await startProxy({ port: cluster.nodes[0]?.port ?? 0 });
  await using second = await startProxy({ port: cluster.nodes[0]?.port ?? 0 });
  const accepted = (): number => first.counters.connectionsAccepted + second.counters.connectionsAccepted;
  for (const proxy of [first, second]) proxy.blackhole();
  const requestTimeoutMs = 400;
  const seeds = [first, second].map(({ host, port }) => ({ host, port }));
  const mine = redis({ cluster: seeds, ttlMs: TTL_MS, requestTimeoutMs });
  mine.session$.subscribe();
  await until(() => accepted() > 0, 5_000, 'a node that is asked');
  const before = accepted();
  await mine.close();
  await delay(2 * requestTimeoutMs);
  expect(accepted()).toBe(before);
});

test('a cluster that is down is connected to ever less often, is no fault each time, and is used when it is back', async () => {
  const node = cluster.nodes[1] as TestServer;
  await using mine = client(cluster);
  const roster = await lockAt(cluster, node);
  const used = new Set(await cluster.usedSlots());
  const isUnused = (slot: number): boolean => !used.has(slot) && slot !== slotOfLock(roster.name);
  let unused = Math.round(16_384 / 3) + 1;
  while (!isUnused(unused)) unused += 1;
  const connections = async (): Promise<number> =>
    Number(/total_connections_received:(\d+)/.exec(await askRedis(node.url, 'INFO', 'stats'))?.[1]);
  const stay = enter(mine.backend, roster);
  await stay.admitted();
  await askRedis(node.url, 'CONFIG', 'SET', 'cluster-require-full-coverage', 'yes');
  const before = await connections();
  try {
    await askRedis(node.url, 'CLUSTER', 'DELSLOTS', `${unused}`);
    await firstWithin(mine.backend.session$, ({ state }) => state === 'connecting', 2 * TTL_MS, 'the loss');
    // After 15 ms at first, every 150 in the end.
    const attempts = TTL_MS / 100;
    expect((await connections()) - before).toBeLessThan(3 * attempts);
    expect(mine.faults.filter(({ _tag }) => _tag !== 'ReleaseFailed')).toEqual([]);
  } finally {
    await askRedis(node.url, 'CLUSTER', 'ADDSLOTS', `${unused}`);
    await askRedis(node.url, 'CONFIG', 'SET', 'cluster-require-full-coverage', 'no');
  }
  const again = enter(mine.backend, roster);
  await again.admitted();
  again.leave();
});

test('a client that was given is only a model, with its credentials', async () => {
  const { nodes } = cluster;
  const seeds = nodes.map(({ host, port }) => ({ host, port }));
  const setPassword = (login: string, password: string) =>
    Promise.all(
      nodes.map(({ host, port }) =>
        askRedis(`redis://${login}${host}:${port}`, 'CONFIG', 'SET', 'requirepass', password),
      ),
    );
  await setPassword('', 'secret');
  try {
    const model = clusterClient(seeds, { password: 'secret' });
    await using mine = redis({ client: model, ttlMs: TTL_MS });
    const stay = enter(mine);
    await stay.admitted();
    stay.leave();
    expect(model).toMatchObject('status' in model ? { status: 'wait' } : { isOpen: false });
    await using stranger = connect(cluster.url.replace('://', '://:wrong@'));
    expect(await enter(stranger).lost()).toMatchObject({ _tag: 'AuthenticationFailed' });
  } finally {
    await setPassword(':secret@', '');
  }
});

test('a slot is moved while a lock in it is held and contended: nothing is lost, and nobody else holds', async () => {
  await using mine = client(cluster);
  await using theirs = client(cluster);
  const [source, target] = cluster.nodes as [TestServer, TestServer];
  const roster = await lockAt(cluster, source);
  const holder = enter(mine.backend, roster);
  const place = await holder.admitted();
  const next = enter(theirs.backend, roster);
  await waiting(next);
  const states: string[] = [];
  mine.backend.session$.subscribe(({ state }) => states.push(state));
  const move = await cluster.beginMove(slotOfLock(roster.name), target);
  await move.moveKeys(2);
  // Neither half may be taken for the whole.
  const third = enter(theirs.backend, roster);
  const places: unknown[] = [];
  third.places$.subscribe((each) => places.push(each));
  await firstWithin(mine.backend.session$, ({ state }) => state === 'suspended', TTL_MS, 'a renewal that failed');
  expect([place.isValid(), places]).toEqual([true, []]);
  await move.finish();
  await firstWithin(mine.backend.session$, ({ state }) => state === 'live', TTL_MS, 'a renewal at the new owner');
  expect(await cluster.ownerOf(slotOfLock(roster.name))).toBe(target);
  await waiting(third);
  expect(await entriesOnce(theirs.backend, roster)).toHaveLength(3);
  expect([place.isValid(), states.includes('lost')]).toEqual([true, false]);
  holder.leave();
  // Whether what was moved is all that was acknowledged, nobody can know.
  expect((await next.admitted(2 * TTL_MS)).entry.token).toBeGreaterThan(place.entry.token);
  next.leave();
  await third.admitted(1_000);
  third.leave();
  // Back, with nobody in it, for the tests that follow.
  await (await cluster.beginMove(slotOfLock(roster.name), source)).finish();
});

test('a slot that stays half-moved costs what is held in it, and is not given to anybody else', async () => {
  await using mine = client(cluster);
  await using theirs = client(cluster);
  const [source, target] = cluster.nodes as [TestServer, TestServer];
  const roster = await lockAt(cluster, source);
  const elsewhere = await lockAt(cluster, source, false);
  const [holder, other] = [enter(mine.backend, roster), enter(mine.backend, elsewhere)];
  await holder.admitted();
  const place = await other.admitted();
  const move = await cluster.beginMove(slotOfLock(roster.name), target);
  await move.moveKeys(1);
  const rival = enter(theirs.backend, roster);
  expect(await holder.lost(TTL_MS)).toMatchObject({ _tag: 'PlaceLost', reason: 'session lost' });
  expect(place.isValid()).toBe(true);
  await move.finish();
  await rival.admitted(2 * TTL_MS);
  for (const stay of [rival, other]) stay.leave();
  await (await cluster.beginMove(slotOfLock(roster.name), source)).finish();
});

test('a master that is restarted with its data loses nothing, and the others do not notice', async () => {
  // A master of a cluster serves nobody for two seconds after its start.
  const ttlMs = 8_000;
  await using mine = client(cluster, ttlMs);
  const [, node] = cluster.nodes as [TestServer, TestServer];
  const [there, elsewhere] = [await lockAt(cluster, node), await lockAt(cluster, node, false)];
  const [holder, other] = [enter(mine.backend, there), enter(mine.backend, elsewhere)];
  const places = [await holder.admitted(), await other.admitted()];
  const states: string[] = [];
  mine.backend.session$.subscribe(({ state }) => states.push(state));
  const suspended = firstWithin(mine.backend.session$, ({ state }) => state === 'suspended', ttlMs, 'a suspension');
  await node.kill();
  await suspended;
  // What is elsewhere can be taken and released meanwhile.
  other.leave();
  const again = enter(mine.backend, elsewhere);
  await again.admitted(1_000);
  await node.start();
  await firstWithin(mine.backend.session$, ({ state }) => state === 'live', ttlMs, 'recovery');
  expect([places[0]?.isValid(), states]).toEqual([true, ['live', 'suspended', 'live']]);
  for (const stay of [holder, again]) stay.leave();
});

test('what is held on a master that is gone is lost before its deadline, and nothing else is', async () => {
  await using own = await startUsed();
  await using mine = client(own);
  const [node] = own.nodes as [TestServer];
  const [there, elsewhere] = [await lockAt(own, node), await lockAt(own, node, false)];
  const [holder, other] = [enter(mine.backend, there), enter(mine.backend, elsewhere)];
  const places = [await holder.admitted(), await other.admitted()];
  const killedAt = performance.now();
  await node.kill();
  expect(await holder.lost(TTL_MS)).toMatchObject({ _tag: 'PlaceLost', reason: 'session lost' });
  expect(performance.now() - killedAt).toBeLessThan(TTL_MS);
  await firstWithin(mine.backend.session$, ({ state }) => state === 'connecting', TTL_MS, 'another session there');
  expect(places.map((place) => place.isValid())).toEqual([false, true]);
  other.leave();
  await using theirs = client(own);
  const next = enter(theirs.backend, elsewhere);
  await next.admitted();
  next.leave();
});

test('when a replica is promoted, everybody takes part again, and nobody beside a holder from before', async () => {
  await using own = await startUsed({ withReplicas: true });
  await using mine = client(own);
  await using theirs = client(own);
  const [node] = own.nodes as [TestServer];
  const roster = await lockAt(own, node);
  const holder = enter(mine.backend, roster);
  const place = await holder.admitted();
  const next = enter(theirs.backend, roster);
  await waiting(next);
  const lost = holder.lost(TTL_MS);
  await node.kill();
  await lost;
  await next.lost(TTL_MS);
  const again = enter(theirs.backend, roster);
  const { entry } = await again.admitted(20_000);
  expect(await own.ownerOf(slotOfLock(roster.name))).toBe(own.replicas[0]);
  expect(entry.token).toBeGreaterThan(place.entry.token);
  again.leave();
});
