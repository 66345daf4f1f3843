import { Etcd3 } from 'etcd3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PlaceLost } from '../../../src/backends/errors.js';
import { type EtcdCluster, startEtcd } from '../../../src/testing/servers/etcd.js';
import { Backends, CountedReads, lock, Stay } from './support.js';

let cluster: EtcdCluster;

beforeAll(async () => {
  cluster = await startEtcd({ nodes: 3 });
});
afterAll(() => cluster[Symbol.asyncDispose]());

test('who is next is told by the member that it watches at, which asks no other', async () => {
  const leader = await cluster.leader();
  const follower = cluster.nodes.find((node) => node !== leader) ?? leader;
  using counted = new CountedReads(follower.port);
  await using backends = new Backends();
  const held = new Stay(backends.make(leader.port), lock('alone'));
  await held.admitted();
  const next = new Stay(backends.over(counted.client), lock('alone'));
  await next.waiting();
  counted.kinds.length = 0;
  held.leave();
  await next.admitted();
  // A member may tell of a change an instant before it reads it; then the cluster is asked, too.
  expect(counted.kinds[0]).toBe('serializable');
});

test('a member that is behind the one that told keeps nobody waiting, and puts nobody out of line', async () => {
  const leader = await cluster.leader();
  const behind = cluster.nodes.find((node) => node !== leader) ?? leader;
  using counted = new CountedReads(leader.port, behind.port);
  await using backends = new Backends();
  const held = new Stay(backends.make(leader.port), lock('behind'));
  await held.admitted();
  const waiter = backends.over(counted.client);
  const next = new Stay(waiter, lock('behind'));
  await next.waiting();
  cluster.cutOff(behind);
  try {
    // What that member never hears of.
    const held2 = new Stay(backends.make(leader.port), lock('unheard of'));
    await held2.admitted();
    const next2 = new Stay(waiter, lock('unheard of'));
    await next2.waiting();
    counted.kinds.length = 0;
    held.leave();
    await next.admitted();
    held2.leave();
    await next2.admitted();
    expect(counted.kinds).toEqual(['serializable', 'linearizable', 'serializable', 'linearizable']);
  } finally {
    await cluster.rejoin();
  }
});

test('who was taken out of the line before the holder left is not admitted by what is read then', async () => {
  const { port } = await cluster.leader();
  await using backends = new Backends();
  const held = new Stay(backends.make(port), lock('taken out'));
  const { entry: first } = await held.admitted();
  const next = new Stay(backends.make(port), lock('taken out'));
  const { entry: second } = await next.waiting();
  const wasAdmitted: boolean[] = [];
  next.places$.subscribe({ next: ({ admitted }) => wasAdmitted.push(admitted), error: () => undefined });
  const client = new Etcd3({ hosts: `127.0.0.1:${port}` });
  try {
    await client.delete().key(`taken out/${second.id}`).exec();
    await client.delete().key(`taken out/${first.id}`).exec();
  } finally {
    client.close();
  }
  expect(await next.failure()).toBeInstanceOf(PlaceLost);
  expect(wasAdmitted).not.toContain(true);
});
