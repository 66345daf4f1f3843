import { backendConformance, withinProcess } from 'conclave/testing/conformance';
import { mapBackend } from './map-backend.js';
import { MapStore } from './map-store.js';

const store = new MapStore();

backendConformance(
  (options) => mapBackend({ ...options, store }),
  withinProcess({
    name: 'map',
    url: 'map:conformance',
    module: new URL('./map-backend.ts', import.meta.url),
    ttlMs: 2_000,
    hasOwnClock: false,
    store,
    newStore: () => new MapStore(),
    declares: {
      distributed: false,
      fair: true,
      tokensSurviveRestart: true,
      tokensSurviveDataLoss: false,
      consistentFailover: true,
      cells: true,
    },
  }),
);
