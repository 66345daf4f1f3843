import { merge } from 'rxjs';
import { expect, it } from 'vitest';
import { type CoordinationError, InvalidPayload, NotSupported, Unavailable } from '../../../src/backends/errors.js';
import { until } from '../../../src/testing/processes/probes.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { startEtcd } from '../../../src/testing/servers/etcd.js';
import { difference, etcdCounts } from '../../support/counters.js';
import { Backends, etcdctl, exclusive, live, lock, Stay } from './support.js';

async function fill(port: number): Promise<void> {
  const put = async (): Promise<void> => {
    for (let each = 0; each < 100; each++) await etcdctl(port, 'put', `filler-${each}`, 'x'.repeat(100_000));
  };
  await expect(put()).rejects.toThrow('database space exceeded');
}

async function makeRoom(port: number): Promise<void> {
  const { header } = JSON.parse(await etcdctl(port, 'del', '--prefix', 'filler-', '-w', 'json'));
  await etcdctl(port, 'compact', String(header.revision));
  await etcdctl(port, 'defrag');
  await etcdctl(port, 'alarm', 'disarm');
}

it('tells of a full database, instead of waiting for it in silence, and goes on when there is room', async () => {
  await using server = await startEtcd({ args: ['--quota-backend-bytes', '2000000'] });
  await using backends = new Backends();
  const backend = backends.make(server.port);
  const told: CoordinationError[] = [];
  backend.faults$.subscribe((fault) => told.push(fault));
  await live(backend);
  await fill(server.port);

  const stays = ['wanted', 'wanted too'].map((name) => new Stay(backend, lock(name)));
  const fault = await firstWithin(backend.faults$, () => true, 5_000, 'a fault');
  expect(fault).toBeInstanceOf(Unavailable);
  for (const word of ['"enter"', `etcd at 127.0.0.1:${server.port}`, 'its database is full', 'alarm disarm'])
    expect(fault.message).toContain(word);

  await makeRoom(server.port);
  await Promise.all(stays.map((stay) => stay.admitted()));
  // As many as ask, and as often: it is told once in a while.
  expect(told).toHaveLength(1);
});

it('refuses for good what the server says is too large', async () => {
  await using server = await startEtcd({ args: ['--max-request-bytes', '8192'] });
  await using backends = new Backends();
  const backend = backends.make(server.port);
  const place = await new Stay(backend, lock('held')).admitted();
  for (const size of [10_000, 60_000]) {
    const failure = await new Stay(backend, lock('wanted'), { ...exclusive, payload: new Uint8Array(size) }).failure();
    expect(failure).toBeInstanceOf(InvalidPayload);
    for (const word of ['"wanted/', `127.0.0.1:${server.port}`, '--max-request-bytes'])
      expect(String(failure)).toContain(word);
  }
  // Nobody stands in line for it, and nobody else is concerned.
  await new Stay(backend, lock('wanted')).admitted();
  expect(place.isValid()).toBe(true);
});

it('moves to a new lease in as small transactions as the server allows', async () => {
  await using server = await startEtcd({ args: ['--max-txn-ops', '5'] });
  await using backends = new Backends();
  // Long enough for a server that begins anew on a machine that is busy.
  const backend = backends.make(server.port, { ttlMs: 8_000 });
  const stays = Array.from({ length: 20 }, (_, each) => new Stay(backend, lock(`held-${each}`)));
  const places = await Promise.all(stays.map((stay) => stay.admitted()));
  const lost = merge(...stays.map(({ places$ }) => places$));
  const failures: unknown[] = [];
  lost.subscribe({ error: (error) => failures.push(error) });
  const suspended = firstWithin(backend.session$, ({ state }) => state === 'suspended', 5_000, 'the suspension');
  await server.kill();
  await suspended;
  await server.start();
  await firstWithin(backend.session$, ({ state }) => state === 'live', 5_000, 'the end of the suspension');
  await expect.poll(() => etcdctl(server.port, 'lease', 'list'), { timeout: 5_000 }).toContain('found 1 leases');
  expect(failures).toEqual([]);
  expect(places.every((place) => place.isValid())).toBe(true);
});

it('says at once that a server allows too few operations in a transaction', async () => {
  await using server = await startEtcd({ args: ['--max-txn-ops', '1'] });
  await using backends = new Backends();
  const failure = await new Stay(backends.make(server.port), lock('wanted')).failure();
  expect(failure).toBeInstanceOf(NotSupported);
  for (const word of ['--max-txn-ops', `127.0.0.1:${server.port}`, '"enter"']) expect(String(failure)).toContain(word);
});

it('keeps what is held, however often others are refused for a full database, and leaves nothing behind for them', async () => {
  await using server = await startEtcd({ args: ['--quota-backend-bytes', '2000000'] });
  await using backends = new Backends();
  // Each of those who wait asks again several times a second.
  const backend = backends.make(server.port, { ttlMs: 5_000, maxBackoffMs: 100 });
  const place = await new Stay(backend, lock('held')).admitted();
  await fill(server.port);
  const states: string[] = [];
  backend.session$.subscribe(({ state }) => states.push(state));
  const stays = Array.from({ length: 30 }, (_, each) => new Stay(backend, lock(`wanted-${each}`)));
  const atStart = await etcdCounts(server.url);
  const refusals = async (): Promise<number> => difference(atStart, await etcdCounts(server.url))['KV/Txn'] ?? 0;
  await until(async () => (await refusals()) > 400, 15_000, '400 refusals');
  const refusedMs = performance.now();
  await until(() => performance.now() - refusedMs > 5_000 || !place.isValid(), 6_000, 'a lifetime');
  expect(place.isValid()).toBe(true);

  await makeRoom(server.port);
  await Promise.all(stays.map((stay) => stay.admitted()));
  expect(place.isValid()).toBe(true);
  expect(states).toEqual(['live']);
  expect(await etcdctl(server.port, 'get', '--prefix', '--keys-only', 'conclave/outcomes/')).toBe('');
}, 40_000);
