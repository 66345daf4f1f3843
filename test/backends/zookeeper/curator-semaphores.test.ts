import { firstValueFrom, lastValueFrom, type Observable, ReplaySubject, repeat, Subject } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Backend, Entry, Place } from '../../../src/backends/backend.js';
import { PermitsMismatch } from '../../../src/backends/errors.js';
import type { Grant } from '../../../src/observables/holding/grant.js';
import { breakLock } from '../../../src/observables/locks/break-lock.js';
import { holders } from '../../../src/observables/locks/holders.js';
import { semaphore, trySemaphore } from '../../../src/observables/locks/semaphore.js';
import { spawnClient } from '../../../src/testing/processes/client-process.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { startZooKeeper } from '../../../src/testing/servers/zookeeper.js';
import { startCurator } from './curator-client.js';
import { figuresOf, mostAtOnce, type OtherClient } from './other-client.js';
import type { PermitsCalls } from './permits-process.js';
import { ourRounds, theirRounds } from './rounds.js';
import { Backends, bytes, lockNamed, Stander, untilStanding } from './support.js';

/** Curator's `InterProcessSemaphoreV2` and ours at one path. */

let server: TestServer;
let curator: OtherClient;
let backends: Backends;

beforeAll(async () => {
  server = await startZooKeeper();
  curator = await startCurator(server);
});
afterAll(async () => {
  await curator[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});
beforeEach(() => {
  backends = new Backends();
});
afterEach(() => backends[Symbol.asyncDispose]());

const asCurator = (): Backend => backends.connect(server.port, { layout: 'curator' });
const pathOf = (name: string): string => `/conclave/locks/${name}`;

let made = 0;

/** One of Curator's, ready. */
async function another(name: string, permits: number, among = curator): Promise<string> {
  made += 1;
  const who = `semaphore-${made}`;
  expect(await among.ask(who, `semaphore ${pathOf(name)} ${permits}`)).toBe('ready');
  return who;
}

const asking = (backend: Backend, name: string, permits: number): Promise<Stander> =>
  new Stander(backend, lockNamed(name), { permits }).until(({ places }) => places.length > 0);

/** Held until the backend is closed. */
function held(grant$: Observable<Grant>): Promise<Grant> {
  const told = new ReplaySubject<Grant>(1);
  grant$.subscribe(told);
  return firstWithin(told, () => true, 5_000, 'a permit');
}

const nodesIn = async (folder: 'locks' | 'leases', name: string): Promise<string[]> => {
  const listed = await curator.ask('looker', `children ${pathOf(name)}/${folder}`);
  return listed
    .slice(1, -1)
    .split(', ')
    .filter((node) => node !== '');
};

test('Curator waits for our permits, and we for one of its', async () => {
  const backend = asCurator();
  const other = await another('both', 2);
  const [first, second] = [await asking(backend, 'both', 2), await asking(backend, 'both', 2)];
  expect([first.isAdmitted, second.isAdmitted]).toEqual([true, true]);
  expect(await curator.ask(other, 'try 0')).toBe('false');
  curator.say(other, 'acquire');
  await untilStanding(backend, lockNamed('both'), 3);
  expect(curator.hasAnswered(other)).toBe(false);
  first.leave();
  expect(await curator.next(other)).toBe('acquired');
  const third = await asking(backend, 'both', 2);
  expect(third.isAdmitted).toBe(false);
  expect(await curator.ask(other, 'release')).toBe('released');
  await third.untilAdmitted();
});

test('who waits behind Curator is admitted after it, and the other way round: first come, first served', async () => {
  const backend = asCurator();
  const [one, two] = [await another('line', 2), await another('line', 2)];
  const holders = [await asking(backend, 'line', 2), await asking(backend, 'line', 2)];
  curator.say(one, 'acquire');
  await untilStanding(backend, lockNamed('line'), 3);
  const ours = await asking(backend, 'line', 2);
  curator.say(two, 'acquire');
  await untilStanding(backend, lockNamed('line'), 5);
  holders[0]?.leave();
  expect(await curator.next(one)).toBe('acquired');
  expect([ours.isAdmitted, curator.hasAnswered(two)]).toEqual([false, false]);
  holders[1]?.leave();
  await ours.untilAdmitted();
  await untilStanding(backend, lockNamed('line'), 3);
  expect(curator.hasAnswered(two)).toBe(false);
  expect(await curator.ask(one, 'release')).toBe('released');
  expect(await curator.next(two)).toBe('acquired');
  expect(await curator.ask(two, 'release')).toBe('released');
});

test('two of Curator that came before us have two permits, though they took them after we came', async () => {
  const backend = asCurator();
  const others = [await another('older', 2), await another('older', 2)];
  const first = [await asking(backend, 'older', 2), await asking(backend, 'older', 2)];
  for (const [i, other] of others.entries()) {
    curator.say(other, 'acquire');
    await untilStanding(backend, lockNamed('older'), 3 + i);
  }
  const ours = await asking(backend, 'older', 2);
  for (const [i, other] of others.entries()) {
    first[i]?.leave();
    expect(await curator.next(other)).toBe('acquired');
  }
  // Behind all that it is told by then.
  await untilStanding(backend, lockNamed('older'), 3);
  const later = await asking(backend, 'older', 2);
  expect([ours.isAdmitted, later.isAdmitted]).toEqual([false, false]);
  const [shown, line] = [
    await firstValueFrom(holders(backend, 'older')),
    await lastValueFrom(backend.look(lockNamed('older'))),
  ];
  expect(shown.map(({ id }) => id)).toEqual(line.slice(0, 2).map(({ id }) => id));
  expect(line.slice(2).map(({ id }) => id)).toEqual([ours, later].map(({ places: [place] }) => place?.entry.id));
  expect(await curator.ask(others[1] ?? '', 'release')).toBe('released');
  await ours.untilAdmitted();
  expect(await curator.ask(others[0] ?? '', 'release')).toBe('released');
  await later.untilAdmitted();
});

test('processes of both kinds: never more at once than there are permits, and nobody starves', async () => {
  const [rounds, permits, holdMs] = [30, 2, 10];
  const how = { rounds, permits, holdMs };
  const name = 'mixed';
  await using second = await startCurator(server);
  const module = new URL('./permits-process.ts', import.meta.url);
  await using one = await spawnClient<PermitsCalls>(module, [String(server.port)]);
  await using two = await spawnClient<PermitsCalls>(module, [String(server.port)]);
  const backend = asCurator();
  await Promise.all([one.request('connected'), two.request('connected')]);
  const theirs = async (among: OtherClient) =>
    theirRounds(among, await another(name, permits, among), { rounds, holdMs, mode: 'exclusive' });
  const all = (
    await Promise.all([
      theirs(curator),
      theirs(curator),
      theirs(second),
      theirs(second),
      one.request('rounds', name, how),
      one.request('rounds', name, how),
      two.request('rounds', name, how),
      ourRounds(backend, lockNamed(name), { ...how, mode: 'exclusive' }),
    ])
  ).flat();
  console.log(`Curator and conclave, semaphore of ${permits}: ${figuresOf(all)}, at most ${mostAtOnce(all)} at once`);
  expect(all).toHaveLength(8 * rounds);
  expect(mostAtOnce(all)).toBe(permits);
});

test('the permit of a Curator that was killed comes free, also if it was killed while it waited', async () => {
  const backend = asCurator();
  await using mortal = await startCurator(server);
  const [holder, waiter] = [await another('killed', 2, mortal), await another('killed', 2, mortal)];
  expect(await mortal.ask(holder, 'acquire')).toBe('acquired');
  const first = await asking(backend, 'killed', 2);
  expect(first.isAdmitted).toBe(true);
  mortal.say(waiter, 'acquire');
  await untilStanding(backend, lockNamed('killed'), 3);
  const second = await asking(backend, 'killed', 2);
  expect(second.isAdmitted).toBe(false);
  await mortal.kill();
  await second.untilAdmitted(10_000);
  expect(first.isAdmitted).toBe(true);
  expect(await nodesIn('leases', 'killed')).toHaveLength(2);
});

test('the permit of a process of ours that was killed comes free', async () => {
  const ours = await spawnClient<PermitsCalls>(new URL('./permits-process.ts', import.meta.url), [String(server.port)]);
  await ours.request('hold', 'mourned', 2);
  await ours.request('hold', 'mourned', 2);
  const other = await another('mourned', 2);
  curator.say(other, 'acquire');
  await untilStanding(asCurator(), lockNamed('mourned'), 3);
  expect(curator.hasAnswered(other)).toBe(false);
  await ours.kill();
  expect(await curator.next(other)).toBe('acquired');
  expect(await curator.ask(other, 'release')).toBe('released');
});

test('another number of permits is told among ours, also beside Curator, which tells none', async () => {
  const backend = asCurator();
  const other = await another('numbers', 3);
  expect(await curator.ask(other, 'acquire')).toBe('acquired');
  await held(semaphore(backend, 'numbers', 3));
  const refused = firstValueFrom(semaphore(asCurator(), 'numbers', 4));
  await expect(refused).rejects.toBeInstanceOf(PermitsMismatch);
  await expect(refused).rejects.toMatchObject({ permits: 4, otherPermits: 3 });
  await untilStanding(backend, lockNamed('numbers'), 2);
  expect((await held(semaphore(asCurator(), 'numbers', 3))).isValid()).toBe(true);
  expect(await firstValueFrom(trySemaphore(asCurator(), 'numbers', 3))).toMatchObject({ _tag: 'Left' });
  expect(await curator.ask(other, 'release')).toBe('released');
});

test('holders shows those of both who hold, and not those who wait, though Curator makes a node for these as well', async () => {
  const backend = asCurator();
  const [holding, waiting] = [await another('shown', 2), await another('shown', 2)];
  expect(await curator.ask(holding, 'acquire')).toBe('acquired');
  const ours = await held(semaphore(backend, 'shown', 2, { data: 'ours' }));
  curator.say(waiting, 'acquire');
  await expect.poll(() => nodesIn('leases', 'shown'), { interval: 10 }).toHaveLength(3);
  await new Stander(backend, lockNamed('shown'), { permits: 2 }).until(({ places }) => places.length > 0);
  const shown = await firstValueFrom(holders(backend, 'shown'));
  expect(shown).toHaveLength(2);
  expect(shown).toContainEqual(expect.objectContaining({ id: ours.id, token: ours.token }));
  expect(await untilStanding(backend, lockNamed('shown'), 4)).toHaveLength(4);
  expect(await firstValueFrom(breakLock(backend, 'shown'))).toBe(true);
  expect(ours.isValid()).toBe(true);
  await firstWithin(
    holders(backend, 'shown'),
    (line) => line.length > 0 && line.every(({ id }) => id !== ours.id),
    5_000,
    'other holders',
  );
  expect(await curator.next(waiting)).toBe('acquired');
  expect(await curator.ask(waiting, 'release')).toBe('released');
});

test('a permit that Curator breaks is lost, and one of its own that we break is free', async () => {
  const backend = asCurator();
  const ours = await asking(backend, 'broken', 2);
  const other = await another('broken', 2);
  expect(await curator.ask('breaker', `delete ${pathOf('broken')}/leases 0`)).toBe('deleted');
  await ours.until(({ error }) => error !== undefined);
  expect(String(ours.error)).toContain('evicted');
  expect(await curator.ask(other, 'acquire')).toBe('acquired');
  const [theirs = ''] = await untilStanding(backend, lockNamed('broken'), 1);
  const [first, second] = [await asking(backend, 'broken', 2), await asking(backend, 'broken', 2)];
  expect([first.isAdmitted, second.isAdmitted]).toEqual([true, false]);
  expect(await lastValueFrom(backend.evict(lockNamed('broken'), theirs))).toBe(true);
  await second.untilAdmitted();
  expect(await lastValueFrom(backend.evict(lockNamed('broken'), theirs))).toBe(false);
});

test('who is taken out is told, with a permit or without, and whether it was there when it left', async () => {
  const [backend, by] = [asCurator(), asCurator()];
  const roster = lockNamed('taken out');
  const standers: Stander[] = [];
  for (let i = 0; i < 4; i++) standers.push(await asking(backend, 'taken out', 2));
  const places = standers.map(({ places: [place] }) => place);
  for (const at of [0, 2]) {
    expect(await lastValueFrom(by.evict(roster, places[at]?.entry.id ?? ''))).toBe(true);
    await standers[at]?.until(({ error }) => error !== undefined);
    expect(await lastValueFrom(by.evict(roster, places[at]?.entry.id ?? ''))).toBe(false);
  }
  const last = await standers[3]?.untilAdmitted();
  const leave = last?.places.at(-1)?.leave();
  expect(leave && (await lastValueFrom(leave))).toBe(true);
  expect(await untilStanding(by, roster, 1)).toEqual([places[1]?.entry.id]);
});

test('who asks for more permits, and is let in before another one, does not keep that one out', async () => {
  const backend = asCurator();
  const [first, second] = [await asking(backend, 'overtaken', 2), await asking(backend, 'overtaken', 2)];
  const waiting = await asking(backend, 'overtaken', 2);
  const more = await asking(backend, 'overtaken', 5);
  expect([second.isAdmitted, waiting.isAdmitted, more.isAdmitted]).toEqual([true, false, true]);
  first.leave();
  await waiting.untilAdmitted();
});

test('tokens grow in the order of admission, with Curator in between', async () => {
  const backend = asCurator();
  const other = await another('tokens', 2);
  const tokens: bigint[] = [];
  let last = await asking(backend, 'tokens', 2);
  for (let round = 0; round < 5; round++) {
    tokens.push((await last.untilAdmitted()).token);
    expect(await curator.ask(other, 'acquire')).toBe('acquired');
    const next = await asking(backend, 'tokens', 2);
    expect(next.isAdmitted).toBe(false);
    last.leave();
    await next.untilAdmitted();
    expect(await curator.ask(other, 'release')).toBe('released');
    last = next;
  }
  expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => (a < b ? -1 : 1)));
});

test.each(['before', 'after'])(
  'what one shows of itself, changed a moment %s it takes its permit, is shown',
  async (when) => {
    await using proxy = await startProxy({ port: server.port });
    const [mine, watcher] = [backends.connect(proxy.port, { layout: 'curator' }), asCurator()];
    const roster = lockNamed(`showing-${when}`);
    const blockers = [await asking(watcher, roster.name, 2), await asking(watcher, roster.name, 2)];
    const payload$ = new Subject<Uint8Array>();
    const stored = new Subject<Uint8Array>();
    const place$ = new ReplaySubject<Place>(1);
    const request = { mode: 'exclusive', permits: 2, payload: bytes('early'), payload$ } as const;
    const standing = mine.enter(roster, { ...request, stored: (payload) => stored.next(payload) }).subscribe(place$);
    // Others may see it before it has its answer, and payloads are followed from then on.
    await firstWithin(place$, ({ admitted }) => !admitted, 5_000, 'the place in the line');
    await untilStanding(watcher, roster, 3);
    const [own] = await nodesIn('locks', roster.name);
    // The list after which it takes one, or the request that takes it.
    const sent = when === 'before' ? /leases(?!\/)/ : new RegExp(`${own}-lease-`);
    const late = firstWithin(stored, () => true, 5_000, 'the late payload is stored');
    const stop = proxy.onData((direction, chunk) => {
      if (direction !== 'toServer' || !sent.test(chunk.toString('latin1'))) return;
      stop();
      payload$.next(bytes('late'));
    });
    blockers[0]?.leave();
    await firstWithin(place$, ({ admitted }) => admitted, 5_000, 'the permit');
    await late;
    expect((await lastValueFrom(watcher.look(roster))).at(-1)?.payload).toEqual(bytes('late'));
    payload$.next(bytes('last'));
    await firstWithin(stored, () => true, 5_000, 'the last payload is stored');
    expect((await lastValueFrom(watcher.look(roster))).at(-1)?.payload).toEqual(bytes('last'));
    standing.unsubscribe();
    await mine.close();
  },
);

test('while permits go from hand to hand, nobody who holds or waits is missing from what others see', async () => {
  const [backend, watcher, looker] = [asCurator(), asCurator(), asCurator()];
  const roster = lockNamed('seen');
  const standers: Stander[] = [];
  for (let i = 0; i < 30; i++) standers.push(await asking(backend, 'seen', 3));
  const stay = new Map(standers.map((stander) => [stander.places[0]?.entry.id, stander]));
  await untilStanding(watcher, roster, standers.length);
  const missing: unknown[] = [];
  const check = (how: string) => (line: readonly Entry[]) => {
    const ids = new Set(line.map(({ id }) => id));
    for (const id of stay.keys()) if (id !== undefined && !ids.has(id)) missing.push([how, id]);
  };
  const following = watcher.entries(roster).subscribe(check('followed'));
  const looking = looker.look(roster).pipe(repeat()).subscribe(check('looked'));
  for (const stander of standers.slice(0, -1)) {
    await stander.untilAdmitted();
    stay.delete(stander.places[0]?.entry.id);
    stander.leave();
  }
  await standers.at(-1)?.untilAdmitted();
  following.unsubscribe();
  looking.unsubscribe();
  expect(missing).toEqual([]);
});

test('a lock that was registered ends though a semaphore was there, but not while one stands there', async () => {
  const backend = asCurator();
  const roster = lockNamed('registered');
  expect(await lastValueFrom(backend.register(roster))).toBe(true);
  const holder = await asking(backend, 'registered', 2);
  expect(await lastValueFrom(backend.unregister(roster))).toBe('occupied');
  holder.leave();
  await untilStanding(backend, roster, 0);
  expect(await lastValueFrom(backend.unregister(roster))).toBe('removed');
});

test('nothing is left of a semaphore when the last backend that used it is closed', async () => {
  const backend = asCurator();
  const three = [1, 2, 3].map(() => new Stander(backend, lockNamed('left over'), { permits: 2 }));
  await Promise.all(three.map((stander) => stander.until(({ places }) => places.length > 0)));
  await backend.close();
  expect(await curator.ask('looker', 'children /conclave/locks')).not.toContain('left over');
});
