import { memory } from '../../src/backends/memory/index.js';
import { MemoryStore } from '../../src/backends/memory/memory-store.js';
import { backendConformance } from '../../src/testing/conformance/conformance.js';
import { withinProcess } from '../../src/testing/conformance/within-process.js';

const store = new MemoryStore();

backendConformance(
  (options) => memory({ ...options, store }),
  withinProcess({
    name: 'memory',
    url: 'memory:conformance',
    ttlMs: 2_000,
    hasOwnClock: true,
    store,
    newStore: () => new MemoryStore(),
    declares: {
      distributed: false,
      fair: true,
      tokensSurviveRestart: true,
      tokensSurviveDataLoss: true,
      consistentFailover: true,
      cells: true,
    },
  }),
);
