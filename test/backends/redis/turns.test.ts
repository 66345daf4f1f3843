import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { ShiftedClock } from '../../support/shifted-clock.js';
import { Fleet, type Sailor } from './fleet.js';
import { startUsedRedis } from './support.js';

/** So long that what the machine needs is nothing beside it. */
const shortMs = 100_000;
const longMs = 100 * shortMs;
/** What a lease lasts longer, and a question that follows another comes later. */
const slackMs = 200;

let clock: ShiftedClock;
let server: TestServer;
beforeAll(async () => {
  clock = new ShiftedClock();
  server = await startUsedRedis({ env: clock.environment });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  clock[Symbol.dispose]();
});
/** For what waits for nothing but the machine. */
const limitMs = 60_000;

/** A holder, and others who wait. */
async function inLine(fleet: Fleet, holderMs: number, waiters: number, waiterMs: number): Promise<Sailor> {
  const holder = await fleet.join(holderMs);
  // In no order that repeats itself.
  for (let at = 0; at < waiters; at++) await fleet.join(waiterMs, { phase: (at * 0.618) % 1 });
  return holder;
}

test(
  'a member with a short ttl costs those who wait a few questions in its ttl, however many they are',
  async () => {
    await using fleet = await Fleet.start(server, clock, 'short');
    await inLine(fleet, 10 * shortMs, 40, 10 * shortMs);
    await fleet.join(shortMs, { enters: false });
    await fleet.sail(shortMs);
    const before = fleet.scripts;
    await fleet.sail(5 * shortMs);
    const { renewals, looks } = fleet.scripts;
    expect(renewals - before.renewals).toBeGreaterThan(41 * 2 + 25 - 10);
    // No fewer than keep the time of the shard going.
    expect(looks - before.looks).toBeGreaterThan(3 * 5);
    expect(looks - before.looks).toBeLessThanOrEqual(8 * 5);
  },
  limitMs,
);

test(
  'where all have the same ttl nobody asks between renewals',
  async () => {
    await using fleet = await Fleet.start(server, clock, 'same');
    await inLine(fleet, shortMs, 10, shortMs);
    await fleet.sail(3 * shortMs);
    expect(fleet.scripts.looks).toBe(0);
    expect(fleet.scripts.renewals).toBeGreaterThan(11 * 14);
  },
  limitMs,
);

/** Lets the lease of one who has died be removed. How late that was promised, and how much of the time did not count. */
async function removed(fleet: Fleet, dead: Sailor, withinMs: number): Promise<{ lateMs: number; lostMs: number }> {
  const endsMs = (await fleet.endsMs(dead)) ?? 0;
  const beforeMs = fleet.nowMs - fleet.atMs;
  await fleet.sail(withinMs, async () => (await fleet.endsMs(dead)) === undefined);
  if ((await fleet.endsMs(dead)) !== undefined) throw new Error('nobody has removed it');
  return { lateMs: fleet.promisedMs - endsMs, lostMs: fleet.nowMs - fleet.atMs - beforeMs };
}

/** When within a period of the promises something happens. */
const phases = [0, 0.1, 0.2];
/** Of what is counted in whole ms, and by whole scripts. */
const exactMs = 5;
/** The machine may stand still between a script and the look at the clock. */
const stillMs = 5_000;

test.each(phases)(
  'who promised to ask next dies together with the holder, at once (%d)',
  async (phase) => {
    for (const [dying, lostMs] of [
      [0, 0],
      [1, 0],
      [2, shortMs / 4],
      [3, shortMs / 3],
    ] as const) {
      await using fleet = await Fleet.start(server, clock, `at-once-${dying}-${phase}`);
      const holder = await inLine(fleet, shortMs, 6, longMs);
      await fleet.sail((1 + phase) * shortMs);
      for (const sailor of [holder, ...(await fleet.promised()).slice(0, dying)]) sailor.isDead = true;
      const late = await removed(fleet, holder, 2 * shortMs);
      expect(late.lateMs, `${dying} have died`).toBeLessThanOrEqual(exactMs);
      expect(late.lostMs, `${dying} have died`).toBeLessThanOrEqual(lostMs + stillMs);
    }
  },
  limitMs,
);

test.each(phases)(
  'who promised to ask when the lease of a dead holder ends dies just before (%d)',
  async (phase) => {
    for (const [dying, lateMs] of [
      [0, 0],
      [1, slackMs],
      [2, 2 * slackMs],
      [3, 3 * slackMs],
    ] as const) {
      await using fleet = await Fleet.start(server, clock, `before-${dying}-${phase}`);
      const holder = await inLine(fleet, shortMs, 6, longMs);
      await fleet.sail((1 + phase) * shortMs);
      holder.isDead = true;
      const ends = (await fleet.endsMs(holder)) ?? 0;
      // Until the next of the promises is for the end.
      await fleet.sail(
        2 * shortMs,
        async () => Math.abs(((await fleet.promised())[0]?.asksAtMs ?? 0) - ends) < exactMs,
      );
      for (const sailor of (await fleet.promised()).slice(0, dying)) sailor.isDead = true;
      const late = await removed(fleet, holder, 2 * shortMs);
      expect(late.lateMs, `${dying} have died`).toBeLessThanOrEqual(lateMs + exactMs);
    }
  },
  limitMs,
);

test(
  'all who promised to ask die together with the holder: whoever renews next takes over',
  async () => {
    await using fleet = await Fleet.start(server, clock, 'all');
    const holder = await inLine(fleet, shortMs, 6, longMs);
    await fleet.sail(2 * shortMs);
    const promised = await fleet.promised();
    expect(promised).toHaveLength(4);
    for (const sailor of [holder, ...promised]) sailor.isDead = true;
    const { lateMs } = await removed(fleet, holder, longMs / 5 + 2 * shortMs);
    expect(lateMs).toBeLessThanOrEqual(exactMs);
  },
  limitMs,
);

test(
  'where all have the same ttl, too, the first of those who wait and live notices the end',
  async () => {
    await using fleet = await Fleet.start(server, clock, 'same-dead');
    const holder = await inLine(fleet, shortMs, 4, shortMs);
    await fleet.sail(2 * shortMs);
    holder.isDead = true;
    await fleet.sail(0.9 * shortMs);
    for (const sailor of (await fleet.promised()).slice(0, 2)) sailor.isDead = true;
    const { lateMs } = await removed(fleet, holder, shortMs);
    expect(lateMs).toBeLessThanOrEqual(2 * slackMs + exactMs);
  },
  limitMs,
);

test(
  'promises for times that are past, or that nobody waits for, keep nobody from asking in time',
  async () => {
    await using fleet = await Fleet.start(server, clock, 'spoilt-turns');
    const holder = await inLine(fleet, shortMs, 3, longMs);
    const [waiter] = (await fleet.promised()).slice(-1);
    if (waiter === undefined) throw new Error('nobody has promised to ask');
    const far = `${fleet.atMs * 1_000 + 50 * shortMs * 1_000}`;
    for (const turns of [
      '',
      ' ',
      ':',
      'x:1 y:2 z:3',
      `x:${far} y:${far} z:${far}`,
      `x:${'9'.repeat(400)} y:1e9 z:nan`,
      `${'x'.repeat(10_000)}:1`,
      'x:-5 {}[]%s%d %:%',
      `${waiter.id}:${fleet.atMs * 1_000 + 1_000}`,
    ]) {
      await fleet.spoil(turns);
      // Its own renewal is long after that.
      await fleet.ask(waiter);
      expect(waiter.asksAtMs - fleet.atMs, JSON.stringify(turns)).toBeLessThanOrEqual(shortMs / 4 + 1);
      expect((await fleet.promised())[0], JSON.stringify(turns)).toBe(waiter);
    }
    holder.isDead = true;
    expect((await removed(fleet, holder, 2 * shortMs)).lateMs).toBeLessThanOrEqual(exactMs);
  },
  limitMs,
);

test(
  'who comes with a shorter ttl is asked after by whoever asks next',
  async () => {
    await using fleet = await Fleet.start(server, clock, 'shorter');
    await inLine(fleet, longMs, 4, longMs);
    await fleet.sail(longMs);
    const [next] = await fleet.promised();
    const shorter = await fleet.join(shortMs);
    if (next === undefined) throw new Error('nobody has promised to ask');
    shorter.isDead = true;
    await fleet.ask(next);
    expect(next.asksAtMs - fleet.atMs).toBeLessThanOrEqual(shortMs / 3 + 1);
    expect((await removed(fleet, shorter, 2 * shortMs)).lateMs).toBeLessThanOrEqual(exactMs);
  },
  limitMs,
);
