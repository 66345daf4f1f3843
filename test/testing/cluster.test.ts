import { expect, test } from 'vitest';
import { until } from '../../src/testing/processes/probes.js';
import { askHttp } from '../../src/testing/servers/ask.js';
import type { TestCluster } from '../../src/testing/servers/cluster.js';
import { startEtcd } from '../../src/testing/servers/etcd.js';
import type { TestServer } from '../../src/testing/servers/server.js';
import { askZooKeeper, startZooKeeper } from '../../src/testing/servers/zookeeper.js';

const key = Buffer.from('key').toString('base64');

/** Whether the node, with a quorum behind it, answers its clients. */
const serves = {
  etcd: ({ host, port }: TestServer): Promise<boolean> =>
    askHttp(`http://${host}:${port}/v3/kv/range`, { key }, 1_000).then(
      () => true,
      () => false,
    ),
  zookeeper: async (node: TestServer): Promise<boolean> =>
    (await askZooKeeper(node, 'srvr').catch(() => '')).includes('Mode: '),
};

const cases: [string, () => Promise<TestCluster>, (node: TestServer) => Promise<boolean>][] = [
  ['etcd', () => startEtcd({ nodes: 3 }), serves.etcd],
  ['zookeeper', () => startZooKeeper({ nodes: 3 }), serves.zookeeper],
];

test('etcd elects another leader when its leader is cut off', async () => {
  await using cluster = await startEtcd({ nodes: 3 });
  expect(cluster.url.split(',')).toHaveLength(3);
  const leader = await cluster.leader();
  cluster.cutOff(leader);
  const next = await cluster.leader(leader);
  expect(await serves.etcd(next)).toBe(true);
  expect(await serves.etcd(leader)).toBe(false);
  await cluster.rejoin();
  await until(() => serves.etcd(leader), 20_000, 'service by the node that is back');
}, 60_000);

test.each(cases)(
  '%s keeps its leader when a follower is cut off',
  async (_, start, isServing) => {
    await using cluster = await start();
    const leader = await cluster.leader();
    const follower = cluster.nodes.find((node) => node !== leader);
    if (follower === undefined) throw new Error('a cluster of one');
    cluster.cutOff(follower);
    await until(async () => !(await isServing(follower)), 20_000, 'the end of service without a quorum');
    expect(await cluster.leader()).toBe(leader);
    await cluster.rejoin();
    await until(() => isServing(follower), 20_000, 'service by the node that is back');
  },
  60_000,
);

test.each(cases)(
  '%s elects another leader when its leader is killed or stopped',
  async (_, start, isServing) => {
    await using cluster = await start();
    const first = await cluster.leader();
    await first.kill();
    const second = await cluster.leader(first);
    await first.start();
    await second.pause();
    await cluster.leader(second);
    second.resume();
    await until(() => isServing(second), 20_000, 'service by the node that continues');
  },
  90_000,
);
