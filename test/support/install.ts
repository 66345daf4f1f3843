import { execFile } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { etcdServer } from '../../src/testing/servers/etcd.js';
import { mariaDbServer } from '../../src/testing/servers/mariadb.js';
import { postgresServer } from '../../src/testing/servers/postgres.js';
import { isInstalled, isOnPath } from '../../src/testing/servers/program.js';
import { redisServer } from '../../src/testing/servers/redis.js';
import { zooKeeperServer } from '../../src/testing/servers/zookeeper.js';

interface Product {
  readonly package: string;
  /** Names a server that is there already, which is then used instead of one of our own. Clients have none. */
  readonly variable?: string;
  isInstalled(): boolean;
}

export const products = {
  redis: {
    package: redisServer.debianPackage,
    variable: 'CONCLAVE_TEST_REDIS_URL',
    isInstalled: () => isInstalled(redisServer),
  },
  etcd: {
    package: etcdServer.debianPackage,
    variable: 'CONCLAVE_TEST_ETCD_URL',
    isInstalled: () => isInstalled(etcdServer),
  },
  zookeeper: {
    package: 'zookeeper',
    variable: 'CONCLAVE_TEST_ZOOKEEPER_URL',
    isInstalled: () => zooKeeperServer.every(isInstalled),
  },
} as const satisfies Record<string, Product>;

/** What is written to under a token, programs of others with which the tests share a store, what stalls a disk, makes certificates, and builds the shim of shifted-clock.ts. */
const others: readonly Product[] = [
  { package: 'postgresql', isInstalled: () => isInstalled(postgresServer()) },
  { package: 'mariadb-server', isInstalled: () => isInstalled(mariaDbServer()) },
  { package: 'gcc', isInstalled: () => isOnPath('gcc') },
  { package: 'libc6-dev', isInstalled: () => existsSync('/usr/include/stdio.h') },
  { package: 'etcd-client', isInstalled: () => isOnPath('etcdctl') },
  { package: 'openssl', isInstalled: () => isOnPath('openssl') },
  { package: 'strace', isInstalled: () => isOnPath('strace') },
  { package: 'python3-kazoo', isInstalled: () => existsSync('/usr/lib/python3/dist-packages/kazoo') },
  { package: 'libcurator-recipes-java', isInstalled: () => existsSync('/usr/share/java/curator-recipes.jar') },
  { package: 'default-jdk-headless', isInstalled: () => existsSync('/usr/bin/javac') },
];

const servicesStayOff = '/usr/sbin/policy-rc.d';

/**
 * Installs the servers that are missing and that no variable names. Root on Debian and Ubuntu can do that; for everyone
 * else it rejects and says what to install. A server that is missing is a failure, never a reason to skip tests. `also` is
 * what only the caller needs.
 */
export async function ensureServers(also: readonly Product[] = []): Promise<void> {
  const missing = missingProducts(also);
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0 || !isOnPath('apt-get')) throw new Error(advice(missing, 'are not installed'));
  await withServicesOff(() => install(missing));
  const stillMissing = missingProducts(also);
  if (stillMissing.length > 0) throw new Error(advice(stillMissing, 'are not there, although apt-get installed them'));
}

function missingProducts(also: readonly Product[]): Product[] {
  return [...Object.values<Product>(products), ...others, ...also].filter(
    ({ variable, isInstalled }) => (variable === undefined || !process.env[variable]) && !isInstalled(),
  );
}

async function install(missing: readonly Product[]): Promise<void> {
  const apt = (...args: readonly string[]): Promise<unknown> =>
    promisify(execFile)('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      maxBuffer: 64 * 1_024 * 1_024,
    });
  try {
    await apt('update');
    await apt('install', '-y', ...missing.map((product) => product.package));
  } catch (error) {
    const output = error instanceof Error && 'stderr' in error ? String(error.stderr).slice(-2_000) : String(error);
    throw new Error(`${advice(missing, 'could not be installed')}. apt-get said: ${output}`, { cause: error });
  }
}

/** Debian starts a service when it is installed, on the product's usual port, unless this file forbids it. */
async function withServicesOff(work: () => Promise<void>): Promise<void> {
  const ours = !existsSync(servicesStayOff);
  if (ours) writeFileSync(servicesStayOff, '#!/bin/sh\nexit 101\n', { mode: 0o755, flag: 'wx' });
  try {
    await work();
  } finally {
    if (ours) rmSync(servicesStayOff, { force: true });
  }
}

function advice(missing: readonly Product[], problem: string): string {
  const packages = missing.map((product) => product.package).join(' ');
  const variables = missing.flatMap(({ variable = [] }) => variable).join(', ');
  const orSet = variables === '' ? '' : `, or set ${variables} to the URLs of servers that are there already`;
  return (
    `programs that the tests need ${problem}: ${packages}. Run \`apt-get install ${packages}\` as root on Debian 12 or ` +
    `Ubuntu${orSet}`
  );
}
