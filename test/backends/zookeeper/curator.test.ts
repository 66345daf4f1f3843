import { firstValueFrom } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Backend, Mode } from '../../../src/backends/backend.js';
import type { ZooKeeperOptions } from '../../../src/backends/zookeeper/index.js';
import { leader } from '../../../src/observables/elections/leader.js';
import { leadership } from '../../../src/observables/elections/leadership.js';
import { join } from '../../../src/observables/groups/join.js';
import { memberMap } from '../../../src/observables/groups/member-map.js';
import { until } from '../../../src/testing/processes/probes.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startZooKeeper } from '../../../src/testing/servers/zookeeper.js';
import { startCurator } from './curator-client.js';
import { figuresOf, type OtherClient, overlaps } from './other-client.js';
import { ourRounds, theirRounds } from './rounds.js';
import { Backends, lockNamed, Stander, untilStanding } from './support.js';

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

const asCurator = (options: ZooKeeperOptions = {}): Backend =>
  backends.connect(server.port, { layout: 'curator', ...options });

let made = 0;

/** One of Curator's, ready. */
async function another(recipe: string, path: string, ...more: readonly string[]): Promise<string> {
  made += 1;
  const who = `${recipe}-${made}`;
  expect(await curator.ask(who, [recipe, path, ...more].join(' '))).toBe('ready');
  return who;
}

const inLine = (backend: Backend, name: string, mode: Mode): Promise<Stander> =>
  new Stander(backend, lockNamed(name), { shared: mode === 'shared' }).until(({ places }) => places.length > 0);

describe('locks', () => {
  test.each(['mutex', 'write'])('%s of Curator waits for our lock, and we for it', async (recipe) => {
    const backend = asCurator();
    const name = `one-${recipe}`;
    const other = await another(recipe, `/conclave/locks/${name}`);
    const holder = await new Stander(backend, lockNamed(name)).untilAdmitted();
    expect(await curator.ask(other, 'try 0')).toBe('false');
    curator.say(other, 'acquire');
    await untilStanding(backend, lockNamed(name), 2);
    expect(curator.hasAnswered(other)).toBe(false);
    holder.leave();
    expect(await curator.next(other)).toBe('acquired');
    const waiter = await inLine(backend, name, 'exclusive');
    expect(waiter.isAdmitted).toBe(false);
    expect(await curator.ask(other, 'release')).toBe('released');
    await waiter.untilAdmitted();
  });

  test('our reader stands beside one of Curator, and holds back its writer and its mutex', async () => {
    const backend = asCurator();
    const path = '/conclave/locks/beside';
    const [reading, writing, mutex] = [
      await another('read', path),
      await another('write', path),
      await another('mutex', path),
    ];
    const reader = await new Stander(backend, lockNamed('beside'), { shared: true }).untilAdmitted();
    expect(await curator.ask(reading, 'try 0')).toBe('true');
    expect(await curator.ask(writing, 'try 0')).toBe('false');
    expect(await curator.ask(mutex, 'try 0')).toBe('false');
    curator.say(writing, 'acquire');
    await untilStanding(backend, lockNamed('beside'), 3);
    reader.leave();
    await untilStanding(backend, lockNamed('beside'), 2);
    expect(curator.hasAnswered(writing)).toBe(false);
    expect(await curator.ask(reading, 'release')).toBe('released');
    expect(await curator.next(writing)).toBe('acquired');
    expect(await curator.ask(writing, 'release')).toBe('released');
  });

  test('our writer waits for a reader of Curator, and holds a later one back', async () => {
    const backend = asCurator();
    const path = '/conclave/locks/behind';
    const [first, later] = [await another('read', path), await another('read', path)];
    expect(await curator.ask(first, 'acquire')).toBe('acquired');
    const writer = await inLine(backend, 'behind', 'exclusive');
    expect(await curator.ask(later, 'try 0')).toBe('false');
    curator.say(later, 'acquire');
    await untilStanding(backend, lockNamed('behind'), 3);
    const reader = await inLine(backend, 'behind', 'shared');
    expect([writer.isAdmitted, reader.isAdmitted, curator.hasAnswered(later)]).toEqual([false, false, false]);
    expect(await curator.ask(first, 'release')).toBe('released');
    await writer.untilAdmitted();
    expect([reader.isAdmitted, curator.hasAnswered(later)]).toEqual([false, false]);
    writer.leave();
    await reader.untilAdmitted();
    expect(await curator.next(later)).toBe('acquired');
    expect(await curator.ask(later, 'release')).toBe('released');
  });

  test.each([
    ['readers and writers', ['read', 'write', 'read', 'write']],
    ['mutexes', ['mutex', 'mutex']],
  ] as const)('%s, mixed with ours: nothing exclusive beside anything, and nobody starves', async (what, recipes) => {
    const rounds = 50;
    const backend = asCurator();
    const name = `mixed-${recipes[0]}`;
    const modeOf = (recipe: string): Mode => (recipe === 'read' ? 'shared' : 'exclusive');
    const theirs = await Promise.all(recipes.map((recipe) => another(recipe, `/conclave/locks/${name}`)));
    const ours: readonly Mode[] = ['shared', 'exclusive', 'shared', 'exclusive'];
    const held = await Promise.all([
      ...recipes.map((recipe, i) => theirRounds(curator, theirs[i] ?? '', { rounds, mode: modeOf(recipe) })),
      ...ours.map((mode) => ourRounds(backend, lockNamed(name), { rounds, mode })),
    ]);
    console.log(`Curator (${what}) and conclave, mixed: ${figuresOf(held.flat())}`);
    expect(overlaps(held.flat())).toEqual([]);
    expect(held.flat()).toHaveLength((recipes.length + ours.length) * rounds);
  });

  test('a lock that Curator breaks in any of its nodes is lost, and nothing of it stays', async () => {
    const backend = asCurator();
    for (const node of [0, 1]) {
      const holder = await new Stander(backend, lockNamed('broken')).untilAdmitted();
      await curator.ask('breaker', `delete /conclave/locks/broken ${node}`);
      await holder.until(({ error }) => error !== undefined);
      expect(String(holder.error)).toContain('evicted');
      const next = await new Stander(backend, lockNamed('broken')).untilAdmitted();
      next.leave();
      await untilStanding(backend, lockNamed('broken'), 0);
      expect(await curator.ask('breaker', 'children /conclave/locks/broken')).toBe('[]');
    }
  });

  test('what we break of Curator is gone, and what another breaks of ours is so with all its nodes', async () => {
    const backend = asCurator();
    const other = await another('mutex', '/conclave/locks/evicted');
    expect(await curator.ask(other, 'acquire')).toBe('acquired');
    const [theirs = ''] = await untilStanding(backend, lockNamed('evicted'), 1);
    expect(await firstValueFrom(backend.evict(lockNamed('evicted'), theirs))).toBe(true);
    const holder = await new Stander(backend, lockNamed('evicted')).untilAdmitted();
    const [ours = ''] = await untilStanding(backend, lockNamed('evicted'), 1);
    const by = asCurator();
    expect(await firstValueFrom(by.evict(lockNamed('evicted'), ours))).toBe(true);
    expect(await curator.ask('breaker', 'children /conclave/locks/evicted')).toBe('[]');
    await holder.until(({ error }) => error !== undefined);
    expect(await firstValueFrom(by.evict(lockNamed('evicted'), ours))).toBe(false);
  });

  test('where Curator has its locks, ours can be as well', async () => {
    const backend = asCurator({ folders: { locks: 'apps/java/mutexes' } });
    const other = await another('mutex', '/apps/java/mutexes/there');
    const holder = await new Stander(backend, lockNamed('there')).untilAdmitted();
    expect(await curator.ask(other, 'try 0')).toBe('false');
    holder.leave();
    expect(await curator.ask(other, 'acquire')).toBe('acquired');
    const waiter = await inLine(backend, 'there', 'exclusive');
    expect(waiter.isAdmitted).toBe(false);
    expect(await curator.ask(other, 'release')).toBe('released');
    await waiter.untilAdmitted();
  });
});

describe('elections', () => {
  test.each([
    ['latch', 'resign'],
    ['selector', 'step-down'],
  ])('a %s of Curator follows while we lead, and we while it leads', async (recipe, resign) => {
    const backend = asCurator();
    const election = `chief-${recipe}`;
    const isLeading = (leads: boolean): boolean => leads;
    const ours: boolean[] = [];
    const first = leadership(backend, election).subscribe((leads) => ours.push(leads));
    await firstWithin(leader(backend, election), ({ _tag }) => _tag === 'Some', 5_000, 'the leader');
    const other = await another(recipe, `/conclave/elections/${election}`);
    await untilStanding(backend, { kind: 'election', name: election }, 2);
    if (recipe === 'latch') {
      expect(await curator.ask(other, 'leader')).toBe('false ');
      curator.say(other, 'lead');
    }
    expect(curator.hasAnswered(other)).toBe(false);
    expect(ours.at(-1)).toBe(true);
    first.unsubscribe();
    expect(await curator.next(other)).toBe('leads');
    const led = firstWithin(leadership(backend, election), isLeading, 10_000, 'our turn');
    await untilStanding(backend, { kind: 'election', name: election }, 2);
    expect(await curator.ask(other, resign)).toBe('resigned');
    expect(await led).toBe(true);
  });
});

describe('members', () => {
  test('Curator sees ours by their ids, and we see its own, with what they show', async () => {
    const backend = asCurator();
    const path = '/conclave/groups/crew';
    const ours = join(backend, 'crew', { id: 'ours', capabilities: { cores: 4 }, create: true }).subscribe();
    await firstWithin(memberMap(backend, 'crew'), ({ size }) => size === 1, 5_000, 'our member');
    const [json, text] = [await another('join', path, '{"cores":8}'), await another('join', path, 'plain')];
    const three = await firstWithin(memberMap(backend, 'crew'), ({ size }) => size === 3, 5_000, 'all three');
    expect(three.get('ours')?.capabilities).toEqual({ cores: 4 });
    expect(three.get(json)?.capabilities).toEqual({ cores: 8 });
    expect(three.get(text)?.capabilities).toBe('plain');
    const seen = async (): Promise<string> => curator.ask(json, 'members');
    await until(async () => /ours=\{"id":"ours"/.test(await seen()), 5_000, 'our member, as Curator sees it');
    expect(await seen()).toContain(`${text}=plain`);
    expect(await curator.ask(text, 'part')).toBe('parted');
    await firstWithin(memberMap(backend, 'crew'), ({ size }) => size === 2, 5_000, 'two of them');
    ours.unsubscribe();
    await firstWithin(memberMap(backend, 'crew'), ({ size }) => size === 1, 5_000, 'one of them');
    expect(await curator.ask(json, 'part')).toBe('parted');
  });

  test('an id that one of Curator has is taken', async () => {
    const backend = asCurator();
    const other = await another('join', '/conclave/groups/taken', 'x');
    await firstWithin(memberMap(backend, 'taken'), ({ size }) => size === 1, 5_000, 'the member');
    await expect(firstValueFrom(join(backend, 'taken', { id: other }))).rejects.toMatchObject({
      name: 'MemberAlreadyExists',
    });
    await firstWithin(memberMap(backend, 'taken'), ({ size }) => size === 1, 5_000, 'the member alone');
    expect(await curator.ask(other, 'part')).toBe('parted');
  });
});
