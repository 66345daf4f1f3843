import { once } from 'node:events';
import { ACL, createClient, Id } from 'node-zookeeper-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startZooKeeper, type ZooKeeperEnsemble } from '../../../src/testing/servers/zookeeper.js';
import { Backends, lockNamed, Stander } from './support.js';

const readAndCreate = 1 | 4;

let ensemble: ZooKeeperEnsemble;

beforeAll(async () => {
  // Each server checks access by itself, before its leader hears of a write; and one that is cut off serves for long.
  const env = { JAVA_TOOL_OPTIONS: '-Dzookeeper.enableEagerACLCheck=true' };
  ensemble = await startZooKeeper({ nodes: 3, syncLimit: 20, env });
  await makeGuarded((await ensemble.leader()).port);
});
afterAll(() => ensemble[Symbol.asyncDispose]());

test('what a server that is cut off refuses by itself proves no renewal', async () => {
  const leader = await ensemble.leader();
  const node = ensemble.nodes.find((one) => one !== leader) ?? leader;
  await using backends = new Backends();
  const times = { ttlMs: 3_000, tickTimeMs: 500, chroot: '/guarded', namespace: '' };
  const holder = await new Stander(backends.connect(node.port, times), lockNamed('cut off')).untilAdmitted();
  const other = backends.connect(leader.port, times);
  const waiter = await new Stander(other, lockNamed('cut off')).until(({ places }) => places.length > 0);
  ensemble.cutOff(node);
  let toldMs = Number.POSITIVE_INFINITY;
  const told = holder
    .until(({ error }) => error !== undefined, 20_000)
    .then(() => {
      toldMs = performance.now();
    });
  await waiter.untilAdmitted(15_000);
  const admittedMs = performance.now();
  await told;
  expect(toldMs).toBeLessThan(admittedMs);
  await ensemble.rejoin();
});

/** Whoever comes may read it and make nodes in it, and delete none. */
async function makeGuarded(port: number): Promise<void> {
  const client = createClient(`127.0.0.1:${port}`);
  client.connect();
  await once(client, 'connected');
  const acl = [new ACL(readAndCreate, new Id('world', 'anyone'))];
  await new Promise<void>((made, failed) => {
    client.create('/guarded', Buffer.alloc(0), acl, (error) => (error ? failed(error) : made()));
  });
  client.close();
}
