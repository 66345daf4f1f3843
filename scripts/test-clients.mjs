/*
 * Tries the Redis backend with each client that it takes, in place of the one that `npm test` finds: ioredis 5, and
 * node-redis 6 and 5 without ioredis. The conformance suite and rubbish replies; with `all`, or the name of one
 * client, also clusters, sentinels, TLS and what has tests of its own.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const always = ['test/backends/redis.test.ts', 'test/hostile/replies.redis.test.ts'];
const more = ['test/backends/redis', 'test/backends/tls.test.ts', 'test/hostile/redis-garbage.test.ts'];
const clients = ['ioredis-5', 'node-redis-6', 'node-redis-5'];

const [which] = process.argv.slice(2);
if (which !== undefined && which !== 'all' && !clients.includes(which))
  throw new Error(`say all, or one of ${clients.join(', ')}, and not ${which}`);

for (const client of which === undefined || which === 'all' ? clients : [which]) {
  console.log(`\n=== ${client} ===`);
  const files = which === undefined ? always : [...new Set([...always, ...more])];
  execFileSync('npx', ['vitest', 'run', '--typecheck.enabled=false', ...files], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, CONCLAVE_REDIS_CLIENT: client },
  });
}
