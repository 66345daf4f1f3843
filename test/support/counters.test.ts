import { createClient } from 'node-zookeeper-client';
import { expect, test } from 'vitest';
import { askHttp } from '../../src/testing/servers/ask.js';
import { startEtcd } from '../../src/testing/servers/etcd.js';
import { loopback } from '../../src/testing/servers/ports.js';
import { askRedis, startRedis } from '../../src/testing/servers/redis.js';
import { startZooKeeper } from '../../src/testing/servers/zookeeper.js';
import { difference, etcdCounts, redisCounts, zooKeeperCounts } from './counters.js';

test('the difference has only what changed', () => {
  expect(difference({ same: 1, more: 1, gone: 2 }, { same: 1, more: 4, fresh: 5 })).toEqual({
    more: 3,
    gone: -2,
    fresh: 5,
  });
});

test.each([{}, { password: 'secret' }])('Redis: commands of clients and scripts, not our own (%o)', async (options) => {
  await using server = await startRedis(options);
  const before = await redisCounts(server.url);
  expect(difference(await redisCounts(server.url), await redisCounts(server.url))).toEqual({});
  await askRedis(server.url, 'EVAL', 'redis.call("SET", KEYS[1], 1) return redis.call("GET", KEYS[1])', '1', 'key');
  await askRedis(server.url, 'INFO', 'server');
  const logins = 'password' in options ? { auth: 2 } : {};
  expect(difference(before, await redisCounts(server.url))).toEqual({
    ...{ eval: 1, set: 1, get: 1, info: 1, total: 'password' in options ? 6 : 4 },
    ...logins,
  });
});

test('etcd: messages by method', async () => {
  await using server = await startEtcd();
  const before = await etcdCounts(server.url);
  await askHttp(`http://${loopback}:${server.port}/v3/kv/put`, { key: 'YQ==', value: 'YQ==' });
  await askHttp(`http://${loopback}:${server.port}/v3/kv/range`, { key: 'YQ==' });
  expect(difference(before, await etcdCounts(server.url))).toEqual({
    ...{ 'KV/Put': 1, 'KV/Put opened': 1, 'KV/Range': 1, 'KV/Range opened': 1 },
    proposals: 1,
  });
});

test('ZooKeeper: packets, sessions, nodes', async () => {
  await using server = await startZooKeeper();
  const before = await zooKeeperCounts(server.url);
  expect(difference(await zooKeeperCounts(server.url), await zooKeeperCounts(server.url))).toEqual({});
  const client = createClient(`${server.host}:${server.port}`, { sessionTimeout: 60_000 });
  await new Promise<void>((connected) => {
    client.once('connected', connected);
    client.connect();
  });
  await new Promise((created) => client.create('/key', Buffer.from('1234'), created));
  expect(difference(before, await zooKeeperCounts(server.url))).toMatchObject({
    // Connecting and creating.
    ...{ packets_received: 2, writes: 2, global_sessions: 1, num_alive_connections: 1, znode_count: 1 },
  });
  client.close();
});
