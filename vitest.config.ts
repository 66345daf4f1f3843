import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { redisClient, redisClientEnv } from './test/support/redis-client/plugin.mjs';

const fromRoot = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const globalSetup = fromRoot('./test/support/global-setup.ts');

export default defineConfig({
  plugins: [redisClient()],
  resolve: {
    alias: [
      { find: './here.cjs', replacement: fromRoot('./test/support/here.ts') },
      { find: /^conclave$/, replacement: fromRoot('./src/index.ts') },
      { find: /^conclave\/testing$/, replacement: fromRoot('./src/testing/index.ts') },
      { find: /^conclave\/testing\/vitest$/, replacement: fromRoot('./src/testing/vitest.ts') },
      { find: /^conclave\/(memory|redis|etcd|zookeeper)$/, replacement: fromRoot('./src/backends/$1/index.ts') },
      { find: /^conclave\/backend$/, replacement: fromRoot('./src/backends/index.ts') },
      { find: /^conclave\/testing\/(servers|conformance)$/, replacement: fromRoot('./src/testing/$1/index.ts') },
    ],
  },
  test: {
    env: redisClientEnv,
    include: ['test/**/*.test.ts', 'examples/**/*.test.ts'],
    globalSetup: existsSync(globalSetup) ? [globalSetup] : [],
    setupFiles: ['fixed-seed', 'fail-on-leaks'].map((name) => fromRoot(`./test/support/${name}.ts`)),
    reporters: ['default', fromRoot('./test/support/tally.ts')],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
    dangerouslyIgnoreUnhandledErrors: false,
    typecheck: {
      enabled: true,
      include: ['test/**/*.test-d.ts'],
      tsconfig: './tsconfig.json',
      // Errors outside of the type tests are the business of `npm run typecheck`.
      ignoreSourceErrors: true,
    },
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      reporter: ['text', 'html'],
    },
  },
});
