import { firstValueFrom, ReplaySubject } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Backend, Entry, RosterKey } from '../../../src/backends/backend.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { askRedis } from '../../../src/testing/servers/redis.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { difference, redisCounts } from '../../support/counters.js';
import { ask, type Client, client, enter, startUsedRedis, waiting } from './support.js';

const CHANNEL = '{conclave:0}:n:group:crew';
const CREW: RosterKey = { kind: 'group', name: 'crew' };
const MEMBER = { mode: 'shared', permits: Number.POSITIVE_INFINITY } as const;
/** Renews so seldom that nothing but what is asked for is counted. */
const STILL = { ttlMs: 60_000 };

let server: TestServer;
beforeAll(async () => {
  server = await startUsedRedis();
});
afterAll(() => server[Symbol.asyncDispose]());

let mine: Client;
let watcher: Client;
beforeEach(() => {
  mine = client(server, STILL);
  watcher = client(server, STILL);
});
afterEach(async () => {
  await Promise.all([mine.backend.close(), watcher.backend.close()]);
});

interface Seen {
  readonly sets: (readonly Entry[])[];
  /** Waits for a set like this. */
  until(is: (entries: readonly Entry[]) => boolean): Promise<readonly Entry[]>;
}

function watch(backend: Backend): Seen {
  const told = new ReplaySubject<readonly Entry[]>();
  const sets: (readonly Entry[])[] = [];
  backend.entries(CREW).subscribe((entries) => sets.push(entries));
  backend.entries(CREW).subscribe(told);
  return { sets, until: (is) => firstWithin(told, is, 5_000, 'a set') };
}

const joining = (payload: Uint8Array = new Uint8Array([1])) => enter(mine.backend, CREW, { ...MEMBER, payload });

async function scriptsOf(act: () => Promise<unknown>): Promise<number> {
  const before = await redisCounts(server.url);
  await act();
  const { evalsha = 0, eval: sent = 0 } = difference(before, await redisCounts(server.url));
  return evalsha + sent;
}

async function bytesSent(): Promise<number> {
  return Number(/total_net_output_bytes:(\d+)/.exec(await askRedis(server.url, 'INFO', 'stats'))?.[1]);
}

test.each([
  ['text', new TextEncoder().encode('{"id":"ä \u2028 \\" \u0000","n":[1]}')],
  ['nothing', new Uint8Array()],
  ['bytes that are no text', new Uint8Array([0xff, 0, 0x80, 91])],
  ['much', new Uint8Array(60_000).fill(97)],
])('a payload of %s comes as it was given', async (_, payload) => {
  const seen = watch(watcher.backend);
  await seen.until((entries) => entries.length === 0);
  const stay = joining(payload);
  const [entry] = await seen.until((entries) => entries.length === 1);
  const { entry: own } = await waiting(stay);
  expect(entry).toEqual(own);
  stay.leave();
  await seen.until((entries) => entries.length === 0);
});

test('nobody reads what is told, and whoever looks as well reads no more than that nothing has changed', async () => {
  const seen = watch(watcher.backend);
  await seen.until((entries) => entries.length === 0);
  const stays = Array.from({ length: 300 }, () => joining());
  await seen.until((entries) => entries.length === 300);
  const changes = await scriptsOf(async () => {
    stays.push(joining());
    await seen.until((entries) => entries.length === 301);
    stays[0]?.leave();
    await seen.until((entries) => entries.length === 300);
  });
  expect(changes).toBe(2);
  const before = await bytesSent();
  expect(await firstValueFrom(watcher.backend.look(CREW))).toHaveLength(300);
  expect(await firstValueFrom(watcher.backend.entries(CREW))).toHaveLength(300);
  // What is asked for here counts as well.
  expect((await bytesSent()) - before).toBeLessThan(10_000);
  for (const stay of stays) stay.leave();
});

test('a thousand who join at once come in no more than a set each 10 ms, each complete', async () => {
  const seen = watch(watcher.backend);
  await seen.until((entries) => entries.length === 0);
  const beganMs = performance.now();
  const stays = Array.from({ length: 1_000 }, () => joining());
  await seen.until((entries) => entries.length === 1_000);
  // The one before, and the first two: the pause begins when they are told. A timer may be a millisecond early.
  expect(seen.sets.length).toBeLessThan(3 + (performance.now() - beganMs) / 9);
  for (const set of seen.sets) {
    const tokens = set.map(({ token }) => token);
    expect(tokens).toEqual(tokens.toSorted((a, b) => (a < b ? -1 : 1)));
  }
  for (const stay of stays) stay.leave();
});

test('whoever is told by others of what is not so reads it, and shows nothing that is not there', async () => {
  const seen = watch(watcher.backend);
  const stays = [joining(), joining()];
  await seen.until((entries) => entries.length === 2);
  const begun = seen.sets.length;
  const scripts = await scriptsOf(async () => {
    // Of other data; as an older version publishes it; after changes that nobody has heard of.
    for (const message of ['["other","99999999","none",[]]', '', '["other","1","",[]]'])
      await ask(server, 'PUBLISH', CHANNEL, message);
    stays.push(joining());
    await seen.until((entries) => entries.length === 3);
  });
  expect(scripts).toBeGreaterThan(1);
  expect(seen.sets.slice(begun).every((set) => set.length >= 2)).toBe(true);
  for (const stay of stays) stay.leave();
});

test('where the number of the last change is missing, as an older version leaves it, the next one is read', async () => {
  const seen = watch(watcher.backend);
  const stays = [joining(), joining()];
  await seen.until((entries) => entries.length === 2);
  // As if that member had left, and this had been told to nobody.
  const first = seen.sets.at(-1)?.[0]?.id ?? '';
  expect(await ask(server, 'ZREM', '{conclave:0}:o:group:crew', first)).toContain('1');
  expect(await ask(server, 'HDEL', '{conclave:0}:e:group:crew', 'changes')).toContain('1');
  stays.push(joining());
  const set = await seen.until((entries) => entries.length === 2 && entries.every(({ id }) => id !== first));
  expect(set).toHaveLength(2);
  for (const stay of stays) stay.leave();
});
