import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { etcd } from '../../src/backends/etcd/index.js';
import { redis } from '../../src/backends/redis/index.js';
import { connect, lock } from '../../src/index.js';
import { Probe } from '../../src/testing/conformance/probe.js';
import { firstWithin } from '../../src/testing/processes/until.js';
import { ReservedPorts } from '../../src/testing/servers/ports.js';
import { startRedis, startRedisCluster } from '../../src/testing/servers/redis.js';
import { nothingEscapes } from '../hostile/support.js';
import { type Certificate, newCertificate } from '../support/certificate.js';
import { clientUnderTest } from '../support/redis-client/packages.mjs';
import { startSecuredEtcd } from '../support/secured-etcd.js';

const ttlMs = 2_000;
const soonMs = 10_000;
const ports = new ReservedPorts();
afterAll(() => ports[Symbol.dispose]());

let certificate: Certificate;
let other: Certificate;
beforeAll(() => {
  certificate = newCertificate();
  other = newCertificate();
});

interface Secured extends AsyncDisposable {
  /** Without any certificate but the system's. */
  readonly url: string;
  /** Who trusts this one. */
  trusting(certificate: Certificate): Backend;
}

const common = { ttlMs, initialBackoffMs: 20, maxBackoffMs: 200 };

function tlsOfRedis(port: number): readonly string[] {
  const { certFile, keyFile } = certificate;
  return [
    ...['--tls-port', `${port}`, '--tls-cert-file', certFile, '--tls-key-file', keyFile],
    ...['--tls-ca-cert-file', certFile, '--tls-auth-clients', 'no'],
  ];
}

async function securedRedis(): Promise<Secured> {
  const port = await ports.take();
  const server = await startRedis({ args: tlsOfRedis(port) });
  return {
    url: `rediss://127.0.0.1:${port}`,
    trusting: ({ pem }) => redis({ ...common, host: '127.0.0.1', port, tls: { ca: pem } }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function securedCluster(): Promise<Secured> {
  const taken = await Promise.all([ports.take(), ports.take(), ports.take()]);
  const cluster = await startRedisCluster({
    // The nodes name each other as their certificates do.
    argsOf: (index) => [
      ...[...tlsOfRedis(taken[index] ?? 0), '--tls-cluster', 'yes'],
      ...['--cluster-announce-hostname', 'localhost', '--cluster-preferred-endpoint-type', 'hostname'],
    ],
  });
  const seeds = taken.map((port) => ({ host: '127.0.0.1', port }));
  return {
    url: `rediss-cluster://${seeds.map(({ host, port }) => `${host}:${port}`).join(',')}`,
    trusting: ({ pem }) => redis({ ...common, cluster: seeds, tls: { ca: pem } }),
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

async function securedEtcd(): Promise<Secured> {
  const server = await startSecuredEtcd(ports, certificate);
  // Its client asks for the name of an address otherwise, against which Node warns.
  const host = `localhost:${server.securePort}`;
  return {
    url: `etcds://${host}`,
    trusting: ({ pem: rootCertificate }) => etcd({ ...common, hosts: `https://${host}`, tls: { rootCertificate } }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Where node-redis is tried, ioredis is not there. */
const libraries = clientUnderTest.startsWith('node-redis')
  ? (['node-redis'] as const)
  : (['ioredis', 'node-redis'] as const);

test.each(libraries)(
  'of a certificate that %s refuses a socket may tell twice, which ends no process',
  async (library) => {
    await using server = await securedRedis();
    const { hostname: host, port } = new URL(server.url);
    const said = { ttlMs, initialBackoffMs: 5, maxBackoffMs: 5, client: library, tls: { ca: other.pem } };
    const backends = Array.from({ length: 8 }, () => redis({ ...said, host, port: Number(port) }));
    const manyAttempts = backends.map(({ session$ }) =>
      firstWithin(session$, (each) => each.state === 'connecting' && each.attempt > 100, 30_000, 'many attempts'),
    );
    await Promise.all(manyAttempts);
    await Promise.all(backends.map((backend) => backend.close()));
  },
  40_000,
);

nothingEscapes();

describe.each([
  ['Redis', securedRedis],
  ['Redis Cluster', securedCluster],
  ['etcd', securedEtcd],
])('%s over TLS', (_, start) => {
  let server: Secured;
  beforeAll(async () => {
    server = await start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test('a lock is held, waited for and handed on', async () => {
    await using mine = server.trusting(certificate);
    await using theirs = server.trusting(certificate);
    for (const name of ['ledger', 'invoices', 'stock']) {
      using holder = new Probe(lock(mine, name), soonMs);
      const { token } = await holder.first('the lock');
      using next = new Probe(lock(theirs, name), soonMs);
      holder.unsubscribe();
      expect((await next.first('the lock, handed on')).token).toBeGreaterThan(token);
    }
  });

  test.each([
    ['signed by an authority that is not known', () => connect(server.url, common)],
    ['not the one that is trusted', () => server.trusting(other)],
  ])('a certificate that is %s is refused, and it says so', async (_what, connected) => {
    await using backend = connected();
    using session = new Probe(backend.session$, soonMs);
    const failed = await session.ever(
      (each) => each.state === 'connecting' && each.attempt > 0,
      'an attempt that failed',
    );
    expect('cause' in failed && failed.cause?.message).toMatch(/certificate/);
    expect(session.hasEnded).toBe(false);
  });
});
