import { firstValueFrom } from 'rxjs';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { until } from '../../../src/testing/processes/probes.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { disposeAll, type TestServer } from '../../../src/testing/servers/server.js';
import { startProxy, type TcpProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { difference, redisCounts } from '../../support/counters.js';
import {
  ask,
  client,
  connectionsWith,
  enter,
  entriesOnce,
  LOCK,
  promptly,
  request,
  startReplicaOf,
  startUsedRedis,
  TTL_MS,
  waiting,
} from './support.js';

interface Pair extends AsyncDisposable {
  readonly master: TestServer;
  readonly replica: TestServer;
  /** The network between them. */
  readonly replication: TcpProxy;
}

async function startPair(): Promise<Pair> {
  const master = await startUsedRedis({ args: promptly });
  const replication = await startProxy({ port: master.port });
  const replica = await startReplicaOf(master, replication);
  return {
    master,
    replica,
    replication,
    [Symbol.asyncDispose]: () => disposeAll([master, replica, replication]),
  };
}

/** The next renewal that passes. */
function firstBeat(proxy: TcpProxy): Promise<void> {
  return new Promise((resolve) => {
    const stop = proxy.onData((direction, chunk) => {
      if (direction !== 'toClient' || !chunk.includes('beat:')) return;
      stop();
      resolve();
    });
  });
}

let pair: Pair;
beforeAll(async () => {
  pair = await startPair();
});
// One test that fails leaves the network whole for the next.
afterEach(() => pair.replication.heal());
afterAll(() => pair[Symbol.asyncDispose]());

const replicated = { waitReplicas: 1, initialBackoffMs: 20, maxBackoffMs: 100 };
/** Outlives whatever is cut off meanwhile. */
const lasting = { ...replicated, ttlMs: 10_000, requestTimeoutMs: 1_200 };

test('nobody is told to hold what no replica has; once one has it, the acquisition counts, in its place', async () => {
  const { master, replication } = pair;
  await using mine = client(master, lasting);
  await using theirs = client(master, lasting);
  await firstValueFrom(mine.backend.session$);
  await firstValueFrom(mine.backend.evict(LOCK, 'nobody'));
  // A replica on a busy machine may have been slow to acknowledge the session.
  const earlier = mine.faults.length;
  replication.blackhole();
  const told: unknown[] = [];
  const stay = enter(mine.backend);
  stay.places$.subscribe((place) => told.push(place));
  const fault = await firstWithin(mine.backend.faults$, () => true, 5_000, 'a fault');
  expect(fault).toMatchObject({ _tag: 'Unavailable', operation: 'enter' });
  expect(fault.message).toContain('0 of 1 replicas have acknowledged it');
  // It stands in line, and is tried again without another word.
  const waits = async (): Promise<number> => (await redisCounts(master.url))['wait'] ?? 0;
  const before = await waits();
  await until(async () => (await waits()) >= before + 2, 10_000, 'two more tries');
  expect([told, mine.faults.slice(earlier).map(({ message }) => message)]).toEqual([[], [fault.message]]);
  await replication.heal();
  const place = await stay.admitted(3_000);
  const next = enter(theirs.backend);
  expect((await waiting(next)).ahead).toBe(1);
  expect((await entriesOnce(theirs.backend)).map(({ id }) => id)[0]).toBe(place.entry.id);
  stay.leave();
  await next.admitted(3_000);
  next.leave();
});

test('who gives up before a replica had it leaves nobody in line', async () => {
  const { master, replication } = pair;
  await using mine = client(master, lasting);
  await using theirs = client(master, { ttlMs: 10_000 });
  await firstValueFrom(mine.backend.evict(LOCK, 'nobody'));
  replication.blackhole();
  const stay = enter(mine.backend);
  await firstWithin(theirs.backend.entries(LOCK), (entries) => entries.length === 1, 5_000, 'the entry');
  stay.leave();
  await firstWithin(theirs.backend.entries(LOCK), (entries) => entries.length === 0, 8_000, 'an empty roster');
  await replication.heal();
});

test('a renewal that no replica has proves nothing: what is held is lost at the deadline, and comes back', async () => {
  const { master, replication } = pair;
  await using mine = client(master, replicated);
  const stay = enter(mine.backend);
  const place = await stay.admitted();
  const cutAt = performance.now();
  replication.blackhole();
  expect(await stay.lost(TTL_MS)).toMatchObject({ _tag: 'PlaceLost', reason: 'session lost' });
  expect(performance.now() - cutAt).toBeLessThan(TTL_MS);
  expect(place.isValid()).toBe(false);
  await firstWithin(
    mine.backend.session$,
    (session) => session.state === 'connecting' && /0 of 1 replicas/.test(String(session.cause?.message)),
    3_000,
    'the reason why there is no session',
  );
  await replication.heal();
  const again = enter(mine.backend);
  await again.admitted(3_000);
  again.leave();
});

test.each([
  ['is not noticed by its clients', 0, true],
  ['keeps no holder that waits for replicas', 1, false],
])('a master that goes on while its replica is promoted %s', async (_what, waitReplicas, holdsOn) => {
  await using own = await startPair();
  const { master, replica, replication } = own;
  await using mine = client(master, { waitReplicas });
  await using theirs = client(replica);
  const holder = enter(mine.backend);
  const place = await holder.admitted();
  // The replica has been there for long enough to know the shard.
  await until(async () => (await ask(replica, 'EXISTS', '{conclave:0}:s')).includes(':1'), 2_000, 'the lease');
  replication.blackhole();
  await ask(replica, 'REPLICAOF', 'NO', 'ONE');
  // What it has kept of the holder is not renewed there.
  const stranger = enter(theirs.backend);
  const { entry } = await stranger.admitted(3 * TTL_MS);
  expect(place.isValid()).toBe(holdsOn);
  expect(entry.token).toBeGreaterThan(place.entry.token);
  stranger.leave();
  holder.leave();
});

test('a deposed master admits nobody after a holder that goes on at its promoted replica', async () => {
  await using own = await startPair();
  const { master, replica, replication } = own;
  await using _follower = await startReplicaOf(replica);
  const route = { port: master.port };
  await using access = await startProxy(route);
  const ttlMs = 3_000;
  await using mine = client(access, { waitReplicas: 1, ttlMs, renewEveryMs: 1_500, initialBackoffMs: 20 });
  await using theirs = client(master, { waitReplicas: 1, ttlMs, renewEveryMs: 150 });
  const place = await enter(mine.backend).admitted();
  const next = enter(theirs.backend);
  await waiting(next);
  await firstBeat(access);
  // Theirs is proved once more after mine, as late as possible before mine is due.
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  replication.blackhole();
  await ask(replica, 'REPLICAOF', 'NO', 'ONE');
  route.port = replica.port;
  access.resetAll();
  const both: unknown[] = [];
  next.places$.subscribe({
    next: ({ admitted, isValid }) => both.push(admitted && isValid() && place.isValid()),
    error: () => undefined,
  });
  expect(await next.lost(2 * ttlMs)).toMatchObject({ _tag: 'PlaceLost', reason: 'session lost' });
  expect([place.isValid(), both]).toEqual([true, [false]]);
});

test('connections that lead to different masters are not both used: what is left is left where it stands', async () => {
  await using own = await startPair();
  const { master, replica, replication } = own;
  await using _follower = await startReplicaOf(replica);
  const route = { port: master.port };
  await using access = await startProxy(route);
  await using mine = client(access, { waitReplicas: 1, ttlMs: 5_000, initialBackoffMs: 20, maxBackoffMs: 100 });
  await using theirs = client(replica, { waitReplicas: 1, ttlMs: 5_000 });
  const holder = enter(mine.backend);
  const place = await holder.admitted();
  replication.blackhole();
  await ask(replica, 'REPLICAOF', 'NO', 'ONE');
  route.port = replica.port;
  const [, waiter] = /^id=(\d+) .* cmd=wait /m.exec(await ask(master, 'CLIENT', 'LIST')) ?? [];
  const isBack = firstBeat(access);
  await ask(master, 'CLIENT', 'KILL', 'ID', waiter ?? '');
  await isBack;
  await firstWithin(mine.backend.session$, ({ state }) => state === 'live', 3_000, 'the session at the other master');
  expect(place.isValid()).toBe(true);
  holder.leave();
  await firstWithin(theirs.backend.entries(LOCK), (entries) => entries.length === 0, 2_000, 'an empty roster');
});

test('with it, a command connection that the network drops without a sign is noticed, though only releases need it', async () => {
  const { master } = pair;
  await using proxy = await startProxy({ port: master.port });
  // Those on which scripts run begin with it, as far as conclave has its say.
  const connections = connectionsWith(proxy, /\r\ninfo\r\n/i);
  await using mine = client(proxy, { ...replicated, ttlMs: 2_000 });
  await using theirs = client(master);
  const holder = enter(mine.backend);
  await holder.admitted();
  const next = enter(theirs.backend);
  await waiting(next);
  expect(connections.size).toBe(2);
  const [ofCommands] = connections;
  proxy.blackhole((greeting) => greeting === ofCommands);
  await firstWithin(mine.backend.session$, ({ state }) => state === 'suspended', 1_500, 'its notice');
  await firstWithin(mine.backend.session$, ({ state }) => state === 'live', 1_000, 'another connection');
  holder.leave();
  await next.admitted(300);
  next.leave();
});

test('with it, a renewal costs one TIME more', async () => {
  const { master } = pair;
  await using mine = client(master, { waitReplicas: 1, renewEveryMs: 100 });
  await firstWithin(mine.backend.session$, ({ state }) => state === 'live', 2_000, 'a session');
  const before = await redisCounts(master.url);
  // What is counted is renewals in a second.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const { evalsha = 0, time = 0 } = difference(before, await redisCounts(master.url));
  expect(evalsha).toBeGreaterThan(4);
  // Each script asks for the time, too.
  expect(Math.abs(time - 2 * evalsha)).toBeLessThanOrEqual(1);
});

test('with it, an acquisition costs one WAIT more; without it, no command and no connection', async () => {
  const { master } = pair;
  const cost = async (waitReplicas: number | undefined) => {
    await using mine = client(master, { ttlMs: 60_000, waitReplicas });
    await firstValueFrom(mine.backend.enter(LOCK, request()));
    await firstValueFrom(mine.backend.evict(LOCK, 'nobody'));
    const before = await redisCounts(master.url);
    for (let round = 0; round < 20; round++) await firstValueFrom(mine.backend.enter(LOCK, request()));
    await firstValueFrom(mine.backend.entries(LOCK));
    const { evalsha, wait } = difference(before, await redisCounts(master.url));
    const clients = [...(await ask(master, 'CLIENT', 'LIST')).matchAll(/^id=.* flags=[NP] .*cmd=(?!client)/gm)].length;
    return { evalsha, wait, clients };
  };
  expect(await cost(undefined)).toEqual({ evalsha: 41, clients: 2 });
  expect(await cost(0)).toEqual({ evalsha: 41, clients: 2 });
  expect(await cost(1)).toEqual({ evalsha: 41, wait: 20, clients: 3 });
});
