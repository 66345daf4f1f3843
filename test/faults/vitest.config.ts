import { defineConfig } from 'vitest/config';
import { redisClient, redisClientEnv } from '../support/redis-client/plugin.mjs';

/** Nothing of these is in the selection: their servers need not be started for it. */
const unselected = ['etcd-removed', 'redis-cluster-emptied', 'redis-cluster-lagging', 'redis-cluster'];

/**
 * The fault matrix: `npm run test:faults`. Not part of `npm test`, since it takes minutes. `npm run test:faults:selection`
 * runs a few rows of each kind.
 */
export default defineConfig(({ mode }) => ({
  plugins: [redisClient()],
  test: {
    env: redisClientEnv,
    dir: 'test/faults',
    include: ['**/*.faults.ts'],
    exclude: mode === 'selection' ? unselected.map((file) => `**/${file}.faults.ts`) : [],
    pool: 'forks',
    // The servers and actors of one store at a time share the processors, or their stalls would hide the library's.
    maxWorkers: 2,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    setupFiles: ['./test/support/fail-on-leaks.ts'],
    reporters: ['verbose', './test/support/tally.ts'],
  },
}));
