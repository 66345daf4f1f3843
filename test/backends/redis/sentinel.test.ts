import { Redis } from 'ioredis';
import { merge, timer } from 'rxjs';
import { expect, test, vi } from 'vitest';
import { redis } from '../../../src/backends/redis/index.js';
import { until } from '../../../src/testing/processes/probes.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { startProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { startRedisReplication } from '../../faults/redis-replication.js';
import { ask, enter, TTL_MS } from './support.js';

test('of two masters, while sentinels replace one by another, everybody follows the new one at once', async () => {
  const printed = vi.spyOn(console, 'error');
  await using replication = await startRedisReplication();
  const master = await replication.master();
  const [first, , third] = replication.sentinels;
  if (first === undefined || third === undefined) throw new Error('there are not three sentinels');
  // Who tells of a fail-over need not be there.
  await third.kill();
  const sentinels = replication.sentinels.map(({ host, port }) => ({ host, port }));
  const options = { ttlMs: TTL_MS, sentinels: { name: 'master', nodes: sentinels } };
  await using mine = redis(options);
  await using theirs = redis(options);
  const holder = enter(mine);
  const place = await holder.admitted(2 * TTL_MS);
  await ask(first, 'SENTINEL', 'FAILOVER', 'master');
  await replication.masterOtherThan(master);
  const stranger = enter(theirs);
  // By then the new master admits again, and the old one still takes itself for one.
  const early = await firstWithin(
    merge(stranger.places$, timer(2 * TTL_MS)),
    (told) => told === 0 || (typeof told === 'object' && told.admitted),
    3 * TTL_MS,
    'an admission, or none',
  );
  expect(early).toBe(0);
  expect(place.isValid()).toBe(true);
  expect(await ask(master, 'ROLE')).toContain('master');
  holder.leave();
  expect((await stranger.admitted(TTL_MS)).entry.token).toBeGreaterThan(place.entry.token);
  stranger.leave();
  expect(printed).not.toHaveBeenCalled();
  printed.mockRestore();
}, 60_000);

test('of the sentinels of a client that was given, one that is stopped keeps nobody from a session, and a connection that is dropped is made again', async () => {
  await using replication = await startRedisReplication();
  const [stopped, other] = replication.sentinels;
  if (stopped === undefined || other === undefined) throw new Error('there are not three sentinels');
  await using proxy = await startProxy({ port: other.port });
  const seen = new Set<Buffer>();
  proxy.onData((_, chunk) => seen.add(chunk));
  stopped.pause();
  const sentinels = [stopped, proxy].map(({ host, port }) => ({ host, port }));
  await using mine = redis({
    ttlMs: 2 * TTL_MS,
    client: () => new Redis({ sentinels, name: 'master', lazyConnect: true, maxRetriesPerRequest: 0 }),
  });
  await firstWithin(mine.session$, ({ state }) => state === 'live', 2 * TTL_MS, 'a session');
  stopped.resume();
  const listening = async (): Promise<string[]> =>
    [...(await ask(other, 'CLIENT', 'LIST')).matchAll(/^id=(\d+) .* sub=1 /gm)].flatMap(([, id]) => id ?? []);
  await until(async () => (await listening()).length > 1, 2_000, 'both connections that listen');
  const before = await listening();
  const dropped = new Set(seen);
  proxy.blackhole((greeting) => dropped.has(greeting));
  const made = async (): Promise<number> => (await listening()).filter((id) => !before.includes(id)).length;
  await until(async () => (await made()) > 1, 4_000, 'two others that listen');
  expect(await firstWithin(mine.session$, () => true, 100, 'the state')).toMatchObject({ state: 'live' });
}, 60_000);
