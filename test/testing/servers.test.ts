import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { type Backend, connect, LockLost, lock, type Session } from 'conclave';
import { MissingProgram, startEtcd, startRedis, startZooKeeper, type TestStore } from 'conclave/testing/servers';
import { afterEach, expect, test, vi } from 'vitest';
import { Probe } from '../../src/testing/conformance/probe.js';
import { closeZooKeeperSession } from '../../src/testing/servers/zookeeper-session.js';

const limitMs = 60_000;
const soonMs = 15_000;

const stores: readonly (readonly [name: string, nodes: number, start: () => Promise<TestStore>])[] = [
  ['redis', 1, () => startRedis({ appendonly: true, appendfsync: 'always' })],
  ['etcd', 1, () => startEtcd()],
  ['etcd', 3, () => startEtcd({ nodes: 3 })],
  ['zookeeper', 1, () => startZooKeeper()],
  ['zookeeper', 3, () => startZooKeeper({ nodes: 3 })],
];
const clusters = stores.filter(([, nodes]) => nodes > 1);

const connected = ({ url }: TestStore, ttlMs: number): Backend =>
  connect(url, { ttlMs, initialBackoffMs: 50, maxBackoffMs: 300, closeTimeoutMs: 500 });

const is = (state: Session['state']) => (session: Session) => session.state === state;

afterEach(() => {
  vi.unstubAllEnvs();
});

test.each(stores)(
  '%s with %i node(s): a session that is expired is told as lost, and its lock is free',
  {
    timeout: limitMs,
  },
  async (_, nodes, start) => {
    await using store = await start();
    expect(store.nodes).toHaveLength(nodes);
    expect(store.url.split(',')).toHaveLength(nodes);
    await using backend = connected(store, 5_000);
    await using other = connected(store, 5_000);
    using sessions = new Probe(backend.session$, soonMs);
    using held = new Probe(lock(backend, 'ledger'), soonMs);
    await held.first('the lock');
    using waiting = new Probe(lock(other, 'ledger'), 2 * soonMs);
    await store.expireSession(backend);
    expect(await held.failure('the lock is lost', 2 * soonMs)).toBeInstanceOf(LockLost);
    await sessions.ever(is('lost'), 'the loss of the session');
    await waiting.first('the lock for who waited');
    await sessions.now(is('live'), 'the next session');
  },
);

test.each(stores)(
  '%s with %i node(s): a session that is not there cannot be expired',
  {
    timeout: limitMs,
  },
  async (_, __, start) => {
    await using store = await start();
    await expect(store.expireSession('00c0ffee')).rejects.toThrow(
      /cannot expire the session 00c0ffee: it has no such session/,
    );
    await store.kill();
    await expect(store.expireSession('00c0ffee')).rejects.toThrow(/none of its nodes could be asked/);
  },
);

test.each(stores)(
  '%s with %i node(s): its clients see it paused, resumed, killed and restarted',
  {
    timeout: limitMs,
  },
  async (_, __, start) => {
    await using store = await start();
    await using backend = connected(store, 6_000);
    using sessions = new Probe(backend.session$, soonMs);
    await sessions.now(is('live'), 'a session');
    await store.pause();
    await sessions.now(is('suspended'), 'the doubt');
    store.resume();
    await sessions.now(is('live'), 'the session again');
    await store.kill();
    await sessions.now((session) => session.state !== 'live', 'the loss of the connection');
    expect(() => store.pid).toThrow(/does not run/);
    await store.start();
    await sessions.now(is('live'), 'a session after the start');
    const { pid } = store;
    const seen = sessions.values.length;
    await store.restart();
    expect(store.pid).not.toBe(pid);
    await sessions.now(
      (session) => sessions.values.length > seen && session.state === 'live',
      'a session after it all',
    );
  },
);

test.each(clusters)(
  '%s with %i nodes: goes on while one of them is killed, paused or cut off',
  {
    timeout: 2 * limitMs,
  },
  async (name, nodes) => {
    await using store = await { etcd: startEtcd, zookeeper: startZooKeeper }[name as 'etcd' | 'zookeeper']({ nodes });
    await using backend = connected(store, 10_000);
    using held = new Probe(lock(backend, 'ledger'), soonMs);
    const grant = await held.first('the lock');
    const leader = await store.leader();
    await leader.kill();
    const next = await store.leader(leader);
    expect(store.nodes).toContain(next);
    await leader.start();
    const follower = store.nodes.find((node) => node !== next) ?? leader;
    await follower.pause();
    using during = new Probe(lock(backend, 'while one is paused'), 2 * soonMs);
    await during.first('a lock');
    follower.resume();
    store.cutOff(follower);
    using without = new Probe(lock(backend, 'while one is cut off'), 2 * soonMs);
    await without.first('a lock');
    await store.rejoin();
    expect(typeof grant.token).toBe('bigint');
  },
);

test.each([
  ['redis', startRedis, 'redis-server', 'redis-server'],
  ['etcd', startEtcd, 'etcd', 'etcd-server'],
  ['zookeeper', startZooKeeper, 'java', 'zookeeper'],
])('%s: a program that is missing is named, and what to install', async (product, start, program, debianPackage) => {
  vi.stubEnv('PATH', '');
  const error = await start().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(MissingProgram);
  expect(error).toMatchObject({ _tag: 'MissingProgram', program, debianPackage });
  expect(String(error)).toBe(
    `MissingProgram: A ${product} server needs ${program}, which is not on the PATH: ` +
      `apt-get install ${debianPackage}, or what your system calls it.`,
  );
});

test('a number of nodes that cannot form a store is refused', () => {
  for (const nodes of [0, 8, 1.5]) {
    expect(() => startEtcd({ nodes })).toThrow(/nodes must be an integer from 1 to 7/);
    expect(() => startZooKeeper({ nodes })).toThrow(/nodes must be an integer from 1 to 7/);
  }
});

test('a server that takes up a session and then falls silent is not asked again, and it says so', async () => {
  let asked = 0;
  const silent = createServer((socket) => {
    asked += 1;
    // The frame's length, the protocol's version, the timeout of the session.
    const granted = Buffer.alloc(40);
    granted.writeInt32BE(36, 0);
    granted.writeInt32BE(30_000, 8);
    socket.once('data', () => socket.write(granted));
  }).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  await expect(closeZooKeeperSession('127.0.0.1', port, '1')).rejects.toThrow(
    `127.0.0.1:${port} did not answer within`,
  );
  expect(asked).toBe(1);
  silent.close();
});

test('a session that its owner takes back before the server has answered is asked for again', async () => {
  let asked = 0;
  const server = createServer((socket) => {
    asked += 1;
    if (asked === 1) {
      socket.once('data', () => socket.destroy());
      return;
    }
    const granted = Buffer.alloc(40);
    granted.writeInt32BE(36, 0);
    granted.writeInt32BE(30_000, 8);
    // The frame's length, the number of the request, the transaction, and that there was no error.
    const closed = Buffer.alloc(20);
    closed.writeInt32BE(16, 0);
    socket.once('data', () => {
      socket.write(granted);
      socket.once('data', () => socket.write(closed));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  expect(await closeZooKeeperSession('127.0.0.1', port, '1')).toBe(true);
  expect(asked).toBe(2);
  server.close();
});
