import { firstValueFrom, lastValueFrom } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Backend } from '../../../src/backends/backend.js';
import { join } from '../../../src/observables/groups/join.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startZooKeeper } from '../../../src/testing/servers/zookeeper.js';
import { type Counts, difference, zooKeeperCounts } from '../../support/counters.js';
import { Backends, lockNamed, Stander } from './support.js';

let server: TestServer;
let backends: Backends;
/** Renews so seldom that nothing but what is asked for is counted. */
const quiet = { ttlMs: 40_000, renewEveryMs: 10_000 };
const nobody = `${'0'.repeat(32)}__lock__0000000000`;

beforeAll(async () => {
  server = await startZooKeeper();
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => {
  backends = new Backends();
});
afterEach(() => backends[Symbol.asyncDispose]());

function once(backend: Backend): Promise<unknown> {
  return firstValueFrom(backend.enter(lockNamed('free'), { mode: 'exclusive', permits: 1, payload: new Uint8Array() }));
}

/** From then on its session has a note, which only the next write can take up. */
async function warm(backend: Backend): Promise<void> {
  await once(backend);
  await settled(backend);
}

/** Answered after whatever was asked before over the same connection: one write. */
async function settled(backend: Backend): Promise<void> {
  await lastValueFrom(backend.evict(lockNamed('nobody is there'), nobody));
}

async function counted(act: () => Promise<unknown>, ...over: readonly Backend[]): Promise<Counts> {
  for (const backend of over) await settled(backend);
  const before = await zooKeeperCounts(server.url);
  await act();
  for (const backend of over) await settled(backend);
  const { reads = 0, writes = 0 } = difference(before, await zooKeeperCounts(server.url));
  return { reads, writes: writes - over.length };
}

test('a free lock is one write and one read to acquire, and one write to release', async () => {
  const backend = backends.connect(server.port, quiet);
  await warm(backend);
  const rounds = async (): Promise<void> => {
    for (let round = 0; round < 50; round++) await once(backend);
  };
  expect(await counted(rounds, backend)).toEqual({ reads: 50, writes: 100 });
});

test('who waits for one is admitted without a read, and then watches its own entry', async () => {
  const [holding, waiting] = [backends.connect(server.port, quiet), backends.connect(server.port, quiet)];
  for (const backend of [holding, waiting]) await warm(backend);
  const holder = await new Stander(holding, lockNamed('passed on')).untilAdmitted();
  const waiter = await new Stander(waiting, lockNamed('passed on')).until(({ places }) => places.length > 0);
  const handOver = async (): Promise<void> => {
    holder.leave();
    await waiter.untilAdmitted();
  };
  expect(await counted(handOver, holding, waiting)).toEqual({ reads: 1, writes: 1 });
});

test('joining a group lists nobody', async () => {
  const backend = backends.connect(server.port, quiet);
  const entering = (id: string) => {
    const options = { mode: 'shared', permits: Number.POSITIVE_INFINITY, payload: Buffer.from(id) } as const;
    return firstValueFrom(backend.enter({ kind: 'group', name: 'large' }, options));
  };
  await entering('first');
  const joined = firstValueFrom(join(backend, 'large', { id: 'stays', create: true }));
  await joined;
  // It is made, and removed.
  expect(await counted(() => entering('second'), backend)).toEqual({ reads: 0, writes: 2 });
});

test.each([0, 2])(
  'who is taken out is told, though nothing of its own was watched at first: others came: %i',
  async (count) => {
    const [holding, other] = [backends.connect(server.port, quiet), backends.connect(server.port, quiet)];
    await warm(holding);
    const holder = await new Stander(holding, lockNamed('broken')).untilAdmitted();
    for (let come = 0; come < count; come++)
      await new Stander(other, lockNamed('broken')).until(({ places }) => places.length > 0);
    await settled(holding);
    const entry = holder.places[0]?.entry.id ?? '';
    expect(await lastValueFrom(other.evict(lockNamed('broken'), entry))).toBe(true);
    await holder.until(({ error }) => error !== undefined);
    expect(holder.error).toMatchObject({ _tag: 'PlaceLost', reason: 'evicted' });
  },
);
