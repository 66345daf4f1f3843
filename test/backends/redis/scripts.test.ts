import { Redis } from 'ioredis';
import { firstValueFrom, lastValueFrom } from 'rxjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { conflictsAhead } from '../../../src/backends/admission.js';
import type { Mode, RosterKey } from '../../../src/backends/backend.js';
import { redisStores } from '../../../src/backends/redis/redis-store.js';
import type { Standing, StandRequest, StoreSession } from '../../../src/backends/store.js';
import { until } from '../../../src/testing/processes/probes.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { ask, keysOf, LOCK, newId, startUsedRedis, storeContext } from './support.js';

let server: TestServer;
beforeAll(async () => {
  server = await startUsedRedis();
});
afterAll(() => server[Symbol.asyncDispose]());

/** A session below the kernel: nobody renews it. */
async function open(namespace: string, ttlMs?: number): Promise<{ session: StoreSession; cut: () => void }> {
  // As if the shard had been used before, by this server.
  const runId = /run_id:(\w+)/.exec(await ask(server, 'INFO', 'server'))?.[1] ?? '';
  await ask(server, 'HSET', `{${namespace}:0}:m`, 'era', runId, 'id', 'first');
  const [store] = redisStores({ host: server.host, port: server.port, namespace });
  return new Promise((resolve, reject) => {
    const link = store.open(storeContext(ttlMs)).subscribe({
      next: (session) => resolve({ session, cut: () => link.unsubscribe() }),
      error: reject,
    });
  });
}

function stand(mode: Mode = 'exclusive', permits = 1): StandRequest {
  return { id: newId(), mode, permits, payload: new Uint8Array(), registered: false, sent: () => undefined };
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
    const expected = advanced.map(([id, ahead]) => `${id}:${ahead}`);
    expect([...told].sort(), `seed ${seed}, operation ${operation}`).toEqual(expected.sort());
  }
  await lastValueFrom(session.end(false));
  cut();
  listener.disconnect();
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
  await Promise.all(rosters.map((roster) => firstValueFrom(dead.session.enter(roster, stand()))));
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
