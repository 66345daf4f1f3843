import { readFileSync } from 'node:fs';
import { filter, firstValueFrom, forkJoin, type Observable, of, take, timeout } from 'rxjs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Backend, Session } from '../../../src/backends/backend.js';
import { PermissionDenied } from '../../../src/backends/errors.js';
import { campaign, groups, holders, join, leader, members, tryLock, withLock } from '../../../src/index.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { startEtcd } from '../../../src/testing/servers/etcd.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { Backends, enableUsers, live, lock, Stay } from './support.js';

let server: TestServer;

/** What docs/backends.md says that a user needs, each as `grant-permission` takes it. */
const documented = [
  ...readFileSync('docs/backends.md', 'utf8').matchAll(/^etcdctl role grant-permission app (.*?) *(#.*)?$/gm),
].map(([, right = '']) => right.split(' '));
const onlyRead = documented
  .filter((right) => !right.includes('conclave/outcomes/'))
  .map((right) => right.map((word) => word.replace('readwrite', 'read')));

beforeAll(async () => {
  server = await startEtcd();
  await enableUsers(server.port, {
    keeper: [
      ['readwrite', '--prefix', 'permitted/'],
      ['readwrite', '--prefix', 'conclave/outcomes/'],
      ['read', 'conclave/probe'],
    ],
    app: documented,
    looker: onlyRead,
    ...Object.fromEntries(documented.map((_, each) => [`without-${each}`, documented.filter((_, i) => i !== each)])),
  });
});
afterAll(() => server[Symbol.asyncDispose]());

it('refuses one look to who may not look, and to nobody else', async () => {
  await using proxy = await startProxy({ port: server.port });
  await using backends = new Backends();
  const backend = backends.make(proxy.port, { username: 'keeper', password: 'pass', ttlMs: 10_000 });
  const held = new Stay(backend, lock('permitted'));
  const place = await held.admitted();
  const states: Session['state'][] = [];
  backend.session$.subscribe(({ state }) => states.push(state));
  const { connectionsAccepted } = proxy.counters;

  const looks = ['secret', 'other'].map((name) =>
    firstValueFrom(backend.entries(lock(name))).catch((error: unknown) => error),
  );
  const waiting = new Stay(backend, lock('permitted'));
  for (const [index, look] of looks.entries()) {
    const refusal = await look;
    expect(refusal).toBeInstanceOf(PermissionDenied);
    const said = String(refusal);
    for (const word of [
      ['"secret/', '"other/'][index] ?? '',
      `127.0.0.1:${proxy.port}`,
      '"keeper"',
      'grant-permission',
    ])
      expect(said).toContain(word);
  }
  await waiting.waiting();
  held.leave();
  await waiting.admitted();
  expect(place.isValid()).toBe(false);
  expect(states).toEqual(['live']);
  expect(proxy.counters.connectionsAccepted).toBe(connectionsAccepted);
});

it('refuses to stand where one may not write, and names the keys', async () => {
  await using backends = new Backends();
  const backend = backends.make(server.port, { username: 'keeper', password: 'pass' });
  const held = new Stay(backend, lock('permitted'));
  const place = await held.admitted();
  const refusal = await new Stay(backend, lock('secret')).failure();
  expect(refusal).toBeInstanceOf(PermissionDenied);
  expect(String(refusal)).toMatch(/"secret\/.*readwrite/);
  expect(place.isValid()).toBe(true);
  await firstWithin(backend.session$, ({ state }) => state === 'live', 1_000, 'the session, live');
});

it('says which right is missing when the store may not be asked whether it answers', async () => {
  await using backends = new Backends();
  const backend = backends.make(server.port, { username: 'keeper', password: 'pass', namespace: 'shop' });
  const refusal = await live(backend).catch((error: Error) => error.cause ?? error);
  expect(refusal).toBeInstanceOf(PermissionDenied);
  expect(String(refusal)).toContain('"shop/conclave/probe"');
});

/** What needs rights, each to its end. */
const uses: readonly ((backend: Backend) => Observable<unknown>)[] = [
  (backend) => join(backend, 'workers', { id: backend.newId(), create: true }),
  (backend) => members(backend, 'workers').pipe(filter((ids) => ids.size > 0)),
  (backend) => groups(backend).pipe(filter((names) => names.has('workers'))),
  (backend) => withLock(backend, 'invoice-42', () => of('done')),
  (backend) => tryLock(backend, 'invoice-42'),
  (backend) => holders(backend, 'invoice-42'),
  (backend) => campaign(backend, 'scheduler'),
  (backend) => leader(backend, 'scheduler'),
  (backend) => backend.swap('rate', 'any', new Uint8Array([1])),
  (backend) => backend.cell('rate'),
];

const looks: typeof uses = [
  (backend) => members(backend, 'workers'),
  (backend) => groups(backend),
  (backend) => holders(backend, 'invoice-42'),
  (backend) => leader(backend, 'scheduler'),
  (backend) => backend.cell('rate'),
];

const useAll = (backend: Backend, what: typeof uses): Promise<unknown> =>
  firstValueFrom(forkJoin(what.map((use) => use(backend).pipe(take(1)))).pipe(timeout(10_000)));

it('the rights that are documented are enough, and those to read for whoever looks', async () => {
  expect(documented.length).toBeGreaterThan(5);
  await using backends = new Backends();
  const backend = backends.make(server.port, { username: 'app', password: 'pass' });
  const faults: unknown[] = [];
  backend.faults$.subscribe((fault) => faults.push(fault));
  await useAll(backend, uses);
  await useAll(backends.make(server.port, { username: 'looker', password: 'pass' }), looks);
  await backend.close();
  expect(faults).toEqual([]);
});

it.each(documented.map((right, each) => [right.join(' '), each]))('the right to %s is needed', async (_, each) => {
  await using backends = new Backends();
  const backend = backends.make(server.port, { username: `without-${each}`, password: 'pass' });
  await expect(useAll(backend, uses)).rejects.toBeInstanceOf(PermissionDenied);
});
