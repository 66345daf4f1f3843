import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test, vi } from 'vitest';
import { ensureServers, products } from './install.js';

/** A search path on which no server is to be found. */
const withoutServers = mkdtempSync(join(tmpdir(), 'conclave-path-'));
for (const program of ['etcdctl', 'gcc', 'openssl', 'strace'])
  writeFileSync(join(withoutServers, program), '#!/bin/sh\n', { mode: 0o755 });

afterEach(() => {
  vi.unstubAllEnvs();
});

afterAll(() => rmSync(withoutServers, { recursive: true }));

test('servers that are installed are enough', async () => {
  await ensureServers();
});

test('servers that variables name need not be installed', async () => {
  vi.stubEnv('PATH', withoutServers);
  for (const { variable } of Object.values(products)) vi.stubEnv(variable, 'some://server');
  await ensureServers();
});

test('a missing server is a failure that says what to install', async () => {
  vi.stubEnv('PATH', withoutServers);
  vi.stubEnv('CONCLAVE_TEST_ETCD_URL', 'etcd://127.0.0.1:2379');
  for (const product of [products.redis, products.zookeeper]) vi.stubEnv(product.variable, '');
  await expect(ensureServers()).rejects.toThrow(
    'programs that the tests need are not installed: redis-server zookeeper. ' +
      'Run `apt-get install redis-server zookeeper` as root on Debian 12 or Ubuntu, ' +
      'or set CONCLAVE_TEST_REDIS_URL, CONCLAVE_TEST_ZOOKEEPER_URL to the URLs of servers that are there already',
  );
});
