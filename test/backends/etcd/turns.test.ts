import { lastValueFrom } from 'rxjs';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Backend } from '../../../src/backends/backend.js';
import { lock as lockOf } from '../../../src/observables/locks/lock.js';
import { startEtcd } from '../../../src/testing/servers/etcd.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy, type TcpProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { difference, etcdCounts } from '../../support/counters.js';
import { Backends, etcdctl, live, lock, Stay } from './support.js';

const ROUND_TRIP_MS = 40;

let server: TestServer;
let proxy: TcpProxy;

beforeAll(async () => {
  server = await startEtcd();
  proxy = await startProxy({ port: server.port });
});
afterEach(() => proxy.heal());
afterAll(async () => {
  await proxy.close();
  await server[Symbol.asyncDispose]();
});

function farAway(): void {
  proxy.delay({ toServerMs: ROUND_TRIP_MS / 2, toClientMs: ROUND_TRIP_MS / 2 });
}

const outcomes = async (): Promise<string> =>
  etcdctl(server.port, 'get', '--prefix', '--keys-only', 'conclave/outcomes/');

/** What those who may wait for 200 ms end with. */
function hasty(backend: Backend, name: string, howMany: number): Promise<readonly unknown[]> {
  const end = (): Promise<unknown> => lastValueFrom(lockOf(backend, name, { waitMs: 200 })).catch(({ _tag }) => _tag);
  return Promise.all(Array.from({ length: howMany }, end));
}

test('those who give up while they wait for their turn are never sent, and keep nobody waiting', async () => {
  await using backends = new Backends();
  const holder = new Stay(backends.make(server.port), lock('turn'));
  await holder.admitted();
  const backend = backends.make(proxy.port, { ttlMs: 10_000 });
  await live(backend);
  farAway();
  const before = await etcdCounts(server.url);
  expect(new Set(await hasty(backend, 'turn', 100))).toEqual(new Set(['LockNotAcquired']));
  const sinceMs = performance.now();
  holder.leave();
  await new Stay(backend, lock('turn')).admitted();
  expect(performance.now() - sinceMs).toBeLessThan(1_500);
  const { 'KV/Txn': sent } = difference(before, await etcdCounts(server.url));
  expect(sent).toBeLessThan(20);
});

test('an entry that was never sent is not in doubt: nothing is left of those who gave up', async () => {
  await using backends = new Backends();
  const holder = new Stay(backends.make(server.port), lock('doubt'));
  await holder.admitted();
  // A request may take 300 ms, and the last one's turn would come after four seconds.
  const backend = backends.make(proxy.port, { ttlMs: 5_000, requestTimeoutMs: 300 });
  await live(backend);
  farAway();
  const trying = Array.from({ length: 100 }, () => new Stay(backend, lock('doubt')));
  await trying[10]?.waiting();
  for (const stay of trying) stay.leave();
  const next = new Stay(backend, lock('doubt'));
  await next.waiting();
  expect(await outcomes()).toBe('');
});

test('a long turn is no failure: whoever had to wait for it is told as soon as it has come', async () => {
  await using backends = new Backends();
  // The last one's turn comes after two seconds; after a failure one would pause for ten, or half of that.
  const pauses = { initialBackoffMs: 10_000, maxBackoffMs: 10_000 };
  const backend = backends.make(proxy.port, { ttlMs: 5_000, requestTimeoutMs: 300, ...pauses });
  await live(backend);
  farAway();
  const stays = Array.from({ length: 50 }, () => new Stay(backend, lock('long')));
  await stays.at(-1)?.waiting(5_000);
});
