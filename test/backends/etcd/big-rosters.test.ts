import { Etcd3 } from 'etcd3';
import { lastValueFrom } from 'rxjs';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { startEtcd } from '../../../src/testing/servers/etcd.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy, type TcpProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { difference, etcdCounts } from '../../support/counters.js';
import { Backends, live, openSession } from './support.js';

const MEMBERS = 300;
const SOME = 30;
const SMALL = 16;
const crowd = { kind: 'group', name: 'crowd' } as const;
const some = { kind: 'group', name: 'some' } as const;
const mixed = { kind: 'group', name: 'mixed' } as const;
const few = { kind: 'group', name: 'few' } as const;

let server: TestServer;
let proxy: TcpProxy;
let client: Etcd3;

beforeAll(async () => {
  server = await startEtcd();
  proxy = await startProxy({ port: server.port });
  client = new Etcd3({ hosts: `127.0.0.1:${server.port}` });
  const capabilities = Buffer.alloc(60_000, 'x');
  const put = (group: string, i: number) =>
    client.put(`conclave/groups/${group}/${String(i).padStart(3, '0')}`).value(capabilities);
  // The last to come stands first by name.
  for (let i = MEMBERS; i-- > 0; ) await put('crowd', i);
  for (let i = SOME; i-- > 0; ) await put('some', i);
  for (let i = 0; i < SMALL; i++) await client.put(`conclave/groups/mixed/${'!'.repeat(i + 1)}`).value('');
  for (let i = 0; i < SOME; i++) await put('mixed', i);
  await client.put('conclave/groups/few/a').value('');
});
afterEach(() => proxy.heal());
afterAll(async () => {
  client.close();
  await proxy.close();
  await server[Symbol.asyncDispose]();
});

test('a roster whose reading takes longer than a request may is read, in the order of tokens, and followed', async () => {
  await using backends = new Backends();
  // A request may take 1.5 s, and all of it 4.5 s.
  const backend = backends.make(proxy.port, { ttlMs: 5_000 });
  await live(backend);
  proxy.throttle(4_000_000);
  const entries = await firstWithin(backend.entries(crowd), ({ length }) => length === MEMBERS, 15_000, 'everybody');
  const ids = entries.map(({ id }) => Number(id));
  expect(ids).toEqual([...ids].sort((a, b) => b - a));
  expect(entries.every(({ payload }) => payload.length === 60_000)).toBe(true);
  const followed = firstWithin(backend.entries(crowd), ({ length }) => length === MEMBERS + 1, 15_000, 'a newcomer');
  await client.put('conclave/groups/crowd/newcomer').value('');
  expect((await followed).at(-1)?.id).toBe('newcomer');
  expect(await client.delete().key('conclave/groups/crowd/newcomer').exec()).toMatchObject({ deleted: '1' });
});

test('a link that is too slow for a page of many gets smaller ones', async () => {
  await using backends = new Backends();
  const backend = backends.make(proxy.port, { ttlMs: 5_000 });
  await live(backend);
  // The first page would take 3.2 s, and a request may take 1.5 s.
  proxy.throttle(300_000);
  await firstWithin(backend.entries(some), ({ length }) => length === SOME, 20_000, 'everybody');
}, 30_000);

test('one look reads a roster of any size, and leaves nothing watched', async () => {
  await using session = await openSession({ hosts: `127.0.0.1:${server.port}` });
  const atStart = await etcdCounts(server.url);
  const entries = await lastValueFrom(session.look(crowd));
  const ids = entries.map(({ id }) => Number(id));
  expect(ids).toEqual(Array.from({ length: MEMBERS }, (_, i) => MEMBERS - 1 - i));
  expect(await lastValueFrom(session.look(few))).toHaveLength(1);
  expect(await lastValueFrom(session.look({ kind: 'group', name: 'nobody' }))).toEqual([]);
  expect(difference(atStart, await etcdCounts(server.url))['Watch/Watch']).toBeUndefined();
});

test('a small roster takes one request', async () => {
  await using backends = new Backends();
  const backend = backends.make(server.port, { ttlMs: 10_000 });
  await live(backend);
  const atStart = await etcdCounts(server.url);
  await firstWithin(backend.entries(few), ({ length }) => length === 1, 5_000, 'the roster');
  expect(difference(atStart, await etcdCounts(server.url))['KV/Range']).toBe(1);
});

test('a roster whose last entries are far larger than its first is read over a slow link, and the session stays', async () => {
  await using backends = new Backends();
  const backend = backends.make(proxy.port, { ttlMs: 5_000 });
  await live(backend);
  const states: string[] = [];
  backend.session$.subscribe(({ state }) => states.push(state));
  proxy.throttle(400_000);
  await firstWithin(backend.entries(mixed), ({ length }) => length === SMALL + SOME, 18_000, 'everybody');
  expect(states).toEqual(['live']);
  expect(proxy.connections()).toBe(1);
}, 40_000);
