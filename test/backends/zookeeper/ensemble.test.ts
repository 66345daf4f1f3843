import { firstValueFrom, lastValueFrom, takeUntil, timer, toArray } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { InvalidOptions } from '../../../src/backends/errors.js';
import { zookeeper } from '../../../src/backends/zookeeper/index.js';
import { until } from '../../../src/testing/processes/probes.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { askZooKeeper, startZooKeeper, type ZooKeeperEnsemble } from '../../../src/testing/servers/zookeeper.js';
import { Backends, lockNamed, relay, Stander } from './support.js';

let ensemble: ZooKeeperEnsemble;
let backends: Backends;
const times = { ttlMs: 3_000, tickTimeMs: 500 };

beforeAll(async () => {
  ensemble = await startZooKeeper({ nodes: 3, env: { JAVA_TOOL_OPTIONS: '-Dreadonlymode.enabled=true' } });
});
afterAll(() => ensemble[Symbol.asyncDispose]());
beforeEach(() => {
  backends = new Backends();
});
afterEach(async () => {
  await ensemble.rejoin();
  await backends[Symbol.asyncDispose]();
});

async function follower(): Promise<TestServer> {
  const leader = await ensemble.leader();
  const found = ensemble.nodes.find((node) => node !== leader);
  if (found === undefined) throw new Error('an ensemble of one');
  return found;
}

test('renewals through a follower are proved in time', async () => {
  const backend = backends.connect((await follower()).port, times);
  const holder = await new Stander(backend, lockNamed('through a follower')).untilAdmitted();
  const states = await lastValueFrom(backend.session$.pipe(takeUntil(timer(2 * times.ttlMs)), toArray()));
  expect(states.map(({ state }) => state)).toEqual(['live']);
  expect(holder.places.at(-1)?.isValid()).toBe(true);
});

test('the acknowledgements of a follower that is cut off keep nobody in place too long', async () => {
  const node = await follower();
  const mine = backends.connect(node.port, times);
  const other = backends.connect((await ensemble.leader()).port, times);
  const holder = await new Stander(mine, lockNamed('cut off')).untilAdmitted();
  const waiter = await new Stander(other, lockNamed('cut off')).until(({ places }) => places.length > 0);
  ensemble.cutOff(node);
  let toldMs = Number.POSITIVE_INFINITY;
  const told = holder
    .until(({ error }) => error !== undefined, 15_000)
    .then(() => {
      toldMs = performance.now();
    });
  await waiter.untilAdmitted(15_000);
  const admittedMs = performance.now();
  await told;
  expect(toldMs).toBeLessThan(admittedMs);
});

test('times in which a follower can prove nothing are refused: where it may be one at the call, else when it is one', async () => {
  const tooShort = { ttlMs: 2_000, tickTimeMs: 2_000 };
  const hosts = ensemble.nodes.map(({ host, port }) => ({ host, port }));
  expect(() => zookeeper({ ...tooShort, hosts })).toThrow(/renewEveryMs .* must be less than ttlMs/);
  const backend = backends.connect((await follower()).port, tooShort);
  const failure: unknown = await lastValueFrom(backend.session$).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(InvalidOptions);
  expect(String(failure)).toMatch(/tickTimeMs .* is follower/);
  const onLeader = backends.connect((await ensemble.leader()).port, { ...tooShort, balanced: false });
  await new Stander(onLeader, lockNamed('on the leader')).untilAdmitted();
});

test('what the leader says of itself is not believed of the follower that a balancer leads the session to', async () => {
  const [asked, used] = [await ensemble.leader(), await follower()];
  await using balancer = await relay((first) => (first.toString() === 'srvr' ? asked : used));
  // Were it the leader, each renewal would be proved by its acknowledgement; through a follower none is in time.
  const backend = backends.connect(balancer.port, { ttlMs: 2_000, tickTimeMs: 2_000 });
  const failure: unknown = await lastValueFrom(backend.session$).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(InvalidOptions);
  expect(String(failure)).toMatch(/is leader, which is believed only where balanced is false/);
  const proved = backends.connect(balancer.port, times);
  await new Stander(proved, lockNamed('behind a balancer')).untilAdmitted();
});

test('when the leader is killed, the session goes on with the new one', async () => {
  const hosts = ensemble.nodes.map(({ host, port }) => ({ host, port }));
  const backend = backends.connect(0, { ...times, ttlMs: 10_000, hosts });
  const holder = await new Stander(backend, lockNamed('new leader')).untilAdmitted();
  const leader = await ensemble.leader();
  await leader.kill();
  await ensemble.leader();
  expect(await firstValueFrom(backend.evict(lockNamed('new leader'), `${'0'.repeat(32)}__lock__0000000000`))).toBe(
    false,
  );
  expect(holder.isAdmitted && holder.places.at(-1)?.isValid()).toBe(true);
  await leader.start();
});

test('a server that has lost its quorum, and lets others read, is not used', async () => {
  const [alone, ...others] = ensemble.nodes;
  await Promise.all(others.map((node) => node.kill()));
  await until(
    async () => (await askZooKeeper(alone, 'srvr').catch(() => '')).includes('Mode: read-only'),
    15_000,
    'the server that only reads',
  );
  const backend = backends.connect(alone.port, { ...times, maxBackoffMs: 500 });
  const states: string[] = [];
  backend.session$.subscribe(({ state }) => states.push(state));
  const waiting = new Stander(backend, lockNamed('needs a quorum'));
  await firstWithin(backend.session$, (now) => now.state === 'connecting' && now.attempt > 2, 10_000, 'a third try');
  expect(new Set(states)).toEqual(new Set(['connecting']));
  await Promise.all(others.map((node) => node.start()));
  await waiting.untilAdmitted(15_000);
});
