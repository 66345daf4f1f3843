import { afterAll, beforeAll, expect, it } from 'vitest';
import { Unavailable } from '../../../src/backends/errors.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { type EtcdCluster, startEtcd } from '../../../src/testing/servers/etcd.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { Backends, etcdctl, lock, Stay } from './support.js';

let cluster: EtcdCluster;
beforeAll(async () => {
  cluster = await startEtcd({ nodes: 3, args: ['--strict-reconfig-check=false'] });
});
afterAll(() => cluster[Symbol.asyncDispose]());

async function remove(member: TestServer, by: TestServer): Promise<void> {
  const list = await etcdctl(by.port, 'member', 'list');
  const line = list.split('\n').find((each) => each.includes(`:${member.port}`));
  await etcdctl(by.port, 'member', 'remove', line?.split(',')[0] ?? '');
}

it('who is connected to a member that is removed moves to another, or says that it cannot', async () => {
  const leader = await cluster.leader();
  const [member, other] = cluster.nodes.filter((node) => node !== leader) as [TestServer, TestServer];
  await using proxy = await startProxy({ port: other.port });
  await using backends = new Backends();
  // The other one refuses connections until it is needed, so everybody is at the member that is removed.
  proxy.refuse();
  const [able, unable] = [backends.make([member.port, proxy.port]), backends.make(member.port)] as const;
  const held = new Stay(able, lock('held'));
  const place = await held.admitted();
  const lost = new Stay(unable, lock('lost'));
  await lost.admitted();
  await proxy.heal();

  const told = firstWithin(unable.faults$, () => true, 5_000, 'a fault');
  await remove(member, leader);
  const fault = await told;
  expect(fault).toBeInstanceOf(Unavailable);
  expect(fault.message).toContain(`127.0.0.1:${member.port}`);
  expect(await lost.failure()).toMatchObject({ reason: 'session lost' });
  const trying = await firstWithin(
    unable.session$,
    (session) => session.state === 'connecting' && session.attempt > 1,
    5_000,
    'another attempt',
  );
  expect('cause' in trying && trying.cause?.message).toContain(`ECONNREFUSED 127.0.0.1:${member.port}`);
  // Past the end of the session of the one that could not move.
  expect(place.isValid()).toBe(true);
  await expect.poll(() => proxy.connections()).toBe(1);
}, 30_000);
