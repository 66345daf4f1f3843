import { once } from 'node:events';
import { ACL, CreateMode, createClient, Id, Permission } from 'node-zookeeper-client';
import { firstValueFrom } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../../../src/testing/processes/probes.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startZooKeeper } from '../../../src/testing/servers/zookeeper.js';
import { difference, zooKeeperCounts } from '../../support/counters.js';
import { Backends, bytes, lockNamed, Stander, untilStanding } from './support.js';

let server: TestServer;
let backends: Backends;

beforeAll(async () => {
  server = await startZooKeeper();
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => {
  backends = new Backends();
});
afterEach(() => backends[Symbol.asyncDispose]());

test('a contender of Curator is waited for', async () => {
  const backend = backends.connect(server.port);
  const roster = lockNamed('curator');
  const mine = await new Stander(backend, roster).untilAdmitted();
  const client = createClient(`127.0.0.1:${server.port}`);
  client.connect();
  await once(client, 'connected');
  const path = await new Promise<string>((resolve, reject) => {
    client.create(
      '/conclave/locks/curator/_c_0f-lock-',
      Buffer.alloc(0),
      CreateMode.EPHEMERAL_SEQUENTIAL,
      (error, made) => (error ? reject(error) : resolve(made)),
    );
  });
  const waiter = await new Stander(backend, roster).until(({ places }) => places.length > 0);
  mine.leave();
  await untilStanding(backend, roster, 2);
  expect(waiter.isAdmitted).toBe(false);
  client.remove(path, () => undefined);
  await waiter.untilAdmitted();
  client.close();
});

test('a contender whose data nobody may read is waited for, and seen', async () => {
  const backend = backends.connect(server.port);
  const roster = lockNamed('unreadable');
  const mine = await new Stander(backend, roster).untilAdmitted();
  const client = createClient(`127.0.0.1:${server.port}`);
  client.connect();
  await once(client, 'connected');
  const notToRead = new ACL(Permission.DELETE, new Id('world', 'anyone'));
  const path = await new Promise<string>((resolve, reject) => {
    client.create(
      `/conclave/locks/unreadable/${'0'.repeat(32)}__lock__`,
      Buffer.from('secret'),
      [notToRead],
      CreateMode.EPHEMERAL_SEQUENTIAL,
      (error, made) => (error ? reject(error) : resolve(made)),
    );
  });
  const waiter = new Stander(backend, roster);
  mine.leave();
  const [first] = await untilStanding(backend, roster, 2);
  expect(path).toContain(first);
  await waiter.until(({ places }) => places.length > 0);
  expect(waiter.isAdmitted).toBe(false);
  client.remove(path, () => undefined);
  await waiter.untilAdmitted();
  client.close();
});

// The last before the wrap, and the last negative one, which the server pads to ten characters and not to ten digits.
test.each(['2147483647', '-000000001'])('where sequence numbers have wrapped, %s stands before', async (sequence) => {
  const backend = backends.connect(server.port);
  const roster = lockNamed('wrapped');
  (await new Stander(backend, roster).untilAdmitted()).leave();
  await untilStanding(backend, roster, 0);
  const client = createClient(`127.0.0.1:${server.port}`);
  client.connect();
  await once(client, 'connected');
  const old = `${'0'.repeat(32)}__lock__${sequence}`;
  await new Promise<void>((resolve, reject) => {
    client.create(`/conclave/locks/wrapped/${old}`, Buffer.alloc(0), CreateMode.EPHEMERAL, (error) =>
      error ? reject(error) : resolve(),
    );
  });
  const waiter = await new Stander(backend, roster).until(({ places }) => places.length > 0);
  expect(waiter.isAdmitted).toBe(false);
  expect(await firstValueFrom(backend.evict(roster, old))).toBe(true);
  await waiter.untilAdmitted();
  client.close();
});

describe('the cost', () => {
  const quiet = { ttlMs: 40_000, renewEveryMs: 10_000 };

  async function packets(act: () => Promise<void>): Promise<number> {
    const before = await zooKeeperCounts(server.url);
    await act();
    return difference(before, await zooKeeperCounts(server.url))['packets_received'] ?? 0;
  }

  test('of an uncontended lock is three requests', async () => {
    const backend = backends.connect(server.port, quiet);
    const roster = lockNamed('cheap');
    const round = async (): Promise<void> => {
      (await new Stander(backend, roster).untilAdmitted()).leave();
      // Answered after whatever was asked before.
      await firstValueFrom(backend.evict(roster, `${'0'.repeat(32)}__lock__0000000000`));
    };
    await round();
    expect(await packets(round)).toBe(3 + 1);
  });

  test('of a hand-off does not grow with those who wait', async () => {
    const [holding, waiting] = [backends.connect(server.port, quiet), backends.connect(server.port, quiet)];
    const roster = lockNamed('handed on');
    const holder = await new Stander(holding, roster).untilAdmitted();
    const waiters = Array.from({ length: 100 }, () => new Stander(waiting, roster));
    await Promise.all(waiters.map((waiter) => waiter.until(({ places }) => places.length > 0)));
    await firstValueFrom(waiting.evict(roster, `${'0'.repeat(32)}__lock__0000000000`));
    const cost = await packets(async () => {
      holder.leave();
      await Promise.race(waiters.map((waiter) => waiter.untilAdmitted()));
      // Answered after whatever was asked before.
      await firstValueFrom(waiting.evict(roster, `${'0'.repeat(32)}__lock__0000000000`));
    });
    // The deletion: the next one has only the holder before it, and is told that it has gone.
    expect(cost).toBe(1 + 1);
  });
});

test('after many rounds nothing is left in the client, nor after closing in the store', async () => {
  const clients: { connectionManager?: { watcherManager: Record<string, object> } }[] = [];
  const backend = backends.connect(server.port, {
    namespace: 'rounds',
    hosts: undefined,
    client: () => {
      const client = createClient(`127.0.0.1:${server.port}`);
      clients.push(client as unknown as (typeof clients)[number]);
      return client;
    },
  });
  for (let round = 0; round < 300; round++) {
    const stander = await new Stander(backend, lockNamed(`round ${round % 10}`), {
      payload: bytes('x'),
    }).untilAdmitted();
    stander.leave();
  }
  await untilStanding(backend, lockNamed('round 0'), 0);
  const manager = clients.at(-1)?.connectionManager?.watcherManager ?? {};
  expect(Object.keys(manager['dataWatchers'] ?? {}).length).toBeLessThan(5);
  const before = await zooKeeperCounts(server.url);
  await backend.close();
  // The server hears of the closed socket a little later than of the closed session.
  const gone = async () => difference(before, await zooKeeperCounts(server.url));
  await until(async () => (await gone())['num_alive_connections'] === -1, 5_000, 'the end of the connection');
  // The parents of ten locks, and the note in which the session kept its writes.
  expect(await gone()).toMatchObject({ znode_count: -11, ephemerals_count: -1 });
});

test('watches that nobody waits for any more are taken back', async () => {
  const backend = backends.connect(server.port);
  for (let key = 0; key < 1_300; key++) await firstValueFrom(backend.cell(`absent ${key}`));
  const { watch_count: left = 0 } = await zooKeeperCounts(server.url);
  expect(left).toBeLessThan(1_100);
  expect(backends.faults).toEqual([]);
});

test('a cell that was deleted and made again is not taken for the one that was read', async () => {
  const backend = backends.connect(server.port);
  const first = await firstValueFrom(backend.swap('again', 'absent', bytes('one')));
  await firstValueFrom(backend.swap('again', 'any', undefined));
  await firstValueFrom(backend.swap('again', 'absent', bytes('two')));
  const late = await firstValueFrom(backend.swap('again', first.current?.version ?? 0n, bytes('three')));
  expect(late.swapped).toBe(false);
  expect(late.current?.value).toEqual(bytes('two'));
});

test('an id that no node can have is of nobody, and costs nobody the session', async () => {
  const backend = backends.connect(server.port);
  const holder = await new Stander(backend, lockNamed('odd ids')).untilAdmitted();
  for (const odd of [
    '\u0000',
    '\u001f',
    '\u007f',
    '\u009f',
    '\ud800',
    '\ue000',
    '\uf8ff',
    '\ufff0',
    '/',
    '../x/',
    '😀',
    '',
  ])
    expect(await firstValueFrom(backend.evict(lockNamed('odd ids'), `${odd}__lock__0000000000`))).toBe(false);
  expect(holder.isAdmitted).toBe(true);
  expect(backends.faults).toEqual([]);
});
