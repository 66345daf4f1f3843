import { lastValueFrom } from 'rxjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { join } from '../../../src/observables/groups/join.js';
import { until } from '../../../src/testing/processes/probes.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { startEtcd } from '../../../src/testing/servers/etcd.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { difference, etcdCounts } from '../../support/counters.js';
import { Backends, etcdctl, live, lock, openSession, standRequest } from './support.js';

let server: TestServer;

beforeAll(async () => {
  server = await startEtcd();
});
afterAll(() => server[Symbol.asyncDispose]());

test('a session that was given up during an outage is ended over its own link, as soon as that is back', async () => {
  await using proxy = await startProxy({ port: server.port });
  const options = { ttlMs: 60_000, requestTimeoutMs: 300, renewEveryMs: 1_000, maxBackoffMs: 300 };
  await using session = await openSession({ hosts: `127.0.0.1:${proxy.port}`, ...options });
  await lastValueFrom(session.enter(lock('ghost'), standRequest()));
  proxy.blackhole();
  // What falls silent is noticed by who asks.
  session.renew().subscribe({ error: () => undefined });
  await firstWithin(session.link$, (up) => !up, 5_000, 'the end of the connection');
  const ended = lastValueFrom(session.end(true), { defaultValue: undefined });
  await proxy.heal();
  await ended;
  expect(await etcdctl(server.port, 'get', '--prefix', '--keys-only', 'ghost/')).toBe('');
});

test('whoever joins looks at the group once, and watches nobody but itself', async () => {
  await using backends = new Backends();
  const backend = backends.make(server.port, { ttlMs: 20_000 });
  await live(backend);
  const before = await etcdCounts(server.url);
  const watches = async (): Promise<number> => difference(before, await etcdCounts(server.url))['Watch/Watch'] ?? 0;
  const member = (i: number): Promise<unknown> =>
    firstWithin(join(backend, 'crew', { id: `m${i}`, create: true }), () => true, 5_000, 'the membership');
  await Promise.all(Array.from({ length: 20 }, (_, i) => member(i)));
  // Those who have joined have left again before their own entries are watched. One is the session's, for who is evicted.
  expect(await watches()).toBe(1);
  await until(
    async () => (await etcdctl(server.port, 'get', '--prefix', 'conclave/groups/crew/')) === '',
    5_000,
    'the end',
  );
});
