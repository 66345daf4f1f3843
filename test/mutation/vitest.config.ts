import { defineConfig } from 'vitest/config';

/** What the mutants must stand up to: the tests in virtual time, which need no server. */
export default defineConfig({
  test: {
    include: ['test/{kernel,observables,operators}/**/*.test.ts'],
    setupFiles: ['test/mutation/fewer-runs.ts'],
    // One module graph for all files: importing it anew for each takes longer than the tests. A mutant gets its own.
    isolate: false,
    // Virtual time takes none: what hangs is wrong. Less than Stryker waits, and enough beside other work.
    testTimeout: 20_000,
    reporters: ['dot'],
  },
});
