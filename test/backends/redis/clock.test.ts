import { setTimeout as delay } from 'node:timers/promises';
import { firstValueFrom } from 'rxjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend, Place } from '../../../src/backends/backend.js';
import { monotonicScheduler } from '../../../src/backends/kernel/clock.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy, type TcpProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { OwnClock } from '../../hazards/own-clock.js';
import { ShiftedClock } from '../../support/shifted-clock.js';
import {
  ask,
  client,
  enter,
  LOCK,
  promptly,
  type Stay,
  startReplicaOf,
  startUsedRedis,
  untilFollowed,
  waiting,
} from './support.js';

const ttlMs = 1_500;
const hourMs = 3_600_000;

let clock: ShiftedClock;
let server: TestServer;
beforeAll(async () => {
  clock = new ShiftedClock();
  server = await startUsedRedis({ env: clock.environment }, ttlMs);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  clock[Symbol.dispose]();
});

/** The clock of the server leaps again and again, until this is disposed of. */
function leaps(stepMs: number, everyMs: number): Disposable {
  const timer = setInterval(() => clock.leap(stepMs), everyMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Asks for something all the time: between two of its scripts a leap is all that passes. */
function busy(backend: Backend): AsyncDisposable {
  let isOver = false;
  const asking = (async () => {
    while (!isOver) {
      await firstValueFrom(backend.evict(LOCK, 'nobody'));
      await delay(5);
    }
  })();
  return {
    [Symbol.asyncDispose]: () => {
      isOver = true;
      return asking;
    },
  };
}

const forward = [
  ['a leap of an hour', hourMs, 400],
  ['leaps just below a third of the ttl', 0.3 * ttlMs, 60],
  ['leaps of a twentieth of the ttl', 0.05 * ttlMs, 20],
] as const;
const back = [
  ['a leap of an hour back', -hourMs, 400],
  ['leaps of a twentieth of the ttl back', -0.05 * ttlMs, 200],
] as const;

test('the shim shifts the clock of the server, and of nobody else', async () => {
  const seconds = async (): Promise<number> => Number((await ask(server, 'TIME')).split('\r\n')[2]);
  const before = await seconds();
  clock.leap(hourMs);
  expect((await seconds()) - before).toBeGreaterThan(3_590);
  expect((await seconds()) * 1_000 - Date.now()).toBeGreaterThan(clock.aheadMs - 10_000);
  clock.leap(-hourMs);
  expect(Math.abs((await seconds()) - before)).toBeLessThan(60);
});

test.each([...forward, ...back])('%s, again and again: who renews keeps its lock', async (_name, stepMs, everyMs) => {
  await using mine = client(server, { ttlMs });
  await using theirs = client(server, { ttlMs });
  const states: string[] = [];
  mine.backend.session$.subscribe(({ state }) => states.push(state));
  const holder = enter(mine.backend);
  const place = await holder.admitted();
  const next = enter(theirs.backend);
  await waiting(next);
  {
    await using _others = busy(theirs.backend);
    using _leaps = leaps(stepMs, everyMs);
    await delay(2 * ttlMs);
  }
  expect([place.isValid(), ...states.filter((state) => state === 'lost')]).toEqual([true]);
  holder.leave();
  const { entry } = await next.admitted(1_000);
  expect(entry.token).toBeGreaterThan(place.entry.token);
  next.leave();
});

/** Cuts a holder off while the clock leaps. Says how long after it was told of its loss the next one was admitted. */
async function follow(stepMs: number, everyMs: number): Promise<{ afterCutMs: number; afterLossMs: number }> {
  await using network = await startProxy({ host: server.host, port: server.port });
  await using mine = client(network, { ttlMs });
  await using theirs = client(server, { ttlMs });
  const holder = enter(mine.backend);
  await holder.admitted();
  const next = enter(theirs.backend);
  await waiting(next);
  await using _others = busy(theirs.backend);
  const lost = holder.lost(3 * ttlMs).then(() => performance.now());
  network.blackhole();
  const cutMs = performance.now();
  using _leaps = leaps(stepMs, everyMs);
  const admittedMs = await next.admitted(3 * ttlMs).then(() => performance.now());
  const lostMs = await lost;
  next.leave();
  network.resetAll();
  return { afterCutMs: admittedMs - cutMs, afterLossMs: admittedMs - lostMs };
}

test.each(forward)(
  '%s, again and again: who is cut off is told before the next is admitted',
  async (...[, ...leap]) => {
    const { afterCutMs, afterLossMs } = await follow(...leap);
    expect(afterLossMs).toBeGreaterThan(0);
    expect(afterCutMs).toBeLessThan(ttlMs + 1_000);
  },
);

test.each(back)('%s, again and again: the lock of who is gone is not prolonged', async (...[, ...leap]) => {
  const { afterCutMs, afterLossMs } = await follow(...leap);
  expect(afterLossMs).toBeGreaterThan(0);
  expect(afterCutMs).toBeLessThan(ttlMs + 1_000);
});

test('tokens grow over a clock that is set back', async () => {
  await using mine = client(server, { ttlMs });
  const tokens: bigint[] = [];
  for (const leapMs of [0, -hourMs, -hourMs, 2 * hourMs, -hourMs]) {
    clock.leap(leapMs);
    const stay = enter(mine.backend);
    tokens.push((await stay.admitted()).entry.token);
    stay.leave();
  }
  expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => Number(a - b)));
});

test('a client whose monotonic clock stood still does not hold up the time of the others, nor its own', async () => {
  const suspended = new OwnClock(monotonicScheduler);
  await using network = await startProxy({ host: server.host, port: server.port });
  await using mine = client(network, { ttlMs });
  await using theirs = client(server, { ttlMs, scheduler: suspended });
  const holder = enter(mine.backend);
  await holder.admitted();
  const next = enter(theirs.backend);
  await waiting(next);
  // Longer than its witness lasts; it is not told, or it would begin anew.
  suspended.aheadMs -= 60_000;
  network.blackhole();
  const cutMs = performance.now();
  const place: Place = await next.admitted(3 * ttlMs);
  expect(place.admitted).toBe(true);
  expect(performance.now() - cutMs).toBeLessThan(ttlMs + 1_000);
  next.leave();
  network.resetAll();
});

interface FailedOver {
  readonly holder: Stay;
  readonly place: Place;
  readonly next: Stay;
  /** Between the holder and the servers. */
  readonly network: TcpProxy;
  readonly backend: Backend;
}

describe.each([
  ['an hour ahead', hourMs],
  ['an hour behind', -hourMs],
])('after a fail-over to a replica whose clock is %s', (_, aheadMs) => {
  /** Has the replica take the place of a master that is killed, with a holder and one who waits. */
  async function failOver(
    before: (network: TcpProxy) => void,
    act: (each: FailedOver) => Promise<void>,
  ): Promise<void> {
    using ahead = new ShiftedClock();
    ahead.leap(aheadMs);
    await using master = await startUsedRedis({ args: promptly }, ttlMs);
    await using replica = await startReplicaOf(master, master, { env: ahead.environment });
    const route = { port: master.port };
    await using network = await startProxy(route);
    await using others = await startProxy(route);
    const options = { ttlMs, initialBackoffMs: 20, maxBackoffMs: 100 };
    await using mine = client(network, options);
    await using theirs = client(others, options);
    const holder = enter(mine.backend);
    const place = await holder.admitted();
    const next = enter(theirs.backend);
    await waiting(next);
    await untilFollowed(master);
    before(network);
    await master.kill();
    await ask(replica, 'REPLICAOF', 'NO', 'ONE');
    route.port = replica.port;
    for (const proxy of [network, others]) proxy.resetAll();
    await act({ holder, place, next, network, backend: mine.backend });
  }

  test('who holds something goes on, and the next one follows it with a larger token', () =>
    failOver(
      () => {},
      async ({ holder, place, next, backend }) => {
        await firstWithin(backend.session$, ({ state }) => state === 'live', ttlMs, 'the session at the replica');
        expect(place.isValid()).toBe(true);
        holder.leave();
        const { entry } = await next.admitted(3 * ttlMs);
        expect(entry.token).toBeGreaterThan(place.entry.token);
        next.leave();
      },
    ));

  test('who is cut off is followed when it has given up, not before and not much later', () =>
    failOver(
      (network) => network.blackhole(),
      async ({ holder, place, next }) => {
        const lost = holder.lost(ttlMs);
        const { entry } = await next.admitted(3 * ttlMs);
        expect(place.isValid()).toBe(false);
        await lost;
        expect(entry.token).toBeGreaterThan(place.entry.token);
        next.leave();
      },
    ));
});
