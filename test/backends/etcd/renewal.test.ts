import { firstValueFrom } from 'rxjs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Place } from '../../../src/backends/backend.js';
import { PlaceLost } from '../../../src/backends/errors.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { startEtcd } from '../../../src/testing/servers/etcd.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { Backends, etcdctl, live, lock, Stay } from './support.js';

let server: TestServer;

beforeEach(async () => {
  server = await startEtcd();
});
afterEach(() => server[Symbol.asyncDispose]());

const leaseOf = async (key: string): Promise<string> => {
  const { kvs } = JSON.parse(await etcdctl(server.port, 'get', '--prefix', key, '-w', 'json'));
  return String(kvs[0].lease);
};

it('moves what it holds to a new lease under a new term, with its place and token', async () => {
  await using backends = new Backends();
  // Long enough for a server that begins anew on a machine that is busy.
  const [a, b] = [backends.make(server.port, { ttlMs: 8_000 }), backends.make(server.port, { ttlMs: 8_000 })];
  const holders = Array.from({ length: 150 }, (_, each) => new Stay(a, lock(`held-${each}`)));
  await Promise.all(holders.map((stay) => stay.admitted()));
  const next = new Stay(b, lock('held-0'));
  await next.waiting();
  const [entry] = await firstValueFrom(b.entries(lock('held-0')));
  const before = await leaseOf('held-0/');
  const suspended = firstWithin(a.session$, ({ state }) => state === 'suspended', 5_000, 'the suspension');
  await server.kill();
  await suspended;
  await server.start();
  await firstWithin(a.session$, ({ state }) => state === 'live', 5_000, 'the end of the suspension');
  const moved = await firstWithin(b.entries(lock('held-0')), ([first]) => first !== undefined, 5_000, 'the entries');
  expect(moved[0]).toEqual(entry);
  await expect.poll(() => leaseOf('held-0/'), { timeout: 5_000 }).not.toBe(before);
  expect(await leaseOf('held-149/')).toBe(await leaseOf('held-0/'));
  // The old ones are revoked: one lease for each session is left.
  await expect.poll(() => etcdctl(server.port, 'lease', 'list'), { timeout: 5_000 }).toContain('found 2 leases');
  holders[0]?.leave();
  expect((await next.admitted()).entry.token).toBe(moved[1]?.token);
  // Whoever else held something holds it still: what it changes to is a failure.
  expect((await holders[1]?.admitted())?.isValid()).toBe(true);
});

it('holds on through a pause of the server that is shorter than the lifetime', async () => {
  await using backends = new Backends();
  const backend = backends.make(server.port, { ttlMs: 5_000, requestTimeoutMs: 500, renewEveryMs: 300 });
  const stay = new Stay(backend, lock('held'));
  const place = await stay.admitted();
  server.pause();
  await firstWithin(backend.session$, ({ state }) => state === 'suspended', 3_000, 'the suspension');
  expect(place.isValid()).toBe(true);
  server.resume();
  await firstWithin(backend.session$, ({ state }) => state === 'live', 5_000, 'the end of the suspension');
  expect(place.isValid()).toBe(true);
});

it('gives up before the lease can end, and takes part again, when the server pauses for longer', async () => {
  await using backends = new Backends();
  const backend = backends.make(server.port, { ttlMs: 2_000, requestTimeoutMs: 400, renewEveryMs: 300 });
  const stay = new Stay(backend, lock('held'));
  const place = await stay.admitted();
  server.pause();
  const failure = await stay.failure(4_000);
  expect(failure).toBeInstanceOf(PlaceLost);
  expect(failure).toMatchObject({ reason: 'session lost' });
  expect(place.isValid()).toBe(false);
  server.resume();
  await live(backend);
  const again = new Stay(backend, lock('held'));
  const admitted = await again.admitted(8_000);
  expect(admitted.entry.token).toBeGreaterThan(place.entry.token);
});

it('says that the session is lost, not that everybody was evicted, when the lease is revoked', async () => {
  await using backends = new Backends();
  const backend = backends.make(server.port);
  const stay = new Stay(backend, lock('held'));
  await stay.admitted();
  const id = await firstWithin(backend.session$, (session) => session.state === 'live', 1_000, 'the session');
  await etcdctl(server.port, 'lease', 'revoke', 'id' in id ? id.id : '');
  expect(await stay.failure()).toMatchObject({ reason: 'session lost' });
  await live(backend);
});

it('leaves nobody in line when the answer to entering is lost, whether or not one still wants to', async () => {
  await using proxy = await startProxy({ port: server.port });
  await using backends = new Backends();
  const backend = backends.make(proxy.port, { requestTimeoutMs: 400, renewEveryMs: 300 });
  const watching = backends.make(server.port);
  await live(backend);

  const patient = proxy.swallowNext('toClient', () => true, true);
  const stay = new Stay(backend, lock('wanted'));
  await patient;
  await stay.admitted();
  expect(await firstValueFrom(watching.entries(lock('wanted')))).toHaveLength(1);

  let swallowing = false;
  proxy.onData((direction, chunk) => {
    if (direction === 'toServer' && chunk.includes('unwanted/')) swallowing = true;
  });
  const impatient = proxy.swallowNext('toClient', () => swallowing, true);
  const unwanted = new Stay(backend, lock('unwanted'));
  await impatient;
  unwanted.leave();
  await firstWithin(watching.entries(lock('unwanted')), (entries) => entries.length === 0, 5_000, 'the empty line');
  const next = new Stay(watching, lock('unwanted'));
  await next.admitted(6_000);
});

it('keeps the order of many who enter one roster at once, also of those who wait for longer than a request may', async () => {
  await using proxy = await startProxy({ port: server.port });
  await using backends = new Backends();
  const backend = backends.make(proxy.port, { requestTimeoutMs: 300, renewEveryMs: 300, initialBackoffMs: 20 });
  await live(backend);
  // They are sent one after the other: the last of them waits for more than a second.
  proxy.delay({ toClientMs: 20 });
  const stays = Array.from({ length: 60 }, () => new Stay(backend, lock('wanted')));
  const first = (stay: Stay): Promise<Place> => firstWithin(stay.places$, () => true, 10_000, 'a place');
  const tokens = (await Promise.all(stays.map(first))).map(({ entry }) => entry.token);
  expect(tokens).toEqual(tokens.toSorted((a, b) => (a < b ? -1 : 1)));
});

it('opens and keeps its session where each answer takes most of the time that a request may', async () => {
  await using proxy = await startProxy({ port: server.port });
  await using backends = new Backends();
  proxy.delay({ toClientMs: 600 });
  const backend = backends.make(proxy.port, { ttlMs: 3_000, requestTimeoutMs: 900 });
  const stay = new Stay(backend, lock('held'));
  const place = await stay.admitted(12_000);
  // To wait for the failure that does not come is to wait for two lifetimes.
  await expect(stay.failure(6_000)).rejects.toThrow('a failure');
  expect(place.isValid()).toBe(true);
});

it('rides out resets and silence of the network without losing its session', async () => {
  await using proxy = await startProxy({ port: server.port });
  await using backends = new Backends();
  const timing = { ttlMs: 6_000, requestTimeoutMs: 500, renewEveryMs: 400 };
  const backend = backends.make(proxy.port, timing);
  const other = backends.make(server.port, timing);
  const stay = new Stay(backend, lock('held'));
  const place = await stay.admitted();
  const waiting = new Stay(backend, lock('awaited'));
  const holder = new Stay(other, lock('blocked'));
  await Promise.all([waiting.admitted(), holder.admitted()]);
  const next = new Stay(backend, lock('blocked'));
  await next.waiting();
  for (const fault of ['resetAll', 'blackhole'] as const) {
    proxy[fault]();
    await firstWithin(backend.session$, ({ state }) => state === 'suspended', 3_000, 'the suspension');
    if (fault === 'blackhole') holder.leave();
    await proxy.heal();
    await firstWithin(backend.session$, ({ state }) => state === 'live', 4_000, 'the end of the suspension');
    expect(place.isValid()).toBe(true);
  }
  // What happened while nobody could hear it is seen afterwards.
  await next.admitted();
});
