import { firstValueFrom, timer } from 'rxjs';
import { expect, it } from 'vitest';
import type { Session } from '../../../src/backends/backend.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { startEtcd } from '../../../src/testing/servers/etcd.js';
import { ReservedPorts } from '../../../src/testing/servers/ports.js';
import { startProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { newCertificate } from '../../support/certificate.js';
import { startSecuredEtcd } from '../../support/secured-etcd.js';
import { Backends, enableUsers, live, lock, Stay } from './support.js';

const root = { username: 'root', password: 'secret' };
const timing = { ttlMs: 6_000, requestTimeoutMs: 500, renewEveryMs: 400 };

it('a user whose connection is half open makes another, and loses nothing', async () => {
  await using server = await startEtcd();
  await enableUsers(server.port);
  await using proxy = await startProxy({ port: server.port });
  await using backends = new Backends();
  const backend = backends.make(proxy.port, { ...root, ...timing });
  const place = await new Stay(backend, lock('held')).admitted();
  // Those that are there now lead nowhere from here on, and nobody is told.
  const old = new Set<Buffer>();
  proxy.blackhole((greeting) => old.add(greeting) === old);
  await firstWithin(backend.session$, ({ state }) => state === 'suspended', 5_000, 'the suspension');
  proxy.blackhole((greeting) => old.has(greeting));
  await firstWithin(backend.session$, ({ state }) => state === 'live', 5_000, 'another connection');
  expect(place.isValid()).toBe(true);
});

it('a user has one socket, however often the connection was broken, and none after close()', async () => {
  using ports = new ReservedPorts();
  const certificate = newCertificate();
  await using server = await startSecuredEtcd(ports, certificate);
  await enableUsers(server.port);
  await using proxy = await startProxy({ port: server.securePort });
  await using backends = new Backends();
  const backend = backends.make(0, {
    ...root,
    ...timing,
    // The client asks for the name of an address otherwise, against which Node warns.
    hosts: `https://localhost:${proxy.port}`,
    tls: { rootCertificate: certificate.pem },
  });
  const waiting = new Stay(backend, lock('held'));
  await waiting.admitted();
  for (let each = 0; each < 3; each++) {
    const { connectionsAccepted } = proxy.counters;
    proxy.resetAll();
    await expect
      .poll(() => proxy.counters.connectionsAccepted, { timeout: 5_000 })
      .toBeGreaterThan(connectionsAccepted);
    await firstWithin(backend.session$, ({ state }) => state === 'live', 5_000, 'another connection');
    await expect.poll(() => proxy.connections()).toBe(1);
  }
  await backend.close();
  await expect.poll(() => proxy.connections()).toBe(0);
});

it('attempts that were refused leave nothing behind that connects by itself later', async () => {
  await using server = await startEtcd();
  await using proxy = await startProxy({ port: server.port });
  await using backends = new Backends();
  proxy.refuse();
  const backend = backends.make(proxy.port);
  const tried = (session: Session): boolean => session.state === 'connecting' && session.attempt > 3;
  await firstWithin(backend.session$, tried, 5_000, 'some attempts');
  // What was closed tries once more at once, in vain; the next attempt is still to come.
  await firstValueFrom(timer(50));
  await proxy.heal();
  await live(backend);
  // gRPC pauses for a second, and more after each failure, before it connects again.
  await firstValueFrom(timer(2_500));
  expect(proxy.connections()).toBe(1);
  await backend.close();
  await expect.poll(() => proxy.connections()).toBe(0);
});
