/*
 * conclave's own recipes under random faults in virtual time: exclusion, token order, no ghosts, liveness. Ten thousand
 * seeds by default, half of them in each of two processes; `npm run explore -- 500 20000` begins with another seed and
 * takes more. A tenth of them goes to what has gone wrong before, to what several hold, which takes longer, to what is divided,
 * and to who takes over; a twentieth to schedules. Fails with the shrunk faults.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { explore, InvariantBroken } from '../src/testing/explore.js';
import { dividers, whatIsDividedWrongly } from '../test/testing/dividers.js';
import { hazards, whatIsBroken } from '../test/testing/hazards.js';
import { identities, whatIsConfused } from '../test/testing/identities.js';
import { allRecipes, OVER_MS, whatIsWrong } from '../test/testing/recipes.js';
import { reopenings } from '../test/testing/reopenings.js';
import { schedules, whatIsMistimed } from '../test/testing/schedules.js';
import { sharers, whatIsSharedWrongly } from '../test/testing/sharers.js';

const PROCESSES = 2;
/** By then items are divided evenly again. */
const DIVIDED_MS = 2 * OVER_MS;
const [first = 1, seeds = 10_000, isPart = 0] = process.argv.slice(2).map(Number);

if (isPart) {
  try {
    const { faults, simulatedMs } = await explore(
      { seed: first, seeds, steps: 50, calmMs: OVER_MS },
      allRecipes,
      whatIsWrong,
    );
    const tenth = { seed: first, seeds: Math.ceil(seeds / 10) };
    await explore({ ...tenth, steps: 50, calmMs: OVER_MS }, hazards, (told, moment) => whatIsBroken(told, moment));
    await explore({ ...tenth, steps: 50, calmMs: OVER_MS }, (cluster) => sharers(cluster), whatIsSharedWrongly);
    await explore({ ...tenth, steps: 50, calmMs: OVER_MS }, (cluster) => identities(cluster), whatIsConfused);
    // One tick after the other, each with its claim: what is simulated takes three times as long.
    const twentieth = { seed: first, seeds: Math.ceil(seeds / 20) };
    await explore(
      { ...twentieth, steps: 50, calmMs: OVER_MS + 1_000 },
      (cluster) => schedules(cluster),
      whatIsMistimed,
    );
    await explore({ ...tenth, steps: 50, calmMs: DIVIDED_MS }, (cluster) => dividers(cluster), whatIsDividedWrongly);
    await reopenings(tenth);
    console.log(
      `seeds ${first} to ${first + seeds - 1} hold: ${faults} faults, ${Math.round(simulatedMs / 1_000)} s simulated`,
    );
  } catch (error) {
    if (!(error instanceof InvariantBroken)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
} else {
  const startMs = performance.now();
  const share = Math.ceil(seeds / PROCESSES);
  const parts = Array.from({ length: PROCESSES }, (_, i) => {
    const [from, count] = [first + i * share, Math.min(share, seeds - i * share)];
    const args = [...process.execArgv, import.meta.filename, `${from}`, `${count}`, '1'];
    return once(spawn(process.execPath, args, { stdio: 'inherit' }), 'exit');
  });
  const codes = (await Promise.all(parts)).map(([code]) => code);
  console.log(`${seeds} seeds in ${Math.round((performance.now() - startMs) / 1_000)} s`);
  if (codes.some((code) => code !== 0)) process.exitCode = 1;
}
