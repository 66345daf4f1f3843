import { filter, firstValueFrom } from 'rxjs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { type EtcdCluster, startEtcd } from '../../../src/testing/servers/etcd.js';
import { Backends, live, lock, Stay } from './support.js';

let cluster: EtcdCluster;

beforeAll(async () => {
  cluster = await startEtcd({ nodes: 3 });
});
afterAll(() => cluster[Symbol.asyncDispose]());

const timing = { ttlMs: 8_000, requestTimeoutMs: 800, renewEveryMs: 500 };
const ports = (): number[] => cluster.nodes.map(({ port }) => port);

it('keeps what it holds, and its token, when the leader of the cluster dies', async () => {
  await using backends = new Backends();
  const leader = await cluster.leader();
  const [a, b] = [backends.make(ports(), timing), backends.make(ports(), timing)];
  const held = new Stay(a, lock('held'));
  const place = await held.admitted();
  const next = new Stay(b, lock('held'));
  await next.waiting();
  const [before] = await firstValueFrom(b.entries(lock('held')));
  await leader.kill();
  await cluster.leader(leader);
  // Whoever was connected to it has to move to another member; everybody has to move to a new lease.
  await firstWithin(a.session$.pipe(filter(({ state }) => state === 'live')), () => true, 6_000, 'the link');
  const late = new Stay(a, lock('entered under the new leader'));
  await late.admitted();
  await leader.start();
  const after = await firstWithin(b.entries(lock('held')), ([first]) => first !== undefined, 5_000, 'the entries');
  expect(after[0]).toEqual(before);
  expect(place.isValid()).toBe(true);
  held.leave();
  expect((await next.admitted()).entry.token).toBeGreaterThan(place.entry.token);
}, 30_000);

it('tells the loss before another is admitted when a member answers that is cut off from the others', async () => {
  await using backends = new Backends();
  const leader = await cluster.leader();
  const other = cluster.nodes.find((node) => node !== leader);
  const a = backends.make(leader.port, { ttlMs: 4_000, guardMs: 0 });
  const b = backends.make(other?.port ?? 0, { ttlMs: 4_000, guardMs: 0 });
  await Promise.all([live(a), live(b)]);
  const held = new Stay(a, lock('cut off'));
  const place = await held.admitted();
  const next = new Stay(b, lock('cut off'));
  await next.waiting();
  let wasValid: boolean | undefined;
  next.places$.subscribe({
    next: ({ admitted }) => {
      if (admitted) wasValid = place.isValid();
    },
    error: () => undefined,
  });
  cluster.cutOff(leader);
  await expect(held.failure(6_000)).resolves.toMatchObject({ reason: 'session lost' });
  await next.admitted(12_000);
  expect(wasValid).toBe(false);
  await cluster.rejoin();
}, 30_000);
