import { firstValueFrom } from 'rxjs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { startEtcd } from '../../../src/testing/servers/etcd.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { difference, etcdCounts, settledCounts } from '../../support/counters.js';
import { Backends, EtcdctlLock, etcdctl, exclusive, live, lock, Stay } from './support.js';

let server: TestServer;

beforeAll(async () => {
  server = await startEtcd();
});
afterAll(() => server[Symbol.asyncDispose]());

it('waits for a lock that etcdctl holds', async () => {
  await using backends = new Backends();
  const name = 'held by etcdctl';
  const other = new EtcdctlLock(server.port, name);
  await firstWithin(other.held$, () => true, 5_000, 'the lock of etcdctl');
  const stay = new Stay(backends.make(server.port), lock(name));
  await stay.waiting();
  await other[Symbol.asyncDispose]();
  await stay.admitted();
});

it('keeps etcdctl out of a lock that is held here', async () => {
  await using backends = new Backends();
  const name = 'held here';
  const backend = backends.make(server.port);
  const stay = new Stay(backend, lock(name));
  await stay.admitted();
  await using other = new EtcdctlLock(server.port, name);
  let isHeld = false;
  other.held$.subscribe(() => {
    isHeld = true;
  });
  const [mine, foreign] = await firstWithin(
    backend.entries(lock(name)),
    (entries) => entries.length === 2,
    5_000,
    'the contender of etcdctl',
  );
  expect(mine?.token).toBeLessThan(foreign?.token ?? 0n);
  expect(foreign?.mode).toBe('exclusive');
  expect(isHeld).toBe(false);
  stay.leave();
  expect(await firstWithin(other.held$, () => true, 5_000, 'the lock of etcdctl')).toBe(`${name}/${foreign?.id}`);
});

it('does not take a lock for another that is named like the word that the layout reserves', async () => {
  await using backends = new Backends();
  const backend = backends.make(server.port);
  const group = new Stay(backend, { kind: 'group', name: 'g' });
  await group.admitted();
  const stay = new Stay(backend, lock('conclave'));
  expect((await stay.admitted()).ahead).toBe(0);
  expect(await etcdctl(server.port, 'get', '--prefix', '--keys-only', '%63onclave/')).toContain('%63onclave/');
});

it('does not count the keys of a namespace, or of a deeper lock, as contenders for a lock of that name', async () => {
  await using backends = new Backends();
  const inside = new Stay(backends.make(server.port, { namespace: 'shop' }), lock('till'));
  await inside.admitted();
  const backend = backends.make(server.port);
  const first = new Stay(backend, lock('shop'));
  expect((await first.admitted()).ahead).toBe(0);
  const deeper = new Stay(backends.make(server.port, { namespace: 'shop' }), lock('door'));
  await deeper.admitted();
  const second = new Stay(backend, lock('shop'));
  await second.waiting();
  first.leave();
  await second.admitted();
  expect(await firstValueFrom(backend.entries(lock('shop')))).toHaveLength(1);
});

it('takes garbage in a roster for a contender, and garbage in the registry or in a cell for what it is', async () => {
  await using backends = new Backends();
  const backend = backends.make(server.port);
  await etcdctl(server.port, 'put', 'haunted/ghost', 'boo');
  const stay = new Stay(backend, lock('haunted'));
  await stay.waiting();
  expect(await firstValueFrom(backend.evict(lock('haunted'), 'ghost'))).toBe(true);
  await stay.admitted();
  await etcdctl(server.port, 'put', 'conclave/registry/group/%zz', 'boo');
  await etcdctl(server.port, 'put', 'conclave/cells/short', 'boo');
  expect([...(await firstValueFrom(backend.registered('group')))]).toEqual([]);
  expect((await firstValueFrom(backend.cell('short')))?.value).toEqual(new Uint8Array(Buffer.from('boo')));
});

it('takes and leaves a free lock with two requests, and renews a session with two, whatever it holds', async () => {
  await using backends = new Backends();
  const backend = backends.make(server.port, { ttlMs: 10_000, renewEveryMs: 500 });
  await live(backend);
  const atStart = await etcdCounts(server.url);
  for (let round = 0; round < 5; round++) {
    const stay = new Stay(backend, lock(`free ${round}`));
    await stay.admitted();
    stay.leave();
  }
  const stay = new Stay(backend, lock('after all'));
  await stay.admitted();
  const locking = difference(atStart, await etcdCounts(server.url));
  expect(locking['KV/Txn']).toBe(6);
  expect(locking['KV/DeleteRange']).toBe(5);
  // One for all that the session holds, and none for each.
  expect(locking['Watch/Watch']).toBe(1);
  const renewals = (locking['Lease/LeaseKeepAlive'] ?? 0) - (locking['KV/Range'] ?? 0);
  expect(renewals).toBeGreaterThanOrEqual(0);
  expect(renewals).toBeLessThanOrEqual(1);
});

it('wakes only the next of many who wait', async () => {
  await using backends = new Backends();
  const backend = backends.make(server.port);
  const holder = new Stay(backend, lock('queue'));
  await holder.admitted();
  const line: Stay[] = [];
  for (let place = 0; place < 30; place++) {
    const stay = new Stay(backend, lock('queue'));
    await stay.waiting();
    line.push(stay);
  }
  // Each looks once more where others have come before its watch had begun.
  const atStart = await settledCounts(() => etcdCounts(server.url), 'KV/Txn', 'Watch/Watch');
  holder.leave();
  await line[0]?.admitted();
  const handOff = difference(atStart, await etcdCounts(server.url));
  expect(handOff['KV/DeleteRange']).toBe(1);
  expect(handOff['KV/Txn']).toBe(1);
});

it('admits as many as there are permits, and readers together', async () => {
  await using backends = new Backends();
  const [a, b] = [backends.make(server.port), backends.make(server.port)];
  const permit = { ...exclusive, permits: 2 };
  const first = new Stay(a, lock('two permits'), permit);
  await first.admitted();
  const second = new Stay(b, lock('two permits'), permit);
  expect((await second.admitted()).ahead).toBe(1);
  const third = new Stay(a, lock('two permits'), permit);
  expect((await third.waiting()).ahead).toBe(2);
  const fourth = new Stay(b, lock('two permits'), permit);
  await fourth.waiting();
  first.leave();
  expect((await third.admitted()).ahead).toBe(1);
  second.leave();
  await fourth.admitted();

  const shared = { ...exclusive, mode: 'shared' } as const;
  const [reader, another] = [new Stay(a, lock('book'), shared), new Stay(b, lock('book'), shared)];
  await Promise.all([reader.admitted(), another.admitted()]);
  const writer = new Stay(a, lock('book'));
  await writer.waiting();
  const late = new Stay(b, lock('book'), shared);
  await late.waiting();
  reader.leave();
  another.leave();
  await writer.admitted();
  writer.leave();
  await late.admitted();
});

it('makes a group in the same moment in which others delete it, or does not get in', async () => {
  await using backends = new Backends();
  const [a, b] = [backends.make(server.port), backends.make(server.port)];
  const group = { kind: 'group', name: 'contested' } as const;
  const joining = {
    mode: 'shared',
    permits: Number.POSITIVE_INFINITY,
    payload: new Uint8Array(),
    registered: true,
  } as const;
  for (let round = 0; round < 20; round++) {
    await firstValueFrom(a.register(group));
    const stay = new Stay(a, group, joining);
    const [entered, removed] = await Promise.all([
      stay.admitted().then(
        () => true,
        () => false,
      ),
      firstValueFrom(b.unregister(group)),
    ]);
    expect(removed).toBe(entered ? 'occupied' : 'removed');
    stay.leave();
    await firstWithin(b.entries(group), (entries) => entries.length === 0, 5_000, 'the empty group');
  }
});

it('tells who is evicted at once, by one watch for all that it holds, and leaves no notice', async () => {
  await using backends = new Backends();
  const [mine, theirs] = [backends.make(server.port), backends.make(server.port)];
  const names = ['broken 1', 'broken 2', 'broken 3'];
  const held = names.map((name) => new Stay(mine, lock(name)));
  const places = await Promise.all(held.map((stay) => stay.admitted()));
  await live(theirs);
  for (const [i, stay] of held.entries()) {
    const evicted = firstValueFrom(theirs.evict(lock(names[i] ?? ''), places[i]?.entry.id ?? ''));
    // Far less than the second for which an entry is not watched.
    expect(await stay.failure(700)).toMatchObject({ _tag: 'PlaceLost', reason: 'evicted' });
    expect(await evicted).toBe(true);
    expect(places.map((place) => place.isValid())).toEqual(places.map((_, at) => at > i));
  }
  const notices = (): Promise<string> =>
    etcdctl(server.port, 'get', '--prefix', '--keys-only', 'conclave/outcomes/evicted/');
  // The notices of the first two went with the evictions after them; the last one goes with the session that wrote it.
  expect((await notices()).split('\n').filter((line) => line !== '')).toHaveLength(1);
  await theirs.close();
  expect(await notices()).toBe('');
});

it('does not believe a notice of what still stands', async () => {
  await using backends = new Backends();
  const backend = backends.make(server.port);
  const stay = new Stay(backend, lock('not broken'));
  const { entry, isValid } = await stay.admitted();
  const [session = ''] = entry.id.split('-');
  await etcdctl(server.port, 'put', `conclave/outcomes/evicted/${session}/nonsense`, entry.id);
  await etcdctl(server.port, 'put', `conclave/outcomes/evicted/${session}/more`, 'nobody');
  const other = new Stay(backend, lock('another'));
  const place = await other.admitted();
  expect(await firstValueFrom(backend.evict(lock('another'), place.entry.id))).toBe(true);
  expect(await other.failure(700)).toMatchObject({ reason: 'evicted' });
  expect(isValid()).toBe(true);
  await etcdctl(server.port, 'del', '--prefix', `conclave/outcomes/evicted/${session}/`);
});
