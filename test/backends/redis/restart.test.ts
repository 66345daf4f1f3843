import { setTimeout as delay } from 'node:timers/promises';
import { firstValueFrom } from 'rxjs';
import { expect, test } from 'vitest';
import type { RosterKey, Session } from '../../../src/backends/backend.js';
import { tryLock } from '../../../src/index.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { startRedis } from '../../../src/testing/servers/redis.js';
import { disposeAll } from '../../../src/testing/servers/server.js';
import { ask, client, enter, entriesOnce, LOCK, startUsedRedis, TTL_MS, waiting } from './support.js';

const isAdmitting = (session: Session): boolean => session.state === 'live' && session.barredMs === undefined;

const longer = { ttlMs: 3_000, initialBackoffMs: 20, maxBackoffMs: 100 };

test('what is held survives a restart that keeps the data', async () => {
  await using server = await startUsedRedis({ appendonly: true });
  await using mine = client(server, longer);
  await using theirs = client(server, longer);
  const holder = enter(mine.backend);
  const place = await holder.admitted();
  const next = enter(theirs.backend);
  await waiting(next);
  const suspended = firstWithin(mine.backend.session$, ({ state }) => state === 'suspended', 2_000, 'a suspension');
  await server.kill();
  await server.start();
  await suspended;
  await firstWithin(mine.backend.session$, ({ state }) => state === 'live', 3_000, 'recovery');
  expect(place.isValid()).toBe(true);
  expect(await entriesOnce(theirs.backend)).toHaveLength(2);
  holder.leave();
  expect((await next.admitted()).entry.token).toBeGreaterThan(place.entry.token);
  next.leave();
});

test('no pause before connecting again outlasts what is left of a session', async () => {
  const options = { ttlMs: 4_000 };
  await using server = await startUsedRedis({ appendonly: true }, options.ttlMs);
  const clients = Array.from({ length: 10 }, () => client(server, options));
  const lockOf = (at: number): RosterKey => ({ kind: 'lock', name: `${at}` });
  const all = (state: string): Promise<unknown> =>
    Promise.all(
      clients.map(({ backend }) => firstWithin(backend.session$, (now) => now.state === state, 3_000, state)),
    );
  const places = await Promise.all(clients.map(({ backend }, at) => enter(backend, lockOf(at)).admitted()));
  const suspended = all('suspended');
  await server.kill();
  await suspended;
  // A renewal lasts 3,760 ms, and is 800 ms old at most.
  await delay(2_000);
  await server.start();
  await all('live');
  expect(places.filter((place) => !place.isValid())).toEqual([]);
  await disposeAll(clients);
});

test('after a restart without the data nobody is admitted before every holder has given up, and tokens grow', async () => {
  await using server = await startUsedRedis();
  await using mine = client(server, longer);
  await using theirs = client(server, longer);
  const holder = enter(mine.backend);
  const place = await holder.admitted();
  // Renewed at the last moment: from here on the holder may rely on its session for almost the whole ttl.
  await server.kill();
  const killedAt = performance.now();
  await server.start({ keepData: false });
  const stranger = enter(theirs.backend);
  const { entry } = await stranger.admitted(10_000);
  expect(place.isValid()).toBe(false);
  expect(performance.now() - killedAt).toBeGreaterThan(longer.ttlMs * 0.95);
  expect(entry.token).toBeGreaterThan(place.entry.token);
  stranger.leave();
  holder.leave();
});

test('after a restart with older data a holder that was forgotten is told, and one that had left is taken out', async () => {
  await using server = await startUsedRedis();
  await using mine = client(server, longer);
  const left = enter(mine.backend);
  await left.admitted();
  await ask(server, 'SAVE');
  left.leave();
  const later = enter(mine.backend, { kind: 'lock', name: 'later' });
  const place = await later.admitted();
  const lost = later.lost(4_000);
  await server.kill();
  await server.start();
  expect(await lost).toMatchObject({ _tag: 'PlaceLost', reason: 'session lost' });
  expect(place.isValid()).toBe(false);
  await firstWithin(mine.backend.entries(LOCK), (entries) => entries.length === 0, 2_000, 'an empty roster');
});

test('FLUSHALL is noticed, and those who knew the server are not admitted too early', async () => {
  await using server = await startUsedRedis();
  await using mine = client(server);
  await using theirs = client(server);
  const holder = enter(mine.backend);
  const place = await holder.admitted();
  const next = enter(theirs.backend);
  await waiting(next);
  const flushedAt = performance.now();
  const lost = holder.lost(TTL_MS);
  await ask(server, 'FLUSHALL');
  expect(await lost).toMatchObject({ _tag: 'PlaceLost', reason: 'session lost' });
  await next.lost();
  const again = enter(theirs.backend);
  const { entry } = await again.admitted(6_000);
  expect(performance.now() - flushedAt).toBeGreaterThan(TTL_MS * 0.9);
  expect(entry.token).toBeGreaterThan(place.entry.token);
  again.leave();
});

test('the first who use a server that was started just now are told why they wait', async () => {
  await using server = await startRedis();
  await using mine = client(server);
  const startedAt = performance.now();
  const stay = enter(mine.backend);
  expect(await waiting(stay)).toMatchObject({ admitted: false, barred: true });
  const other = await firstValueFrom(tryLock(mine.backend, 'nobody holds it'));
  expect(other).toMatchObject({ left: { _tag: 'Contended', reason: 'barred' } });
  expect(await firstValueFrom(tryLock(mine.backend, LOCK.name))).toMatchObject({ left: { reason: 'held' } });
  expect(mine.faults.map(({ message }) => message)).toEqual([expect.stringContaining('it admits again in')]);
  await stay.admitted(TTL_MS + 500);
  expect(performance.now() - startedAt).toBeLessThan(TTL_MS + 400);
  stay.leave();
});

test('a session that is live while the server admits nobody yet says so, and for how long', async () => {
  await using server = await startRedis();
  await using mine = client(server);
  const seen: Session[] = [];
  mine.backend.session$.subscribe((session) => seen.push(session));
  await firstWithin(mine.backend.session$, isAdmitting, TTL_MS + 1_000, 'the first admissions');
  const live = seen.filter(({ state }) => state === 'live');
  expect(live).toEqual([
    { state: 'live', id: expect.any(String), barredMs: expect.any(Number) },
    { state: 'live', id: expect.any(String) },
  ]);
  expect(live[0]).toHaveProperty(
    'barredMs',
    expect.toSatisfy((ms: number) => ms > 0 && ms <= TTL_MS * 1.02 + 1_000),
  );
});

test('with trustEmpty the first who use an empty server wait for nothing, but who knew its data does', async () => {
  await using server = await startRedis();
  const patient = { ttlMs: 60_000 };
  await using mine = client(server, { ...patient, trustEmpty: true });
  const stay = enter(mine.backend);
  await stay.admitted(2_000);
  expect(await firstValueFrom(mine.backend.session$)).not.toHaveProperty('barredMs');
  stay.leave();
  await server.kill();
  await server.start({ keepData: false });
  const isBarred = (session: Session): boolean => session.state === 'live' && session.barredMs !== undefined;
  await firstWithin(mine.backend.session$, isBarred, 5_000, 'a session that is told to wait');
});
