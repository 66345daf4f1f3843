import { filter, firstValueFrom, map, take, toArray } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { firstWithin } from '../../../src/testing/processes/until.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy, type TcpProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { startZooKeeper } from '../../../src/testing/servers/zookeeper.js';
import { Backends, lockNamed, Stander, untilStanding } from './support.js';

let server: TestServer;
let proxy: TcpProxy;
let backends: Backends;

beforeAll(async () => {
  server = await startZooKeeper();
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(async () => {
  proxy = await startProxy({ port: server.port });
  backends = new Backends();
});
afterEach(async () => {
  await proxy.heal();
  await backends[Symbol.asyncDispose]();
  await proxy.close();
});

const isCreate = (chunk: Buffer): boolean => chunk.includes('__lock__');

describe('a lost connection', () => {
  test('keeps the session, the place and the token', async () => {
    const mine = backends.connect(proxy.port);
    const other = backends.connect(server.port);
    const holder = await new Stander(mine, lockNamed('kept')).untilAdmitted();
    const waiter = await new Stander(other, lockNamed('kept')).until(({ places }) => places.length > 0);
    const back = firstWithin(mine.session$, ({ state }) => state === 'suspended', 3_000, 'suspension').then(() =>
      firstWithin(mine.session$, ({ state }) => state === 'live', 3_000, 'life'),
    );
    proxy.resetAll();
    await back;
    expect(holder.places).toHaveLength(1);
    expect(holder.isAdmitted).toBe(true);
    expect(waiter.isAdmitted).toBe(false);
    holder.leave();
    await waiter.untilAdmitted();
  });

  test('as soon as it was made, again and again, does not become a storm', async () => {
    const mine = backends.connect(proxy.port);
    const cuts$ = mine.session$.pipe(
      filter(({ state }) => state === 'live'),
      map(() => {
        proxy.resetAll();
        return performance.now();
      }),
    );
    const cuts = await firstValueFrom(cuts$.pipe(take(10), toArray()));
    // Each pause is at least half of `initialBackoffMs`, which is 100.
    expect((cuts.at(-1) ?? 0) - (cuts[0] ?? 0)).toBeGreaterThan(9 * 50);
  });

  test('in the middle of a packet does not spoil the next one', async () => {
    const mine = backends.connect(proxy.port);
    const roster = lockNamed('torn');
    const payload = new Uint8Array(60_000).fill(7);
    const writer = backends.connect(server.port);
    const seen = firstWithin(mine.entries(roster), (entries) => entries.length === 1, 5_000, 'the entry');
    await firstValueFrom(mine.entries(roster));
    proxy.throttle(40_000);
    const holder = await new Stander(writer, roster, { payload }).untilAdmitted();
    const before = proxy.counters.toClientBytes;
    await expect
      .poll(() => proxy.counters.toClientBytes - before, { timeout: 5_000, interval: 5 })
      .toBeGreaterThan(1_000);
    proxy.resetAll();
    await proxy.heal();
    const [entry] = await seen;
    expect(entry?.payload).toEqual(payload);
    holder.leave();
  });

  test('of which nobody is told is found out, and given up for a new one', async () => {
    const mine = backends.connect(proxy.port);
    const holder = await new Stander(mine, lockNamed('half open')).untilAdmitted();
    const accepted = proxy.counters.connectionsAccepted;
    proxy.blackhole();
    await expect
      .poll(() => proxy.counters.connectionsAccepted, { timeout: 3_000, interval: 5 })
      .toBeGreaterThan(accepted);
    await proxy.heal();
    await firstWithin(mine.session$, ({ state }) => state === 'live', 3_000, 'life');
    expect(holder.isAdmitted).toBe(true);
  });
});

describe('a slow connection', () => {
  test('over which answers flow for longer than a request may take is not cut', async () => {
    const writer = backends.connect(server.port);
    const keys = Array.from({ length: 120 }, (_, index) => `large ${index}`);
    const value = new Uint8Array(60_000).fill(7);
    await Promise.all(keys.map((key) => firstValueFrom(writer.swap(key, 'any', value))));
    const mine = backends.connect(proxy.port);
    const holder = await new Stander(mine, lockNamed('over a slow connection')).untilAdmitted();
    const states: string[] = [];
    mine.session$.subscribe(({ state }) => states.push(state));
    proxy.throttle(4_000_000);
    const begunMs = performance.now();
    const seen = await Promise.all(
      keys.map((key) => firstWithin(mine.cell(key), (cell) => cell !== undefined, 10_000, key)),
    );
    // Longer than `requestTimeoutMs`, which is 900.
    expect(performance.now() - begunMs).toBeGreaterThan(1_500);
    expect(seen.every((cell) => cell?.value.length === value.length)).toBe(true);
    expect(states).toEqual(['live']);
    expect(holder.places.at(-1)?.isValid()).toBe(true);
  });
});

describe('a lost reply', () => {
  test('to an enter leaves one entry, not two', async () => {
    const mine = backends.connect(proxy.port);
    const observer = backends.connect(server.port);
    const roster = lockNamed('once');
    (await new Stander(mine, roster).untilAdmitted()).leave();
    await untilStanding(observer, roster, 0);
    const lost = proxy.swallowNext('toClient', isCreate, true);
    const holder = new Stander(mine, roster);
    await lost;
    await holder.untilAdmitted();
    await untilStanding(observer, roster, 1);
  });

  test('to an enter that is given up leaves nobody in line', async () => {
    const mine = backends.connect(proxy.port);
    const observer = backends.connect(server.port);
    const roster = lockNamed('orphan');
    (await new Stander(mine, roster).untilAdmitted()).leave();
    await untilStanding(observer, roster, 0);
    const lost = proxy.swallowNext('toClient', isCreate, true);
    const holder = new Stander(mine, roster);
    await lost;
    holder.leave();
    await untilStanding(observer, roster, 0);
    const next = await new Stander(observer, roster).untilAdmitted(1_000);
    next.leave();
  });

  test('to a leave does not leave the entry', async () => {
    const mine = backends.connect(proxy.port);
    const observer = backends.connect(server.port);
    const roster = lockNamed('left');
    const holder = await new Stander(mine, roster).untilAdmitted();
    const lost = proxy.swallowNext('toClient', undefined, true);
    holder.leave();
    await lost;
    await untilStanding(observer, roster, 0);
  });

  test('to the goodbye is no failure', async () => {
    const mine = backends.connect(proxy.port);
    await new Stander(mine, lockNamed('bye')).untilAdmitted();
    // The answer to closing the session comes last, and the server closes the connection.
    const closing = mine.close();
    const lost = proxy.swallowNext('toClient', (chunk) => chunk.length >= 20, true);
    await Promise.all([closing, lost]);
    expect(backends.faults).toEqual([]);
  });
});

describe('the end of a session', () => {
  test('cut off, its holder is told before another is admitted', async () => {
    const mine = backends.connect(proxy.port, { ttlMs: 1_500 });
    const other = backends.connect(server.port, { ttlMs: 1_500 });
    const roster = lockNamed('told');
    const holder = await new Stander(mine, roster).untilAdmitted();
    const waiter = await new Stander(other, roster).until(({ places }) => places.length > 0);
    proxy.blackhole();
    let toldMs = Number.POSITIVE_INFINITY;
    const told = holder
      .until(({ error }) => error !== undefined)
      .then(() => {
        toldMs = performance.now();
      });
    await waiter.untilAdmitted();
    const admittedMs = performance.now();
    await told;
    expect(toldMs).toBeLessThan(admittedMs);
    expect(waiter.token).toBeGreaterThan(holder.token);
  });

  test('a server paused for less than the ttl loses nothing', async () => {
    const mine = backends.connect(server.port);
    const holder = await new Stander(mine, lockNamed('paused')).untilAdmitted();
    server.pause();
    await firstWithin(mine.session$, ({ state }) => state === 'suspended', 3_000, 'a renewal without an answer');
    server.resume();
    await firstWithin(mine.session$, ({ state }) => state === 'live', 3_000, 'recovery');
    expect(holder.isAdmitted && holder.places.at(-1)?.isValid()).toBe(true);
  });

  test('a server paused for longer than the ttl loses the place, and a new session opens', async () => {
    const mine = backends.connect(server.port, { ttlMs: 1_000 });
    const roster = lockNamed('paused long');
    const holder = await new Stander(mine, roster).untilAdmitted();
    server.pause();
    await holder.until(({ error }) => error !== undefined);
    server.resume();
    const again = await new Stander(mine, roster).untilAdmitted();
    expect(again.token).toBeGreaterThan(holder.token);
  });

  test('a restart of the server with its data loses nothing', async () => {
    const mine = backends.connect(server.port, { ttlMs: 10_000 });
    const roster = lockNamed('restarted');
    const holder = await new Stander(mine, roster).untilAdmitted();
    await server.kill();
    await server.start();
    await firstWithin(mine.session$, ({ state }) => state === 'live', 10_000, 'life');
    expect(holder.isAdmitted && holder.places.at(-1)?.isValid()).toBe(true);
    const [id] = await untilStanding(mine, roster, 1);
    expect(id).toBe(holder.places.at(-1)?.entry.id);
  });
});
