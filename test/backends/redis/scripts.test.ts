import { Redis } from 'ioredis';
import { firstValueFrom, lastValueFrom } from 'rxjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RosterKey } from '../../../src/backends/backend.js';
import { conflictsAhead } from '../../../src/backends/shared/admission.js';
import type { Standing, StandRequest } from '../../../src/backends/store.js';
import { until } from '../../../src/testing/processes/probes.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { redisCounts } from '../../support/counters.js';
import {
  ask,
  type BareSession,
  keysOf,
  LOCK,
  openBare,
  stand,
  startUsedRedis,
  storeContext,
  useBefore,
} from './support.js';

let server: TestServer;
beforeAll(async () => {
  server = await startUsedRedis();
});
afterAll(() => server[Symbol.asyncDispose]());

/** What `useBefore` calls the data. */
const DATA = 'first';

async function open(namespace: string, ttlMs?: number): Promise<BareSession> {
  await useBefore(server, namespace);
  return openBare({ host: server.host, port: server.port, namespace }, storeContext(ttlMs));
}

function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

test.each([1, 2, 3, 0])('a removal tells those who advance, and nobody else, with %i permits (0: any)', async (all) => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const random = mulberry(seed);
  const namespace = `advance${all}`;
  const { session, cut } = await open(namespace);
  const listener = new Redis({ host: server.host, port: server.port, protocol: 2 });
  const told: string[] = [];
  let marker: (() => void) | undefined;
  listener.on('pmessage', (_pattern: string, channel: string, message: string) => {
    if (channel.endsWith(':marker')) marker?.();
    else if (!message.startsWith('beat:')) told.push(...message.split(' '));
  });
  await listener.psubscribe(`{${namespace}:0}:c:*`);
  const model: { readonly standing: Standing; readonly request: StandRequest }[] = [];
  const places = (): Map<string, number> => {
    const entries = model.map((each) => each.standing.entry);
    return new Map(
      model.map(({ standing: { entry }, request }) => [entry.id, conflictsAhead(entries, entry, request.permits)]),
    );
  };
  for (let operation = 0; operation < 400; operation++) {
    const before = places();
    if (model.length < 2 || (random() < 0.5 && model.length < 12)) {
      const permits = all === 0 ? 1 + Math.floor(random() * 4) : all;
      const request = stand(random() < 0.5 ? 'shared' : 'exclusive', permits);
      const standing = await firstValueFrom(session.enter(LOCK, request));
      model.push({ standing, request });
      const entries = model.map((each) => each.standing.entry);
      expect(standing.ahead, `seed ${seed}`).toBe(conflictsAhead(entries, standing.entry, permits));
      continue;
    }
    const [gone] = model.splice(Math.floor(random() * model.length), 1);
    if (gone === undefined) continue;
    told.length = 0;
    await lastValueFrom(session.leave(LOCK, gone.request, false));
    const settled = new Promise<void>((resolve) => {
      marker = resolve;
    });
    await ask(server, 'PUBLISH', `{${namespace}:0}:c:marker`, '');
    await settled;
    const advanced = [...places()].filter(([id, ahead]) => ahead !== before.get(id));
    // Each is sure to be admitted, by the word of this data.
    const expected = advanced.map(([id, ahead]) => `${id}:${ahead}:${DATA}`);
    expect([...told].sort(), `seed ${seed}, operation ${operation}`).toEqual(expected.sort());
  }
  await lastValueFrom(session.end(false));
  cut();
  listener.disconnect();
});

test('who waits is admitted by the word of the data that answers it, and asks where another says so', async () => {
  const { session, cut } = await open('word');
  const [holder, waiter] = [stand(), stand()];
  await firstValueFrom(session.enter(LOCK, holder));
  const standing = await firstValueFrom(session.enter(LOCK, waiter));
  const places: number[] = [];
  const following = session.place(LOCK, waiter, standing).subscribe((ahead) => places.push(ahead));
  const say = (word: string): Promise<string> =>
    ask(server, 'PUBLISH', `{word:0}:c:${session.id}`, `${standing.entry.id}:0:${word}`);
  const asked = async (): Promise<number> => (await redisCounts(server.url))['evalsha'] ?? 0;
  const before = await asked();
  // A server that was deposed has buried whoever renews at its successor.
  await say('deposed');
  await until(async () => (await asked()) > before, 5_000, 'the question');
  // Whatever is asked on the same connection is answered later.
  await firstValueFrom(session.look(LOCK));
  expect(places).toEqual([1]);
  await say(DATA);
  await until(() => places.length > 1, 5_000, 'the admission');
  expect(places).toEqual([1, 0]);
  following.unsubscribe();
  await lastValueFrom(session.end(false));
  cut();
});

test('entering, registering and writing twice under one id do it once', async () => {
  const { session, cut } = await open('twice');
  const request = stand();
  const first = await firstValueFrom(session.enter(LOCK, request));
  expect(await firstValueFrom(session.enter(LOCK, request))).toEqual(first);
  expect(await firstValueFrom(session.entries(LOCK))).toHaveLength(1);
  const group: RosterKey = { kind: 'group', name: 'g' };
  const made = await Promise.all(['aa', 'aa', 'bb'].map((id) => firstValueFrom(session.register(group, id))));
  expect(made).toEqual([true, true, false]);
  const [one, two] = [new Uint8Array([1]), new Uint8Array([2])];
  const [wrote] = await Promise.all(['w1', 'w1'].map((id) => firstValueFrom(session.swap('k', 'absent', one, id))));
  expect(wrote).toMatchObject({ swapped: true, current: { value: one } });
  expect(await firstValueFrom(session.swap('k', wrote?.current?.version ?? 0n, two, 'w2'))).toMatchObject({
    swapped: true,
  });
  // Its reply was lost, and another has written meanwhile: it happened, and must not happen again.
  expect(await firstValueFrom(session.swap('k', 'absent', one, 'w1'))).toMatchObject({
    swapped: true,
    current: { value: two },
  });
  expect(await firstValueFrom(session.swap('k', 'absent', one, 'w3'))).toMatchObject({ swapped: false });
  expect(await firstValueFrom(session.swap('k', 'any', undefined, 'w4'))).toEqual({
    swapped: true,
    current: undefined,
  });
  expect(await firstValueFrom(session.cell('k'))).toBeUndefined();
  await lastValueFrom(session.end(false));
  cut();
});

test('an expired session is not revived, and its thousands of entries go', async () => {
  const dead = await open('dead', 1_500);
  const rosters = Array.from({ length: 600 }, (_, at): RosterKey => ({ kind: 'lock', name: `n${at}` }));
  for (let at = 0; at < rosters.length; at += 50) {
    const some = rosters.slice(at, at + 50);
    await Promise.all(some.map((roster) => firstValueFrom(dead.session.enter(roster, stand()))));
  }
  const living = await open('dead', 1_500);
  const renewals = setInterval(() => living.session.renew().subscribe({ error: () => {} }), 50);
  const left = async (): Promise<string[]> => (await keysOf(server)).filter((key) => key.startsWith('{dead:0}:o:'));
  await until(async () => (await left()).length === 0, 5_000, 'the end of its entries');
  clearInterval(renewals);
  await expect(lastValueFrom(dead.session.renew())).rejects.toMatchObject({ _tag: 'SessionLost', byStore: true });
  await expect(firstValueFrom(dead.session.enter(LOCK, stand()))).rejects.toMatchObject({ _tag: 'SessionLost' });
  expect(await left()).toEqual([]);
  await lastValueFrom(living.session.end(false));
  dead.cut();
  living.cut();
});

test('what is short of memory can still be renewed and left, and nothing new begins', async () => {
  const { session, cut } = await open('memory');
  const request = stand();
  await firstValueFrom(session.enter(LOCK, request));
  await ask(server, 'CONFIG', 'SET', 'maxmemory', '1');
  try {
    expect(await lastValueFrom(session.renew())).toBeGreaterThan(0);
    await expect(firstValueFrom(session.enter(LOCK, stand()))).rejects.toMatchObject({ _tag: 'Unavailable' });
    expect(await firstValueFrom(session.entries(LOCK))).toHaveLength(1);
    await lastValueFrom(session.leave(LOCK, request, false));
    expect(await firstValueFrom(session.entries(LOCK))).toEqual([]);
    await lastValueFrom(session.end(false));
  } finally {
    await ask(server, 'CONFIG', 'SET', 'maxmemory', '0');
  }
  cut();
});

test('tokens go on from the highest that the client knows when data and clock are lost', async () => {
  const { session, cut } = await open('floor');
  const first = await firstValueFrom(session.enter(LOCK, stand()));
  const future = first.entry.token + 10n ** 12n;
  await ask(server, 'HSET', '{floor:0}:m', 'token', `${future}`);
  const second = await firstValueFrom(session.enter(LOCK, stand()));
  expect(second.entry.token).toBe(future + 1n);
  await ask(server, 'HDEL', '{floor:0}:m', 'token');
  const third = await firstValueFrom(session.enter(LOCK, stand()));
  expect(third.entry.token).toBe(future + 2n);
  await lastValueFrom(session.end(false));
  cut();
});

test('a lease lasts no longer than its ttl and 200 ms, however long that is', async () => {
  for (const ttlMs of [1_000, 3_600_000]) {
    const namespace = `long${ttlMs}`;
    const { session, cut } = await open(namespace, ttlMs);
    const number = async (...command: string[]): Promise<number> =>
      Number((await ask(server, ...command)).split('\r\n')[1]);
    const [lease, now] = [
      await number('ZSCORE', `{${namespace}:0}:s`, session.id),
      await number('HGET', `{${namespace}:0}:m`, 'v'),
    ];
    expect((lease - now) / 1_000 - ttlMs).toBeGreaterThan(0);
    expect((lease - now) / 1_000 - ttlMs).toBeLessThanOrEqual(Math.min(200, ttlMs / 50));
    await lastValueFrom(session.end(false));
    cut();
  }
});

test.each(['sadd', 'hset', 'zadd', 'publish', 'zrem', 'srem', 'hdel'])(
  'a script that fails half-way, since %s is denied, is not taken for done when it is repeated',
  async (command) => {
    const { session, cut } = await open(`denied-${command}`);
    const tag = `{denied-${command}:0}`;
    const request = stand();
    const isRecorded = async (): Promise<boolean> => {
      const [entry] = await firstValueFrom(session.entries(LOCK));
      const set = await ask(server, 'SMEMBERS', `${tag}:i:${session.id}`);
      return entry !== undefined && set.includes(entry.id);
    };
    const enters = (): Promise<boolean> =>
      firstValueFrom(session.enter(LOCK, request)).then(
        () => true,
        () => false,
      );
    await ask(server, 'ACL', 'SETUSER', 'default', `-${command}`);
    const attempts = [await enters(), await enters()];
    await ask(server, 'ACL', 'SETUSER', 'default', '+@all');
    if (attempts.includes(true)) expect(await isRecorded()).toBe(true);
    expect(await enters()).toBe(true);
    expect(await isRecorded()).toBe(true);
    await ask(server, 'ACL', 'SETUSER', 'default', `-${command}`);
    const leaves = (): Promise<unknown> => lastValueFrom(session.leave(LOCK, request, false)).catch(() => undefined);
    await leaves();
    await leaves();
    await ask(server, 'ACL', 'SETUSER', 'default', '+@all');
    await leaves();
    expect(await firstValueFrom(session.entries(LOCK))).toEqual([]);
    await lastValueFrom(session.end(false));
    expect((await keysOf(server)).filter((key) => key.startsWith(tag))).toEqual([`${tag}:m`]);
    cut();
  },
);

test('what was left in doubt leaves no marker behind', async () => {
  const { session, cut } = await open('markers');
  for (let left = 0; left < 20; left++) await lastValueFrom(session.leave(LOCK, stand(), true));
  expect((await keysOf(server)).filter((key) => key.startsWith('{markers:0}'))).toEqual(
    ['m', 'q', 's', 't'].map((key) => `{markers:0}:${key}`),
  );
  await lastValueFrom(session.end(false));
  expect((await keysOf(server)).filter((key) => key.startsWith('{markers:0}'))).toEqual(['{markers:0}:m']);
  cut();
});

test('data that is not as far as its client was told admits nobody for a ttl, and has another name from then on', async () => {
  const { session, cut } = await open('restored');
  const field = async (name: string): Promise<string> =>
    (await ask(server, 'HGET', '{restored:0}:m', name)).split('\r\n')[1] ?? '';
  const quarantineMs = async (): Promise<number> => (Number(await field('until')) - Number(await field('v'))) / 1_000;
  const request = stand();
  await firstValueFrom(session.enter(LOCK, request));
  for (let renewal = 0; renewal < 5; renewal++) await lastValueFrom(session.renew());
  expect([await field('id'), (await quarantineMs()) > 0]).toEqual(['first', false]);
  // As after a backup has been read in.
  await ask(server, 'HSET', '{restored:0}:m', 'count', '3');
  await lastValueFrom(session.renew());
  expect(await field('id')).not.toBe('first');
  expect(await quarantineMs()).toBeGreaterThan(59_000);
  // From then on it is what they know.
  const until = await field('until');
  await lastValueFrom(session.renew());
  expect(await field('until')).toBe(until);
  await lastValueFrom(session.end(false));
  cut();
});

test('what others write where the data says what it is keeps nobody out for ever', async () => {
  const { session, cut } = await open('garbage', 1_000);
  await ask(server, 'HSET', '{garbage:0}:m', 'id', 'no name at all', 'past', ' no name: first:x', 'count', 'many');
  const until = async (): Promise<string> => ask(server, 'HGET', '{garbage:0}:m', 'until');
  await lastValueFrom(session.renew());
  const barred = await until();
  for (let renewal = 0; renewal < 3; renewal++) await lastValueFrom(session.renew());
  expect(await until()).toBe(barred);
  await lastValueFrom(session.end(false));
  cut();
});

test('a version that others write into one cell does not spoil the tokens of all names', async () => {
  const { session, cut } = await open('spoilt');
  await ask(server, 'HSET', '{spoilt:0}:k:thing', 'version', '9007199254740990', 'value', 'x');
  await firstValueFrom(session.cell('thing'));
  const tokens: bigint[] = [];
  for (let i = 0; i < 3; i++) tokens.push((await lastValueFrom(session.enter(LOCK, stand()))).entry.token);
  cut();
  expect(tokens[0]).toBeGreaterThan(0n);
  expect(tokens[0]).toBeLessThan(2n ** 52n);
  expect(tokens[1]).toBeGreaterThan(tokens[0] as bigint);
  expect(tokens[2]).toBeGreaterThan(tokens[1] as bigint);
});
