import { randomUUID } from 'node:crypto';
import { asyncScheduler, concat, filter, firstValueFrom, lastValueFrom, shareReplay, switchMap } from 'rxjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { LockLost } from '../../../src/backends/errors.js';
import { etcdStore } from '../../../src/backends/etcd/etcd-store.js';
import { etcd } from '../../../src/backends/etcd/index.js';
import { timingOf } from '../../../src/backends/shared/options.js';
import { orThrow } from '../../../src/backends/shared/or-throw.js';
import { breakLock } from '../../../src/observables/locks/break-lock.js';
import { lock as lockOf } from '../../../src/observables/locks/lock.js';
import { until } from '../../../src/testing/processes/probes.js';
import { startEtcd } from '../../../src/testing/servers/etcd.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { difference, etcdCounts } from '../../support/counters.js';
import { etcdctl, exclusive, lock } from './support.js';

let server: TestServer;

beforeAll(async () => {
  server = await startEtcd();
});
afterAll(() => server[Symbol.asyncDispose]());

/** How many watches the server was asked for. */
const watches = async (): Promise<number> => (await etcdCounts(server.url))['Watch/Watch'] ?? 0;

test('an eviction is told although the revision at which the entry was made has been compacted away', async () => {
  await using backend = etcd({ hosts: [`127.0.0.1:${server.port}`], ttlMs: 5_000 });
  const before = await watches();
  let tellLost: (error: unknown) => void = () => undefined;
  const lost = new Promise((told) => {
    tellLost = told;
  });
  await new Promise((held) => lockOf(backend, 'ledger').subscribe({ next: held, error: (error) => tellLost(error) }));
  await etcdctl(server.port, 'put', 'unrelated', 'x');
  const { revision } = JSON.parse(await etcdctl(server.port, 'put', 'unrelated', 'x', '-w', 'json')).header;
  await etcdctl(server.port, 'compact', String(revision));
  // The watch that begins in the past is refused, and another one begins in the present.
  await until(async () => (await watches()) - before >= 2, 5_000, 'the second watch');
  expect(await firstValueFrom(breakLock(backend, 'ledger'))).toBe(true);
  expect(await lost).toBeInstanceOf(LockLost);
});

test('a place that is followed again over the same connection begins where it is now', async () => {
  const timing = orThrow(timingOf({ ttlMs: 20_000 }));
  const newId = (): string => randomUUID().replaceAll('-', '');
  const context = { timing, newId, now: () => performance.now(), scheduler: asyncScheduler, fault: () => undefined };
  const opened$ = etcdStore({ hosts: `127.0.0.1:${server.port}` }).pipe(
    switchMap((store) => store.open(context)),
    shareReplay(1),
  );
  const running = opened$.subscribe();
  const session = await firstValueFrom(opened$);
  const request = () => ({ ...exclusive, id: newId(), permits: 2, registered: false, sent: () => undefined });
  const roster = lock('berths');
  const [first, second, third] = [request(), request(), request()];
  await lastValueFrom(concat(session.enter(roster, first), session.enter(roster, second)));
  const standing = await firstValueFrom(session.enter(roster, third));
  expect(standing.ahead).toBe(2);
  const admitted = firstValueFrom(session.place(roster, third, standing).pipe(filter((ahead) => ahead === 1)));
  await lastValueFrom(session.leave(roster, first, false));
  await admitted;
  // As when the server cancels a watch, which does not cost the connection.
  expect(await firstValueFrom(session.place(roster, third, standing))).toBe(1);
  await lastValueFrom(session.end(false), { defaultValue: undefined });
  running.unsubscribe();
});

test('who holds many entries for long watches each of them, and reads none of them again', async () => {
  await using backend = etcd({ hosts: [`127.0.0.1:${server.port}`], ttlMs: 20_000 });
  await firstValueFrom(lockOf(backend, 'first'));
  const before = await etcdCounts(server.url);
  const names = Array.from({ length: 50 }, (_, i) => `held ${i}`);
  await Promise.all(names.map((name) => new Promise((held) => lockOf(backend, name).subscribe(held))));
  await until(async () => (await watches()) - (before['Watch/Watch'] ?? 0) >= 51, 5_000, 'a watch for each');
  // And one for what others evict of them all.
  expect(difference(before, await etcdCounts(server.url))).toMatchObject({ 'KV/Txn': 50, 'Watch/Watch': 51 });
  expect(difference(before, await etcdCounts(server.url))['KV/Range']).toBeUndefined();
});
