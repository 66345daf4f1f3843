import { setTimeout as delay } from 'node:timers/promises';
import { isRight } from 'fp-ts/lib/Either.js';
import { firstValueFrom, lastValueFrom } from 'rxjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Backend } from '../../../src/backends/backend.js';
import { monotonicScheduler } from '../../../src/backends/kernel/clock.js';
import { members, tryLock } from '../../../src/index.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { OwnClock } from '../../hazards/own-clock.js';
import { ShiftedClock } from '../../support/shifted-clock.js';
import {
  ask,
  client,
  enter,
  entriesOnce,
  LOCK,
  openBare,
  stand,
  startUsedRedis,
  storeContext,
  useBefore,
  waiting,
} from './support.js';

const ttlMs = 1_500;

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

/** A process that starts, asks once, and goes. */
async function takes(namespace: string): Promise<boolean> {
  await using mine = client(server, { ttlMs, namespace });
  return isRight(await firstValueFrom(tryLock(mine.backend, LOCK.name)));
}

test('who comes once, well after the ttl of a holder that died, gets what it held though nobody has looked', async () => {
  const namespace = 'alone';
  await useBefore(server, namespace);
  const { session, cut } = await openBare({ host: server.host, port: server.port, namespace }, storeContext(ttlMs));
  await firstValueFrom(session.enter(LOCK, stand()));
  await firstValueFrom(session.enter({ kind: 'group', name: 'g' }, stand('shared', Number.POSITIVE_INFINITY)));
  // As its process dies: the kernel closes its connections, and nobody says goodbye.
  cut();
  expect(await takes(namespace)).toBe(false);
  await delay(2 * ttlMs);
  expect(await takes(namespace)).toBe(true);
  await using mine = client(server, { ttlMs, namespace });
  expect(await firstValueFrom(members(mine.backend, 'g'))).toEqual(new Set());
});

test('a leap of the clock does not give what is held to those who come once, while its holder is connected', async () => {
  const namespace = 'connected';
  await useBefore(server, namespace);
  await using mine = client(server, { ttlMs, namespace });
  const place = await enter(mine.backend).admitted();
  for (let each = 0; each < 5; each++) {
    clock.leap(60_000);
    expect([await takes(namespace), place.isValid()]).toEqual([false, true]);
    // For as long as it takes to renew.
    await delay(ttlMs / 4);
  }
});

test('requests that are on their way for longer than others do not slow the time of the shard', async () => {
  const namespace = 'jitter';
  await useBefore(server, namespace);
  await using network = await startProxy({ port: server.port });
  const options = { host: network.host, port: network.port, namespace };
  const { session, cut } = await openBare(options, storeContext(ttlMs, 600));
  const now = async (): Promise<number> => {
    await lastValueFrom(session.renew());
    return Number((await ask(server, 'HGET', `{${namespace}:0}:m`, 'v')).split('\r\n')[1]) / 1_000;
  };
  const [startedMs, startedAt] = [performance.now(), await now()];
  for (let round = 0; round < 10; round++) {
    network.delay({ toServerMs: 200 });
    await now();
    network.delay({});
    await now();
  }
  const rate = ((await now()) - startedAt) / (performance.now() - startedMs);
  expect(rate).toBeGreaterThan(0.95);
  expect(rate).toBeLessThan(1.05);
  await lastValueFrom(session.end(false));
  cut();
});

/** Asks for something all the time. */
function busy(backend: Backend): AsyncDisposable {
  let isOver = false;
  const asking = (async () => {
    while (!isOver) {
      await entriesOnce(backend);
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

test('a busy client whose clock lost time does not hold up what others wait for', async () => {
  const ttlMs = 3_000;
  const namespace = 'busy';
  await useBefore(server, namespace);
  await using network = await startProxy({ port: server.port });
  await using mine = client(network, { ttlMs, namespace });
  const lagging = new OwnClock(monotonicScheduler);
  await using theirs = client(server, { ttlMs, namespace, scheduler: lagging });
  await using third = client(server, { ttlMs, namespace });
  await enter(mine.backend).admitted();
  const next = enter(third.backend);
  await waiting(next);
  await entriesOnce(theirs.backend);
  await using _asking = busy(theirs.backend);
  network.blackhole();
  const cutMs = performance.now();
  lagging.aheadMs -= 0.32 * ttlMs;
  await next.admitted(3 * ttlMs);
  expect(performance.now() - cutMs).toBeLessThan(ttlMs + 250);
  next.leave();
  network.resetAll();
});

test('time that is claimed later does not shorten what was renewed meanwhile', async () => {
  const ttlMs = 3_000;
  const namespace = 'due';
  await useBefore(server, namespace);
  const options = { host: server.host, port: server.port, namespace };
  let lostMs = 0;
  const lagging = { ...storeContext(ttlMs), now: () => performance.now() - lostMs };
  const [one, two] = [await openBare(options, lagging), await openBare(options, storeContext(ttlMs))];
  const field = async (name: string): Promise<number> =>
    Number((await ask(server, 'HGET', `{${namespace}:0}:m`, name)).split('\r\n')[1]) / 1_000;
  await lastValueFrom(two.session.renew());
  lostMs = 600;
  await delay(500);
  const renewedMs = performance.now();
  await lastValueFrom(one.session.renew());
  const heldBack = await field('v');
  expect(await field('due')).toBeGreaterThan(300);
  await lastValueFrom(two.session.renew());
  const passedMs = performance.now() - renewedMs;
  expect((await field('v')) - heldBack).toBeGreaterThan(300);
  const ends = Number((await ask(server, 'ZSCORE', `{${namespace}:0}:s`, one.session.id)).split('\r\n')[1]) / 1_000;
  expect(ends - (await field('v'))).toBeGreaterThan(ttlMs - passedMs);
  for (const { session, cut } of [one, two]) {
    await lastValueFrom(session.end(false));
    cut();
  }
});
