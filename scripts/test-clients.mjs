/*
 * Tries the Redis backend with each client that it takes, in place of the one that `npm test` finds: ioredis 5, and
 * node-redis 6 and 5 without ioredis. All of Redis's own tests, the conformance suite on one server and on a cluster,
 * and a selection of the fault laboratory, whose results go to a folder of their own. Give names of clients to try only
 * those.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const clients = ['ioredis-5', 'node-redis-6', 'node-redis-5'];
const tests = [
  ...['test/backends/redis', 'test/backends/tls.test.ts'],
  ...['test/hostile/replies.redis.test.ts', 'test/hostile/redis-garbage.test.ts'],
];
const cells = ['partition: black hole$', 'partition: replies lost', 'server restart, data kept', 'blocked event loop'];
// This one tries all clients as it is.
const except = ['--exclude', 'test/backends/redis/clients.test.ts'];
const faults = ['--config', 'test/faults/vitest.config.ts', 'redis.faults', '-t', cells.join('|')];

const named = process.argv.slice(2);
const unknown = named.filter((name) => !clients.includes(name));
if (unknown.length > 0) throw new Error(`there is no ${unknown.join(', ')}: say any of ${clients.join(', ')}`);

const failed = [];
for (const client of named.length > 0 ? named : clients)
  for (const run of [['--typecheck.enabled=false', ...except, ...tests], faults]) {
    console.log(`\n=== ${client}: vitest run ${run.join(' ')} ===`);
    const { status } = spawnSync('npx', ['vitest', 'run', ...run], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, CONCLAVE_REDIS_CLIENT: client, CONCLAVE_FAULTS_REPORTS: `reports/faults-${client}` },
    });
    if (status !== 0) failed.push(`${client}: ${run.join(' ')}`);
  }
if (failed.length > 0) throw new Error(`failed:\n${failed.join('\n')}`);
