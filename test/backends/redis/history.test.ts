import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Place } from '../../../src/backends/backend.js';
import { until } from '../../../src/testing/processes/probes.js';
import { startRedis } from '../../../src/testing/servers/redis.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy } from '../../../src/testing/servers/tcp-proxy.js';
import {
  ask,
  client,
  enter,
  keysOf,
  promptly,
  type Stay,
  startReplicaOf,
  startUsedRedis,
  untilFollowed,
  waiting,
} from './support.js';

const ttlMs = 2_000;
const options = { ttlMs, initialBackoffMs: 20, maxBackoffMs: 100 };

/** Who comes is admitted in the end, and not beside the holder. */
async function follows(stay: Stay, holder: Place): Promise<void> {
  const { entry } = await stay.admitted(4 * ttlMs);
  expect(holder.isValid()).toBe(false);
  expect(entry.token).toBeGreaterThan(holder.entry.token);
  stay.leave();
}

const isMaster = async (server: TestServer): Promise<boolean> => (await ask(server, 'ROLE')).includes('master');

async function untilSynced(replica: TestServer): Promise<void> {
  const isUp = async (): Promise<boolean> =>
    (await ask(replica, 'INFO', 'replication')).includes('master_link_status:up');
  await until(isUp, 10_000, 'a replica that follows');
}

test('a master that becomes a replica of one that lags, and a master again, is not taken for what it was', async () => {
  await using server = await startUsedRedis({ args: promptly }, ttlMs);
  await using mine = client(server, options);
  await enter(mine.backend, { kind: 'lock', name: 'other' }).admitted(2 * ttlMs);
  await using lagging = await startReplicaOf(server);
  await ask(lagging, 'REPLICAOF', 'NO', 'ONE');
  const holder = enter(mine.backend);
  const place = await holder.admitted();
  const lost = holder.lost(2 * ttlMs);
  await ask(server, 'REPLICAOF', lagging.host, `${lagging.port}`);
  await untilSynced(server);
  await ask(server, 'REPLICAOF', 'NO', 'ONE');
  // It knows nothing. The holder's session is there, but not what stands in it.
  await using theirs = client(server, options);
  await follows(enter(theirs.backend), place);
  // Nobody has taken it out: who lost it may take part again.
  const cause = { message: 'the store has lost what it had acknowledged' };
  expect(await lost).toMatchObject({ _tag: 'PlaceLost', reason: 'session lost', cause });
});

test('a replica that is promoted after its clients have come is not taken for what it was before', async () => {
  await using master = await startUsedRedis({ args: promptly }, ttlMs);
  await using network = await startProxy({ port: master.port });
  await using replica = await startReplicaOf(master, network);
  await ask(replica, 'CONFIG', 'SET', 'repl-timeout', '3600');
  await delay(ttlMs + 1_000);
  const route = { port: master.port };
  await using endpoint = await startProxy(route);
  await using holders = await startProxy({ port: master.port });
  await using theirs = client(endpoint, options);
  await using mine = client(holders, options);
  const other = enter(theirs.backend, { kind: 'lock', name: 'other' });
  await other.admitted();
  await untilFollowed(master);
  network.blackhole();
  const holder = enter(mine.backend);
  const place = await holder.admitted(2 * ttlMs);
  holders.blackhole();
  route.port = replica.port;
  endpoint.resetAll();
  const { toClientBytes } = endpoint.counters;
  await until(() => endpoint.counters.toClientBytes > toClientBytes, 2_000, 'what the replica says of itself');
  await ask(replica, 'REPLICAOF', 'NO', 'ONE');
  const stranger = enter(theirs.backend);
  await follows(stranger, place);
  for (const proxy of [network, holders]) proxy.resetAll();
});

test('a warm standby that has an older copy is not taken for the server that it stands in for', async () => {
  await using server = await startUsedRedis({}, ttlMs);
  await using standby = await startRedis();
  await delay(ttlMs + 1_000);
  for (const key of await keysOf(server))
    await ask(server, 'MIGRATE', standby.host, `${standby.port}`, key, '0', '5000', 'COPY');
  const route = { port: server.port };
  await using endpoint = await startProxy(route);
  await using holders = await startProxy({ port: server.port });
  await using mine = client(holders, options);
  const holder = enter(mine.backend);
  const place = await holder.admitted(2 * ttlMs);
  holders.blackhole();
  route.port = standby.port;
  await using theirs = client(endpoint, options);
  await follows(enter(theirs.backend), place);
  holders.resetAll();
});

test('who knew another server is not admitted at an old one to which the endpoint is led back', async () => {
  await using old = await startUsedRedis({ args: promptly }, ttlMs);
  await using later = await startReplicaOf(old);
  const route = { port: old.port };
  await using endpoint = await startProxy(route);
  await using theirs = client(endpoint, options);
  await enter(theirs.backend, { kind: 'lock', name: 'other' }).admitted();
  await ask(later, 'REPLICAOF', 'NO', 'ONE');
  await until(() => isMaster(later), 5_000, 'a promotion');
  route.port = later.port;
  endpoint.resetAll();
  await using holders = await startProxy({ port: later.port });
  await using mine = client(holders, options);
  const holder = enter(mine.backend);
  const place = await holder.admitted(3 * ttlMs);
  const next = enter(theirs.backend);
  await waiting(next);
  holders.blackhole();
  route.port = old.port;
  endpoint.resetAll();
  // Nobody at the old one knows of the holder, but this one knows that there was more.
  await next.lost(ttlMs);
  await follows(enter(theirs.backend), place);
  holders.resetAll();
});

test('FLUSHALL, then a newcomer: who knew the data is not admitted beside a holder', async () => {
  await using server = await startUsedRedis({}, ttlMs);
  await using holders = await startProxy({ port: server.port });
  await using mine = client(holders, options);
  await using theirs = client(server, options);
  const holder = enter(mine.backend);
  const place = await holder.admitted(2 * ttlMs);
  const next = enter(theirs.backend);
  await waiting(next);
  holders.blackhole();
  await ask(server, 'FLUSHALL');
  // It cannot know.
  await using newcomer = client(server, options);
  const first = enter(newcomer.backend, { kind: 'lock', name: 'another' });
  await first.admitted();
  await next.lost(ttlMs);
  const [again, another] = [enter(theirs.backend), enter(newcomer.backend)];
  await Promise.all([follows(again, place), follows(another, place)]);
  holders.resetAll();
});

test('after a restart that loses nothing, who comes late does not keep the others waiting anew', async () => {
  await using server = await startUsedRedis({ appendonly: true }, ttlMs);
  await using network = await startProxy({ port: server.port });
  await using late = client(network, options);
  await using early = client(server, options);
  const [one, two] = [
    enter(late.backend, { kind: 'lock', name: 'late' }),
    enter(early.backend, { kind: 'lock', name: 'other' }),
  ];
  await Promise.all([one.admitted(2 * ttlMs), two.admitted(2 * ttlMs)]);
  network.blackhole();
  await server.restart();
  const startedAt = performance.now();
  const next = enter(early.backend);
  await waiting(next);
  await delay(ttlMs * 0.7);
  network.resetAll();
  await network.heal();
  await next.admitted(4 * ttlMs);
  expect(performance.now() - startedAt).toBeLessThan(ttlMs * 1.5);
  next.leave();
});
