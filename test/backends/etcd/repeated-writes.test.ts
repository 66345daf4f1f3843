import { BehaviorSubject, firstValueFrom, lastValueFrom, type Observable, timeout } from 'rxjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backend, Session } from '../../../src/backends/backend.js';
import type { StoreSession } from '../../../src/backends/store.js';
import { until } from '../../../src/testing/processes/probes.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { startEtcd } from '../../../src/testing/servers/etcd.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { Backends, etcdctl, exclusive, LossyClient, lock, newId, openSession, Stay, standRequest } from './support.js';

let server: TestServer;
let names = 0;

beforeAll(async () => {
  server = await startEtcd();
});
afterAll(() => server[Symbol.asyncDispose]());

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const text = async (name: string, { port }: TestServer = server): Promise<string> =>
  etcdctl(port, 'get', '--print-value-only', `conclave/cells/${name}`);
const keysBelow = async (prefix: string, { port }: TestServer = server): Promise<readonly string[]> =>
  (await etcdctl(port, 'get', '--prefix', '--keys-only', prefix)).split('\n').filter((key) => key !== '');
const isSuspended = ({ state }: Session): boolean => state === 'suspended';
const fresh = (what: string): string => `${what}-${++names}`;

interface Two extends AsyncDisposable {
  readonly lossy: LossyClient;
  readonly mine: StoreSession;
  readonly other: StoreSession;
}

/** One whose way loses requests, and another whose way does not. */
async function two({ port }: TestServer = server): Promise<Two> {
  const lossy = new LossyClient(port);
  const mine = await openSession({ client: () => lossy.client });
  const other = await openSession({ hosts: `127.0.0.1:${port}` });
  return {
    lossy,
    mine,
    other,
    async [Symbol.asyncDispose]() {
      lossy.keepsLeases = false;
      await mine[Symbol.asyncDispose]();
      await other[Symbol.asyncDispose]();
      lossy[Symbol.dispose]();
    },
  };
}

const done = <T>(asked: Observable<T>): Promise<T> => lastValueFrom(asked);

describe('what is asked again under the same id, when its answer was lost', () => {
  it('does not undo what another has written since, and says that it was written', async () => {
    await using all = await two();
    const cell = fresh('cell');
    const mine = all.mine.swap(cell, 'any', bytes('mine'), newId());
    await all.lossy.unanswered(mine);
    await done(all.other.swap(cell, 'any', bytes("another's"), newId()));
    expect(await done(mine)).toMatchObject({ swapped: true });
    expect(await text(cell)).toBe("another's");
  });

  it('is a creation, also when what was created has been overwritten or deleted since', async () => {
    await using all = await two();
    for (const since of [bytes("another's"), undefined]) {
      const cell = fresh('cell');
      const mine = all.mine.swap(cell, 'absent', bytes('mine'), newId());
      await all.lossy.unanswered(mine);
      await done(all.other.swap(cell, 'any', since, newId()));
      expect(await done(mine)).toMatchObject({ swapped: true });
      expect(await text(cell)).toBe(since === undefined ? '' : "another's");
    }
  });

  it('is a deletion, also when the cell has been made anew since', async () => {
    await using all = await two();
    const cell = fresh('cell');
    const { current } = await done(all.other.swap(cell, 'absent', bytes('first'), newId()));
    const mine = all.mine.swap(cell, current?.version ?? 'any', undefined, newId());
    await all.lossy.unanswered(mine);
    await done(all.other.swap(cell, 'absent', bytes('anew'), newId()));
    expect(await done(mine)).toMatchObject({ swapped: true });
    expect(await text(cell)).toBe('anew');
  });

  it('was refused, also when it would be possible now', async () => {
    await using all = await two();
    const cell = fresh('cell');
    await done(all.other.swap(cell, 'absent', bytes('there'), newId()));
    const mine = all.mine.swap(cell, 'absent', bytes('mine'), newId());
    await all.lossy.unanswered(mine);
    await done(all.other.swap(cell, 'any', undefined, newId()));
    expect(await done(mine)).toMatchObject({ swapped: false });
    expect(await text(cell)).toBe('');
  });

  it('has evicted the entry, and has made the group', async () => {
    await using all = await two();
    const roster = lock(fresh('lock'));
    const { entry } = await done(all.other.enter(roster, standRequest()));
    const evicting = all.mine.evict(roster, entry.id, newId());
    await all.lossy.unanswered(evicting);
    expect(await done(evicting)).toBe(true);
    const group = { kind: 'group', name: fresh('group') } as const;
    const making = all.mine.register(group, newId());
    await all.lossy.unanswered(making);
    await done(all.other.unregister(group, newId()));
    expect(await done(making)).toBe(true);
    expect(await keysBelow(`conclave/registry/group/${group.name}`)).toEqual([]);
  });

  it('does not delete the group that another has made since', async () => {
    await using all = await two();
    const group = { kind: 'group', name: fresh('group') } as const;
    await done(all.mine.register(group, newId()));
    const deleting = all.mine.unregister(group, newId());
    await all.lossy.unanswered(deleting);
    expect(await done(all.other.register(group, newId()))).toBe(true);
    expect(await done(deleting)).toBe('removed');
    expect(await keysBelow(`conclave/registry/group/${group.name}`)).toHaveLength(1);
  });
});

describe('when the lease of the session is replaced while a write is in doubt', () => {
  /** A server that has begun anew is in another term. */
  async function inNewTerm(own: TestServer, { mine, other }: Two): Promise<void> {
    await own.restart();
    const proved = (): Promise<boolean> =>
      done(mine.renew()).then(
        () => true,
        () => false,
      );
    await until(proved, 10_000, 'a proof in the new term');
    const written = (): Promise<boolean> =>
      done(other.swap('probe', 'any', bytes(''), newId())).then(
        () => true,
        () => false,
      );
    await until(written, 10_000, 'the other’s connection');
  }

  it('its outcome is known under the new one', async () => {
    await using own = await startEtcd();
    await using all = await two(own);
    const mine = all.mine.swap('cell', 'any', bytes('mine'), newId());
    await all.lossy.unanswered(mine);
    await inNewTerm(own, all);
    await done(all.other.swap('cell', 'any', bytes("another's"), newId()));
    expect(await done(mine)).toMatchObject({ swapped: true });
    expect(await text('cell', own)).toBe("another's");
  });

  it('what still carries the old one has no effect', async () => {
    await using own = await startEtcd();
    await using all = await two(own);
    const mine = all.mine.swap('cell', 'any', bytes('mine'), newId());
    const arrive = await all.lossy.held(mine);
    all.lossy.keepsLeases = true;
    await inNewTerm(own, all);
    await arrive();
    expect(await text('cell', own)).toBe('');
    expect(await done(mine)).toMatchObject({ swapped: true });
    expect(await text('cell', own)).toBe('mine');
  });

  it('what was given up under the second does not stand in line under the first, when there is a third', async () => {
    await using own = await startEtcd();
    await using all = await two(own);
    const [roster, request] = [lock('lock'), standRequest()];
    const arrive = await all.lossy.held(all.mine.enter(roster, request));
    all.lossy.keepsLeases = true;
    await inNewTerm(own, all);
    await done(all.mine.leave(roster, request, true));
    all.lossy.keepsLeases = false;
    await inNewTerm(own, all);
    const refusals = (): Promise<readonly string[]> => keysBelow(`conclave/outcomes/${request.id}`, own);
    await until(async () => (await refusals()).length === 0, 5_000, 'the end of the second lease');
    await expect(arrive()).rejects.toThrow('requested lease not found');
    expect(await keysBelow('lock/', own)).toEqual([]);
  });
});

describe('a request that arrives late, over an earlier connection', () => {
  it('writes nothing when it was repeated, whatever came of that', async () => {
    await using all = await two();
    const cell = fresh('cell');
    const writing = all.mine.swap(cell, 'any', bytes('mine'), newId());
    const arrive = await all.lossy.held(writing);
    await done(writing);
    await done(all.other.swap(cell, 'any', bytes("another's"), newId()));
    await arrive();
    expect(await text(cell)).toBe("another's");

    const creating = all.mine.swap(cell, 'absent', bytes('mine'), newId());
    const arriveToo = await all.lossy.held(creating);
    expect(await done(creating)).toMatchObject({ swapped: false });
    await done(all.other.swap(cell, 'any', undefined, newId()));
    await arriveToo();
    expect(await text(cell)).toBe('');
  });

  it('writes nothing when its session has ended', async () => {
    await using all = await two();
    const cell = fresh('cell');
    const arrive = await all.lossy.held(all.mine.swap(cell, 'any', bytes('mine'), newId()));
    await lastValueFrom(all.mine.end(false), { defaultValue: undefined });
    await expect(arrive()).rejects.toThrow('requested lease not found');
    expect(await text(cell)).toBe('');
  });

  it('does not put back the payload that a later update has replaced', async () => {
    await using all = await two();
    const roster = lock(fresh('lock'));
    const request = standRequest();
    await done(all.mine.enter(roster, request));
    const first = all.mine.update(roster, request, bytes('first'));
    const arrive = await all.lossy.held(first);
    await done(first);
    await done(all.mine.update(roster, request, bytes('second')));
    await arrive();
    expect(await etcdctl(server.port, 'get', '--prefix', '--print-value-only', `${roster.name}/`)).toBe('second');
  });

  it('does not stand in line again when its entry has been taken out', async () => {
    await using all = await two();
    const roster = lock(fresh('lock'));
    const entering = all.mine.enter(roster, standRequest());
    const arrive = await all.lossy.held(entering);
    const { entry } = await done(entering);
    expect(await done(all.other.evict(roster, entry.id, newId()))).toBe(true);
    await arrive();
    expect(await keysBelow(`${roster.name}/`)).toEqual([]);
  });
});

it('an update whose answer was lost is repeated, and so is one after the entry was moved', async () => {
  await using all = await two();
  const roster = lock(fresh('lock'));
  const request = standRequest();
  const { entry } = await done(all.mine.enter(roster, request));
  const update = all.mine.update(roster, request, bytes('new'));
  await all.lossy.unanswered(update);
  await done(update);
  expect(await etcdctl(server.port, 'get', '--prefix', '--print-value-only', `${roster.name}/`)).toBe('new');
  await done(all.other.evict(roster, entry.id, newId()));
  await expect(done(all.mine.update(roster, request, bytes('too late')))).rejects.toMatchObject({ _tag: 'PlaceLost' });
});

it('keeps no outcome of what was answered, and none when the session has ended', async () => {
  await using all = await two();
  const before = (await keysBelow('conclave/outcomes/')).length;
  for (let i = 0; i < 50; i++) await done(all.mine.swap('counter', 'any', bytes(String(i)), newId()));
  expect((await keysBelow('conclave/outcomes/')).length).toBeLessThanOrEqual(before + 1);
  await Promise.all(Array.from({ length: 50 }, (_, i) => done(all.mine.swap(`c${i}`, 'any', bytes('x'), newId()))));
  for (let i = 0; i < 10; i++) await done(all.mine.swap('counter', 'any', bytes(String(i)), newId()));
  expect((await keysBelow('conclave/outcomes/')).length).toBeLessThanOrEqual(before + 1);
  await all.lossy.unanswered(all.mine.swap('counter', 'any', bytes('lost'), newId()));
  await lastValueFrom(all.mine.end(false), { defaultValue: undefined });
  expect((await keysBelow('conclave/outcomes/')).length).toBeLessThanOrEqual(before);
});

it('replaces the lease when too much is left of requests that were never answered, and keeps what is held', async () => {
  await using own = await startEtcd();
  await using session = await openSession({ hosts: `127.0.0.1:${own.port}` });
  const [roster, mine] = [lock('held'), standRequest()];
  const { entry } = await done(session.enter(roster, mine));
  const refused = async (): Promise<number> => (await keysBelow('conclave/outcomes/', own)).length;
  await Promise.all(Array.from({ length: 300 }, () => done(session.leave(roster, standRequest(), true))));
  expect(await refused()).toBe(300);
  expect(await done(session.renew())).toBeGreaterThan(0);
  await until(async () => (await refused()) === 0, 5_000, 'the end of the refusals');
  expect(await done(session.look(roster))).toEqual([entry]);
});

/** So many requests are under way at most, but for what keeps the session. */
const AT_ONCE = 64;

it('a renewal, another lease, and the end wait for nobody, however many requests are not answered', async () => {
  await using own = await startEtcd();
  await using all = await two(own);
  const [roster, mine] = [lock('held'), standRequest()];
  await done(all.mine.enter(roster, mine));
  // So many leave something behind that the lease is replaced.
  await Promise.all(Array.from({ length: 300 }, () => done(all.mine.leave(roster, standRequest(), true))));
  for (let i = 0; i < AT_ONCE; i++) await all.lossy.held(all.mine.swap('cell', 'any', bytes('mine'), newId()));
  expect(await done(all.mine.renew().pipe(timeout(5_000)))).toBeGreaterThan(0);
  await until(async () => (await keysBelow('conclave/outcomes/', own)).length === 0, 5_000, 'the end of the refusals');
  expect(await keysBelow('held/', own)).toHaveLength(1);
  await lastValueFrom(all.mine.end(false).pipe(timeout(5_000)), { defaultValue: undefined });
  expect(await keysBelow('held/', own)).toEqual([]);
});

it('counts each increment once, and keeps the latest payload, though the server is paused again and again', async () => {
  await using own = await startEtcd();
  await using backends = new Backends();
  const options = { ttlMs: 10_000, requestTimeoutMs: 300, renewEveryMs: 1_000 };
  const both = [backends.make(own.port, options), backends.make(own.port, options)];
  const increment = async (backend: Backend): Promise<void> => {
    const current = await firstValueFrom(backend.cell('count'));
    const count = current === undefined ? 0 : Number(Buffer.from(current.value).toString());
    const expected = current?.version ?? 'absent';
    const { swapped } = await firstValueFrom(backend.swap('count', expected, bytes(String(count + 1))));
    if (!swapped) await increment(backend);
  };
  const counting = both.map(async (backend) => {
    for (let i = 0; i < 150; i++) await increment(backend);
  });
  const payload$ = new BehaviorSubject(bytes('0'));
  const stay = new Stay(both[0] as Backend, lock('told'), { ...exclusive, payload$ });
  await stay.admitted();
  // One whose session is still being opened has none to be suspended.
  await Promise.all(
    both.map(({ session$ }) => firstWithin(session$, ({ state }) => state === 'live', 10_000, 'a session')),
  );
  let latest = 0;
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 5; i++) payload$.next(bytes(String(++latest)));
    await own.pause();
    payload$.next(bytes(String(++latest)));
    // What is under way is sent again over another connection, and arrives after or before it.
    await Promise.all(both.map(({ session$ }) => firstWithin(session$, isSuspended, 5_000, 'the silence')));
    own.resume();
    await firstWithin(
      (both[1] as Backend).entries(lock('told')),
      ([entry]) => Buffer.from(entry?.payload ?? []).toString() === String(latest),
      10_000,
      'the latest payload',
    );
  }
  await Promise.all(counting);
  expect(await text('count', own)).toBe('300');
  const told = await firstValueFrom((both[1] as Backend).entries(lock('told')));
  expect(Buffer.from(told[0]?.payload ?? []).toString()).toBe(String(latest));
}, 40_000);
