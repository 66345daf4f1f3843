import { lastValueFrom } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Backend } from '../../../src/backends/backend.js';
import { join } from '../../../src/observables/groups/join.js';
import { members } from '../../../src/observables/groups/members.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { askZooKeeper, startZooKeeper } from '../../../src/testing/servers/zookeeper.js';
import { difference, zooKeeperCounts } from '../../support/counters.js';
import { Backends } from './support.js';

let server: TestServer;
let backends: Backends;
const quiet = { ttlMs: 40_000, renewEveryMs: 10_000 };

beforeAll(async () => {
  server = await startZooKeeper();
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => {
  backends = new Backends();
});
afterEach(() => backends[Symbol.asyncDispose]());

/** Makes sessions that have so many members each in the group. */
async function joinAll(group: string, sessions: number, each: number): Promise<readonly Backend[]> {
  const all = Array.from({ length: sessions }, () => backends.connect(server.port, quiet));
  const joined = all.flatMap((backend, session) =>
    Array.from({ length: each }, (_, one) => {
      const membership$ = join(backend, group, { id: `${session}.${one}`, create: true });
      return new Promise((resolve, reject) => membership$.subscribe({ next: resolve, error: reject }));
    }),
  );
  await Promise.all(joined);
  // Answered after whatever was asked before.
  const nobody = `${'0'.repeat(32)}__member__0000000000`;
  await Promise.all(all.map((backend) => lastValueFrom(backend.evict({ kind: 'group', name: group }, nobody))));
  return all;
}

/** Watches by the path that is watched, as `wchp` tells. */
async function watched(): Promise<readonly string[]> {
  return (await askZooKeeper(server, 'wchp')).split('\n').filter((line) => line.startsWith('/'));
}

async function watchedIn(group: string): Promise<readonly string[]> {
  return (await watched()).filter((path) => path.startsWith(`/conclave/groups/${group}/`)).sort();
}

test('joining a group leaves each watching its own entry and nobody else', async () => {
  await joinAll('crowd', 12, 10);
  expect(await askZooKeeper(server, 'wchs')).toContain('Total watches:120');
  expect(await watched()).toHaveLength(120);
  expect(await watchedIn('crowd')).toHaveLength(120);
});

test('a look finds everybody, and leaves no watch', async () => {
  const [backend] = await joinAll('looked at', 3, 20);
  const other = backends.connect(server.port, quiet);
  const roster = { kind: 'group', name: 'looked at' } as const;
  expect(await lastValueFrom(other.look({ kind: 'group', name: 'not there' }))).toEqual([]);
  const [before, watchedBefore] = [await zooKeeperCounts(server.url), await watchedIn('looked at')];
  const entries = await lastValueFrom(other.look(roster));
  expect(entries).toHaveLength(60);
  expect([...entries].sort((a, b) => (a.token < b.token ? -1 : 1))).toEqual(entries);
  // The list, and each entry.
  expect(difference(before, await zooKeeperCounts(server.url))['reads']).toBe(61);
  expect(await watchedIn('looked at')).toEqual(watchedBefore);
  expect(await lastValueFrom((backend as Backend).look(roster))).toEqual(entries);
});

test('of a roster that is followed anyway, a look reads only what is new', async () => {
  const [backend] = await joinAll('followed', 3, 20);
  if (backend === undefined) throw new Error('no session');
  const watching = members(backend, 'followed').subscribe();
  await firstWithin(members(backend, 'followed'), ({ size }) => size === 60, 5_000, 'everybody');
  const before = await zooKeeperCounts(server.url);
  expect(await lastValueFrom(backend.look({ kind: 'group', name: 'followed' }))).toHaveLength(60);
  expect(difference(before, await zooKeeperCounts(server.url))['reads']).toBe(1);
  watching.unsubscribe();
});
