import { explore, InvariantBroken } from '../../src/testing/explore.js';
import { type Hazard, hazards, whatIsBroken } from './hazards.js';
import { allRecipes, election, exclusion, OVER_MS } from './recipes.js';
import { reopenings } from './reopenings.js';

// Prints how a library that was weakened when it was loaded is broken: in one hazard, or in its election's exclusion.
const [hazard = 'exclusion', first = 1, seeds = 1_000] = process.argv.slice(2);
const options = { seed: Number(first), seeds: Number(seeds) };
const calmMs = OVER_MS;

/** Replies are late, and then there are none. Of processes that end, none is told late of anything. */
const SLOWNESS = ['partition', 'pause', 'loseReply', 'delay'] as const;
/** Of processes that end, none is suspended for long enough. */
const SUSPENSION = ['partition', 'pause', 'suspend', 'restartStore', 'loseReply', 'delay', 'jumpClock'] as const;

const exploring: Readonly<Record<string, () => Promise<unknown>>> = {
  exclusion: () =>
    explore({ ...options, steps: 100, faults: SLOWNESS }, election, (doings, { cluster }) =>
      exclusion(doings, cluster),
    ),
  suspension: () =>
    explore({ ...options, steps: 50, calmMs, faults: SUSPENSION }, allRecipes, (doings, { cluster }) =>
      exclusion(doings, cluster),
    ),
  reopening: () => reopenings(options),
};

try {
  await (
    exploring[hazard] ??
    (() =>
      explore({ ...options, steps: 50, calmMs }, hazards, (told, moment) =>
        whatIsBroken(told, moment, hazard as Hazard),
      ))
  )();
  console.log('null');
} catch (error) {
  if (!(error instanceof InvariantBroken)) throw error;
  console.error(error.message);
  const { seed, reason, faults } = error;
  console.log(JSON.stringify({ seed, reason, faults }));
}
