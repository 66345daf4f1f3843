import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, inject, it } from 'vitest';
import { type ClientProcess, spawnClient } from '../../src/testing/processes/client-process.js';
import type { FromSharing, Sharing } from './sharing-process.js';

const TTL_MS = 2_000;
const URLS = { redis: inject('redisUrl'), etcd: inject('etcdUrl'), zookeeper: inject('zookeeperUrl') } as const;
/** For how long readers and writers are mixed; a minute before a release. */
const MIXED_MS = Number(process.env['CONCLAVE_TEST_MIXED_MS'] ?? 3_000);
/** How often the locks are taken in opposite orders, by each; 500 before a release. */
const ORDERED_ROUNDS = Number(process.env['CONCLAVE_TEST_ORDERED_ROUNDS'] ?? 30);

type Client = ClientProcess<Record<string, never>, FromSharing>;
type Told = Exclude<FromSharing, { what: 'done' }> & { readonly client: number };

/** Processes of one namespace, and all that they tell. */
async function play(
  count: number,
  settings: Pick<Sharing, 'url' | 'takes' | 'rounds'>,
  act: (clients: readonly Client[], told: readonly Told[]) => Promise<void>,
): Promise<readonly Told[]> {
  const namespace = `sharing-${randomUUID()}`;
  const told: Told[] = [];
  const spawned = await Promise.allSettled(
    Array.from({ length: count }, async (_, number) => {
      const sharing: Sharing = { namespace, ttlMs: TTL_MS, number: number + 1, ...settings };
      const module = new URL('./sharing-process.ts', import.meta.url);
      const client: Client = await spawnClient(module, [JSON.stringify(sharing)]);
      client.messages$.subscribe((message) => {
        if (message.what !== 'done') told.push({ ...message, client: number });
      });
      return client;
    }),
  );
  const clients = spawned.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  try {
    for (const one of spawned) if (one.status === 'rejected') throw one.reason;
    await act(clients, told);
    return told;
  } finally {
    await Promise.all(clients.map((client) => client.kill()));
  }
}

/** From `holds` to `lets go` or `lost` of each; a process that was killed held until its death. */
interface Hold {
  readonly client: number;
  readonly how: Told['how'];
  readonly fromNs: bigint;
  readonly untilNs: bigint;
  readonly waitedNs: bigint;
}

function holdsOf(told: readonly Told[], diedNs: ReadonlyMap<number, bigint> = new Map()): readonly Hold[] {
  const holds: Hold[] = [];
  const open = new Map<number, { askedNs: bigint; heldNs?: bigint; how: Told['how'] }>();
  const close = (client: number, untilNs: bigint): void => {
    const own = open.get(client);
    open.delete(client);
    if (own?.heldNs === undefined) return;
    holds.push({ client, how: own.how, fromNs: own.heldNs, untilNs, waitedNs: own.heldNs - own.askedNs });
  };
  for (const { what, how, atNs, client } of told) {
    if (what === 'asks') open.set(client, { askedNs: atNs, how });
    else if (what === 'holds') open.set(client, { ...(open.get(client) ?? { askedNs: atNs, how }), heldNs: atNs });
    else close(client, atNs);
  }
  for (const [client, atNs] of diedNs) close(client, atNs);
  return holds;
}

/** How many held at once, at most, and whether anybody held beside one who held alone. */
function together(holds: readonly Hold[]): { readonly most: number; readonly besideAlone: number } {
  const moments = holds
    .flatMap((hold) => [
      { atNs: hold.fromNs, change: 1, alone: hold.how === 'alone' ? 1 : 0 },
      { atNs: hold.untilNs, change: -1, alone: hold.how === 'alone' ? -1 : 0 },
    ])
    .sort((a, b) => (a.atNs === b.atNs ? a.change - b.change : a.atNs < b.atNs ? -1 : 1));
  let [now, alone, most, besideAlone] = [0, 0, 0, 0];
  for (const { change, alone: other } of moments) {
    now += change;
    alone += other;
    most = Math.max(most, now);
    if (alone > 0 && now > 1) besideAlone += 1;
  }
  return { most, besideAlone };
}

const writersIn = (holds: readonly Hold[]): readonly Hold[] => holds.filter(({ how }) => how === 'alone');
const ms = (ns: bigint): string => (Number(ns) / 1e6).toFixed(1);
const longest = (all: readonly bigint[]): bigint => all.reduce((a, b) => (a > b ? a : b), 0n);

describe.each(Object.entries(URLS))('several hold, in processes, on %s', (store, url) => {
  it('OverAdmission: six on a semaphore of three, two of them killed', { timeout: 120_000 }, async () => {
    const diedNs = new Map<number, bigint>();
    const resumed: bigint[] = [];
    const told = await play(6, { url, takes: 'permit' }, async (clients, soFar) => {
      const since = (atNs: bigint): number =>
        new Set(soFar.filter(({ what, atNs: then }) => what === 'holds' && then > atNs).map(({ client }) => client))
          .size;
      const until = async (isTrue: () => boolean): Promise<void> => {
        while (!isTrue()) await delay(5);
      };
      await until(() => since(0n) === 6);
      for (const victim of [0, 1]) {
        // Killed while it holds: its permit comes free with its session only.
        await until(() => soFar.findLast(({ client }) => client === victim)?.what === 'holds');
        await clients[victim]?.kill();
        diedNs.set(victim, process.hrtime.bigint());
      }
      const lastNs = longest([...diedNs.values()]);
      // Three at once again: the permits of both are given to others.
      const others = (): readonly Hold[] =>
        holdsOf(soFar).filter(({ client, fromNs }) => client > 1 && fromNs > lastNs);
      await until(() => together(others()).most === 3);
      resumed.push(process.hrtime.bigint() - lastNs);
    });
    const { most } = together(holdsOf(told, diedNs));
    console.log(`${store}: ${most} in at once at most, three again ${ms(resumed[0] ?? 0n)} ms after the second death`);
    expect(most).toBe(3);
    expect(Number(resumed[0]) / 1e6).toBeLessThan(TTL_MS + 1_000);
  });

  it('Starvation: readers and writers mixed at random, while processes are paused: nobody beside a writer', {
    timeout: MIXED_MS + 180_000,
  }, async () => {
    const told = await play(8, { url, takes: 'read or write' }, async (clients, soFar) => {
      const endsMs = performance.now() + MIXED_MS;
      const haveWritten = (): number => new Set(writersIn(holdsOf(soFar)).map(({ client }) => client)).size;
      for (let victim = 0; performance.now() < endsMs || haveWritten() < clients.length; victim++) {
        await delay(700);
        const client = clients[victim % clients.length];
        await client?.pause();
        await delay(300);
        client?.resume();
      }
    });
    const holds = holdsOf(told);
    const { most, besideAlone } = together(holds);
    const writers = writersIn(holds);
    const waited = longest(writers.map(({ waitedNs }) => waitedNs));
    console.log(
      `${store}: ${holds.length} holds, ${writers.length} of writers, ${most} readers at once at most, ` +
        `a writer waited for ${ms(waited)} ms at most, ${besideAlone} beside a writer`,
    );
    expect(besideAlone).toBe(0);
    expect(most).toBeGreaterThan(1);
  });

  it('Deadlock: two take the same three locks in opposite orders', { timeout: 300_000 }, async () => {
    const told = await play(2, { url, takes: 'opposite locks', rounds: ORDERED_ROUNDS }, async (clients) => {
      await Promise.all(clients.map((client) => client.untilMessage(({ what }) => what === 'done', 240_000)));
    });
    const holds = holdsOf(told);
    const { most } = together(holds);
    console.log(`${store}: the three locks were held ${holds.length} times, ${most} at once at most`);
    expect([holds.length, most]).toEqual([2 * ORDERED_ROUNDS, 1]);
  });
});
