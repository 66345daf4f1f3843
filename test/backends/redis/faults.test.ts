import { firstValueFrom } from 'rxjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PlaceLost } from '../../../src/backends/errors.js';
import { until } from '../../../src/testing/processes/probes.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy } from '../../../src/testing/servers/tcp-proxy.js';
import {
  ask,
  client,
  connectionsWith,
  enter,
  entriesOnce,
  keysOf,
  LOCK,
  request,
  startUsedRedis,
  TTL_MS,
  waiting,
} from './support.js';

let server: TestServer;
beforeAll(async () => {
  server = await startUsedRedis();
});
afterAll(() => server[Symbol.asyncDispose]());

/** Is not renewed meanwhile, so the next reply is the one to what is asked. */
const still = { ttlMs: 6_000 };

test('a lost reply to enter leaves one entry, which stands', async () => {
  await using proxy = await startProxy({ port: server.port });
  await using mine = client(proxy, { ...still, requestTimeoutMs: 500 });
  await using theirs = client(server);
  await firstValueFrom(mine.backend.evict(LOCK, 'nobody'));
  const swallowed = proxy.swallowNext('toClient', () => true, true);
  const stay = enter(mine.backend);
  await swallowed;
  const place = await stay.admitted();
  const entries = await entriesOnce(theirs.backend);
  expect(entries.map(({ id, token }) => [id, token])).toEqual([[place.entry.id, place.entry.token]]);
  stay.leave();
});

test('who gives up while the reply is lost leaves nobody in line', async () => {
  await using proxy = await startProxy({ port: server.port });
  await using mine = client(proxy, { ...still, requestTimeoutMs: 500 });
  await using theirs = client(server);
  await firstValueFrom(mine.backend.evict(LOCK, 'nobody'));
  const swallowed = proxy.swallowNext('toClient');
  const stay = enter(mine.backend);
  await swallowed;
  stay.leave();
  await firstWithin(theirs.backend.entries(LOCK), (entries) => entries.length === 0, 5_000, 'an empty roster');
  expect((await enter(theirs.backend).admitted()).admitted).toBe(true);
});

test('an enter that arrives after it was given up comes to nothing', async () => {
  await using proxy = await startProxy({ port: server.port });
  await using mine = client(proxy, { ...still, requestTimeoutMs: 300 });
  await using theirs = client(server);
  await firstValueFrom(mine.backend.evict(LOCK, 'nobody'));
  // Held back, and delivered when the network heals.
  proxy.blackhole();
  const stay = enter(mine.backend);
  await firstWithin(mine.backend.session$, ({ state }) => state === 'suspended', 2_000, 'a suspension');
  stay.leave();
  await proxy.heal();
  await firstWithin(mine.backend.session$, ({ state }) => state === 'live', 3_000, 'recovery');
  const next = enter(theirs.backend);
  await next.admitted();
  expect(await entriesOnce(theirs.backend)).toHaveLength(1);
  next.leave();
});

test('a session whose opening was on its way when the backend was closed is ended', async () => {
  await using own = await startUsedRedis();
  await using proxy = await startProxy({ port: own.port });
  const { backend } = client(proxy);
  // The reply to OPEN: it begins with the number of the first request.
  const opened = proxy.swallowNext('toClient', (chunk) => chunk.includes('$1\r\n1\r\n'));
  backend.session$.subscribe();
  await opened;
  expect(await keysOf(own)).toHaveLength(3);
  await backend.close();
  await until(async () => (await keysOf(own)).length === 1, 500, 'a server on which nothing is left');
});

test('an evicted holder is told, and the next one admitted', async () => {
  await using mine = client(server);
  await using theirs = client(server);
  const holder = enter(mine.backend);
  const place = await holder.admitted();
  const next = enter(theirs.backend);
  await waiting(next);
  expect(await firstValueFrom(theirs.backend.evict(LOCK, place.entry.id))).toBe(true);
  expect(await holder.lost(500)).toMatchObject({ _tag: 'PlaceLost', reason: 'evicted' });
  await next.admitted(500);
  expect(await firstValueFrom(theirs.backend.evict(LOCK, place.entry.id))).toBe(false);
  next.leave();
});

test.each([
  { what: 'all sessions', keyOf: () => '{conclave:0}:s' },
  { what: 'what stands in a session', keyOf: (session: string) => `{conclave:0}:i:${session}` },
])('somebody else removes $what: nobody is kept out for ever', async ({ what, keyOf }) => {
  await using own = await startUsedRedis();
  await using mine = client(own);
  await using theirs = client(own);
  const holder = enter(mine.backend);
  const { entry } = await holder.admitted();
  await ask(own, 'DEL', keyOf(entry.id.split('.')[0] ?? ''));
  if (what === 'all sessions') await holder.lost();
  await mine.backend.close();
  const next = enter(theirs.backend);
  await next.admitted(TTL_MS + 1_000);
  next.leave();
  await theirs.backend.close();
  expect(await keysOf(own)).toEqual(['{conclave:0}:m']);
});

test('whoever holds a lock whose key somebody else removes is told at the next renewal', async () => {
  await using own = await startUsedRedis();
  await using mine = client(own);
  await using theirs = client(own);
  const holder = enter(mine.backend);
  const place = await holder.admitted();
  const next = enter(theirs.backend);
  await waiting(next);
  const [line = ''] = (await keysOf(own)).filter((key) => key.includes(':o:'));
  await ask(own, 'DEL', line);
  expect(await holder.lost(TTL_MS / 2)).toMatchObject({ _tag: 'PlaceLost', reason: 'evicted' });
  expect(place.isValid()).toBe(false);
  expect(await next.lost(TTL_MS / 2)).toMatchObject({ _tag: 'PlaceLost', reason: 'evicted' });
  await enter(theirs.backend).admitted();
});

test('who waits behind somebody whose session others have taken apart is admitted all the same', async () => {
  await using own = await startUsedRedis();
  await using mine = client(own);
  await using theirs = client(own);
  const { entry } = await enter(mine.backend).admitted();
  const next = enter(theirs.backend);
  await waiting(next);
  await ask(own, 'DEL', `{conclave:0}:i:${entry.id.split('.')[0]}`);
  await mine.backend.close();
  await next.admitted(2 * TTL_MS);
  next.leave();
});

test('a holder that is cut off is followed within ttl + 1 s, after it was told', async () => {
  await using proxy = await startProxy({ port: server.port });
  await using mine = client(proxy);
  await using theirs = client(server);
  const holder = enter(mine.backend);
  const place = await holder.admitted();
  const next = enter(theirs.backend);
  await waiting(next);
  let lostAt = 0;
  const lost = holder.lost().then(() => {
    lostAt = performance.now();
  });
  const cutAt = performance.now();
  proxy.blackhole();
  const followed = await next.admitted(TTL_MS + 1_000);
  const admittedAt = performance.now();
  await lost;
  expect(lostAt).toBeLessThan(admittedAt);
  expect(admittedAt - cutAt).toBeLessThan(TTL_MS + 300);
  expect(followed.entry.token).toBeGreaterThan(place.entry.token);
  next.leave();
});

test('a holder that is cut off is followed within its ttl + 1 s also where all others have a longer one', async () => {
  await using proxy = await startProxy({ port: server.port });
  await using mine = client(proxy, { namespace: 'ttls' });
  await using theirs = client(server, { namespace: 'ttls', ttlMs: 30_000 });
  const holder = enter(mine.backend);
  await holder.admitted(3 * TTL_MS);
  const next = enter(theirs.backend);
  await waiting(next);
  proxy.blackhole();
  await next.admitted(TTL_MS + 1_000);
  await proxy.heal();
  next.leave();
});

test('messages that are lost without a sign are noticed at the next renewal', async () => {
  await using proxy = await startProxy({ port: server.port });
  const subscribers = connectionsWith(proxy, /\r\nsubscribe\r\n/i);
  await using mine = client(proxy, { ttlMs: 2_000 });
  await using theirs = client(server);
  const holder = enter(theirs.backend);
  await holder.admitted();
  const next = enter(mine.backend);
  await waiting(next);
  expect(subscribers.size).toBe(1);
  const [first] = subscribers;
  proxy.blackhole((greeting) => greeting === first);
  holder.leave();
  await next.admitted(3_000);
  expect(subscribers.size).toBe(2);
  next.leave();
});

test('entries follow again after the connection was reset', async () => {
  await using proxy = await startProxy({ port: server.port });
  await using mine = client(proxy);
  await using theirs = client(server);
  const seen: number[] = [];
  const following = mine.backend.entries(LOCK).subscribe((entries) => seen.push(entries.length));
  await firstWithin(mine.backend.entries(LOCK), () => true, 2_000, 'entries');
  proxy.resetAll();
  const stay = enter(theirs.backend);
  await stay.admitted();
  await until(async () => seen.includes(1), 3_000, 'the entry');
  expect(seen).toEqual([0, 1]);
  following.unsubscribe();
  stay.leave();
});

test('a server that is stopped for less than the ttl takes nothing away', async () => {
  await using mine = client(server, { ttlMs: 2_000 });
  await using theirs = client(server, { ttlMs: 2_000 });
  const holder = enter(mine.backend);
  const place = await holder.admitted();
  const next = enter(theirs.backend);
  await waiting(next);
  server.pause();
  await firstWithin(mine.backend.session$, ({ state }) => state === 'suspended', 1_500, 'a renewal without an answer');
  server.resume();
  await firstWithin(mine.backend.session$, ({ state }) => state === 'live', 3_000, 'recovery');
  expect(place.isValid()).toBe(true);
  holder.leave();
  await next.admitted();
  next.leave();
});

test('a server that is stopped for longer than the ttl ends what is held, in time, and admits again by itself', async () => {
  await using mine = client(server);
  const holder = enter(mine.backend);
  const place = await holder.admitted();
  const lost = holder.lost(TTL_MS + 500);
  server.pause();
  try {
    expect(await lost).toBeInstanceOf(PlaceLost);
    expect(place.isValid()).toBe(false);
    // For the server, too, more than the ttl is to pass.
    await new Promise((resolve) => setTimeout(resolve, 800));
  } finally {
    server.resume();
  }
  const again = enter(mine.backend);
  expect((await again.admitted(6_000)).entry.token).toBeGreaterThan(place.entry.token);
  again.leave();
});

test('what others have written into the keys breaks nothing', async () => {
  await using mine = client(server);
  await ask(server, 'ZADD', '{conclave:0}:o:lock:garbage', '1', 'nonsense');
  await ask(server, 'PUBLISH', '{conclave:0}:n:lock:garbage', 'nonsense');
  await ask(server, 'HSET', '{conclave:0}:g:group', '%zz', '1');
  const garbage = { kind: 'lock', name: 'garbage' } as const;
  expect(await entriesOnce(mine.backend, garbage)).toEqual([]);
  expect([...(await firstValueFrom(mine.backend.registered('group')))]).toEqual([]);
  const place = await firstValueFrom(mine.backend.enter(garbage, request({ wait: false })));
  expect(place.admitted).toBe(false);
  expect(await firstValueFrom(mine.backend.evict(garbage, 'nonsense'))).toBe(true);
  await ask(server, 'DEL', '{conclave:0}:g:group');
  await ask(server, 'ZADD', '{conclave:0}:o:lock:garbage', 'inf', `${'a'.repeat(32)}.${'b'.repeat(32)}.x1`);
  await ask(server, 'HSET', '{conclave:0}:k:cell', 'version', 'nonsense', 'value', 'x');
  expect(await entriesOnce(mine.backend, garbage)).toEqual([]);
  expect(await firstValueFrom(mine.backend.cell('cell'))).toMatchObject({ version: 0n });
  expect(await firstValueFrom(mine.backend.swap('cell', 'any', undefined))).toMatchObject({ swapped: true });
  await ask(server, 'SET', '{conclave:0}:o:lock:string', 'nonsense');
  const stay = enter(mine.backend, { kind: 'lock', name: 'string' });
  const said = firstWithin(mine.backend.faults$, ({ message }) => /WRONGTYPE/.test(message), 2_000, 'the reason');
  await said;
  await ask(server, 'DEL', '{conclave:0}:o:lock:string', '{conclave:0}:o:lock:garbage');
  await stay.admitted();
  stay.leave();
});
