import { explore, InvariantBroken } from '../../src/testing/explore.js';
import { election, exclusion } from './recipes.js';

// Prints how conclave's election is broken by a library that was weakened when it was loaded.
try {
  await explore({ seeds: 1_000, steps: 100 }, election, (doings, { cluster }) => exclusion(doings, cluster));
  console.log('null');
} catch (error) {
  if (!(error instanceof InvariantBroken)) throw error;
  console.error(error.message);
  const { seed, reason, faults } = error;
  console.log(JSON.stringify({ seed, reason, faults }));
}
