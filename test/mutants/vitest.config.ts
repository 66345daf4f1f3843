import { defineConfig, mergeConfig } from 'vitest/config';
import base from '../../vitest.config.js';

/** What the conformance suite catches: `npm run mutants`. No server is involved. */
export default mergeConfig(
  { ...base, test: { ...base.test, globalSetup: [], include: [] } },
  defineConfig({ test: { include: ['test/mutants/*.mutants.ts'], maxConcurrency: 24, typecheck: { enabled: false } } }),
);
