import type { Cell } from './cell.js';
import type { Run } from './laboratory.js';
import { breakSomebody } from './sharing.js';
import { ttlMs } from './stores.js';

const actors = 5;
/** Of each, when nothing is broken. */
const share = 3;
const settledMs = 500;
const items = Array.from({ length: actors * share }, (_, index) => `item-${index}`);

/** What is divided among members, who are broken: of each item one owner, and soon another one. */
export const dividedItems: Cell = {
  name: 'items divided among members, who are broken',
  actors,
  // What is sent up to the deadline is heard, if late; then the members settle.
  nextHolderMs: 2 * ttlMs + settledMs + 1_500,
  habits: { shortLocks: 1, divides: { items, settledMs } },
  scenario: async (run) => {
    await untilDivided(run);
    run.round();
    // Who has been there longest plans.
    const [planner] = run.actors;
    if (planner !== undefined) await Promise.all([run.kill(planner), run.enlistAnother()]);
    await untilDivided(run);
    for (const isWatched of [false, true, true]) {
      run.round();
      // So long that its items have other owners by the time it comes back.
      await breakSomebody(run, run.random.pick(run.actors), 2 * ttlMs + settledMs);
      await run.untilAllTakePart();
      // Otherwise the next one is broken while items move.
      if (isWatched) await untilDivided(run);
    }
  },
};

/** Waits until each has its share, so that no item is left. */
async function untilDivided({ actors: all }: Run): Promise<void> {
  await Promise.all(all.map(({ process }) => process.request('untilOwns', share)));
}
