import { firstValueFrom } from 'rxjs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Session } from '../../../src/backends/backend.js';
import { PermissionDenied } from '../../../src/backends/errors.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { startEtcd } from '../../../src/testing/servers/etcd.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { Backends, enableUsers, live, lock, Stay } from './support.js';

let server: TestServer;

beforeAll(async () => {
  server = await startEtcd();
  await enableUsers(server.port, {
    keeper: [
      ['readwrite', '--prefix', 'permitted/'],
      ['readwrite', '--prefix', 'conclave/refused/'],
      ['read', 'conclave/probe'],
    ],
  });
});
afterAll(() => server[Symbol.asyncDispose]());

it('refuses one look to who may not look, and to nobody else', async () => {
  await using proxy = await startProxy({ port: server.port });
  await using backends = new Backends();
  const backend = backends.make(proxy.port, { username: 'keeper', password: 'pass' });
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
