import { Socket } from 'node:net';
import { BehaviorSubject, filter, firstValueFrom, lastValueFrom } from 'rxjs';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import budget from '../../../bench/budget.json' with { type: 'json' };
import { askRedis } from '../../../src/testing/servers/redis.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { type Counts, difference, redisCounts } from '../../support/counters.js';
import { client, enter, keysOf, LOCK, request, type Stay, startUsedRedis, waiting } from './support.js';

let server: TestServer;
beforeAll(async () => {
  server = await startUsedRedis();
});
afterAll(() => server[Symbol.asyncDispose]());

/** Renews so seldom that nothing but what is asked for is counted. */
const { callsInScripts } = budget;

const still = { ttlMs: 60_000 };

test('an uncontended lock is one command to acquire and one to release', async () => {
  await using mine = client(server, still);
  await firstValueFrom(mine.backend.enter(LOCK, request()));
  await firstValueFrom(mine.backend.evict(LOCK, 'nobody'));
  const before = await redisCounts(server.url);
  for (let round = 0; round < 50; round++) await firstValueFrom(mine.backend.enter(LOCK, request()));
  // The last release is on its way: whatever is asked on the same connection comes after it.
  await firstValueFrom(mine.backend.evict(LOCK, 'nobody'));
  const counts = difference(before, await redisCounts(server.url));
  expect(counts['evalsha']).toBe(50 * 2 + 1);
  expect(counts['eval']).toBeUndefined();
  expect(counts['subscribe']).toBeUndefined();
});

test('a release and the next request are written together', async () => {
  await using mine = client(server, still);
  await firstValueFrom(mine.backend.enter(LOCK, request()));
  const sockets = Socket.prototype as Socket & Required<Pick<Socket, '_writev'>>;
  const writes = [vi.spyOn(sockets, '_write'), vi.spyOn(sockets, '_writev')];
  for (let round = 0; round < 50; round++) await firstValueFrom(mine.backend.enter(LOCK, request()));
  const count = writes.reduce((sum, { mock }) => sum + mock.calls.length, 0);
  for (const write of writes) write.mockRestore();
  // The first request stands alone, and so may the last release.
  expect(count).toBeLessThanOrEqual(50 + 2);
});

test('a script that the server does not have is sent once, however many want it at once', async () => {
  await using mine = client(server, still);
  await firstValueFrom(mine.backend.session$.pipe(filter(({ state }) => state === 'live')));
  const flushed = await askRedis(server.url, 'SCRIPT', 'FLUSH');
  expect(flushed).toContain('OK');
  const before = await redisCounts(server.url);
  const stays = Array.from({ length: 100 }, (_, at) => enter(mine.backend, { kind: 'lock', name: `first ${at}` }));
  await Promise.all(stays.map((stay) => stay.admitted()));
  const counts = difference(before, await redisCounts(server.url));
  expect(counts).toMatchObject({ eval: 1, evalsha: 199 });
});

test('a release wakes one of a hundred, which asks nothing, and waiting costs nothing', async () => {
  await using mine = client(server, still);
  await using theirs = client(server, still);
  const holder = enter(mine.backend);
  await holder.admitted();
  const others = Array.from({ length: 100 }, () => enter(theirs.backend));
  await Promise.all(others.map((other) => waiting(other)));
  const before = await redisCounts(server.url);
  // That nothing is sent can only be waited for.
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(difference(before, await redisCounts(server.url))).toEqual({});
  holder.leave();
  await others[0]?.admitted();
  const counts = difference(before, await redisCounts(server.url));
  expect({ evalsha: counts['evalsha'], publish: counts['publish'] }).toEqual({ evalsha: 1, publish: 2 });
  for (const other of others) other.leave();
});

test('what scripts call stays within the budget', async () => {
  await using mine = client(server, still);
  await using theirs = client(server, still);
  await firstValueFrom(mine.backend.enter(LOCK, request()));
  const held = enter(mine.backend, { kind: 'lock', name: 'held' });
  await held.admitted();
  const next = enter(theirs.backend, { kind: 'lock', name: 'held' });
  await waiting(next);
  const callsOf = async (act: () => Promise<unknown>): Promise<number> => {
    const before = await redisCounts(server.url);
    await act();
    const { total = 0, evalsha = 0 } = difference(before, await redisCounts(server.url));
    return total - evalsha;
  };
  const pair = await callsOf(async () => {
    await lastValueFrom((await enter(mine.backend).admitted()).leave());
  });
  const handOff = await callsOf(async () => {
    held.leave();
    await next.admitted();
  });
  expect(pair).toBeLessThanOrEqual(callsInScripts.Redis['acquire and release a lock that is free'] ?? 0);
  const line = "hand over to the next of 100 waiters in 10 processes' sessions";
  expect(handOff).toBeLessThanOrEqual(callsInScripts.Redis[line] ?? 0);
  next.leave();
});

test('one who joins a group that many watch costs no more, however large it is', async () => {
  const group = { kind: 'group', name: 'many' } as const;
  const member = { mode: 'shared', permits: Number.POSITIVE_INFINITY, payload: new Uint8Array(64).fill(97) } as const;
  await using mine = client(server, still);
  const watchers = Array.from({ length: 10 }, () => client(server, still));
  const sizes = watchers.map(() => new BehaviorSubject(-1));
  for (const [at, { backend }] of watchers.entries())
    backend.entries(group).subscribe(({ length }) => sizes[at]?.next(length));
  const areAll = (size: number): Promise<unknown> =>
    Promise.all(sizes.map((size$) => firstValueFrom(size$.pipe(filter((each) => each === size)))));
  const stays: Stay[] = [];
  const join = async (count: number): Promise<void> => {
    for (let n = 0; n < count; n++) stays.push(enter(mine.backend, group, member));
    await areAll(stays.length);
  };
  const sent = async (): Promise<number> =>
    Number(/total_net_output_bytes:(\d+)/.exec(await askRedis(server.url, 'INFO', 'stats'))?.[1]);
  const costOf = async (act: () => Promise<void>): Promise<{ bytes: number; counts: Counts }> => {
    const before = await redisCounts(server.url);
    const bytes = await sent();
    await act();
    return { bytes: (await sent()) - bytes, counts: difference(before, await redisCounts(server.url)) };
  };
  await join(10);
  const few = await costOf(() => join(1));
  await join(1_000);
  const many = await costOf(() => join(1));
  const { total = 0, evalsha = 0, info = 0 } = few.counts;
  expect(evalsha).toBe(1);
  expect(many.counts).toEqual(few.counts);
  expect(total - evalsha - info).toBeLessThanOrEqual(callsInScripts.Redis['join a group'] ?? 0);
  // A change is some 200 bytes for each; the rest is what is asked for here.
  expect(many.bytes).toBeLessThan(few.bytes + 1_000);
  for (const stay of stays) stay.leave();
  await Promise.all(watchers.map(({ backend }) => backend.close()));
});

test('a session is renewed by one script, and no more calls in it, however much stands in it', async () => {
  await using mine = client(server, { ttlMs: 1_000, renewEveryMs: 100 });
  const stays = Array.from({ length: 50 }, (_, at) => enter(mine.backend, { kind: 'lock', name: `n${at}` }));
  await Promise.all(stays.map((stay) => stay.admitted()));
  const before = await redisCounts(server.url);
  // What is counted is renewals in a second.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const counts = difference(before, await redisCounts(server.url));
  expect(counts['evalsha']).toBeGreaterThan(4);
  expect(counts['evalsha']).toBeLessThanOrEqual(11);
  const calls = ((counts['total'] ?? 0) - (counts['evalsha'] ?? 0)) / (counts['evalsha'] ?? 0);
  expect(calls).toBeLessThanOrEqual(callsInScripts.Redis['renewals, 1000 locks held (a period)'] ?? 0);
});

test('nothing is left behind but what the shard remembers', async () => {
  await using mine = client(server);
  const { backend } = mine;
  const stays = Array.from({ length: 30 }, (_, at) =>
    enter(backend, { kind: 'lock', name: `n${at % 3}` }, { payload: new Uint8Array([at]) }),
  );
  await Promise.all(stays.map((stay) => waiting(stay)));
  await firstValueFrom(backend.register({ kind: 'group', name: 'g' }));
  await firstValueFrom(backend.unregister({ kind: 'group', name: 'g' }));
  expect((await keysOf(server)).length).toBeGreaterThan(10);
  await backend.close();
  expect(await keysOf(server)).toEqual(['{conclave:0}:m']);
});
