import type { Way } from './actor/turn.js';
import type { Cell } from './cell.js';
import { cut, delayed } from './faults.js';
import type { Actor, Run } from './laboratory.js';
import { ttlMs } from './stores.js';

const overTtlMs = 1.6 * ttlMs;
const faults = ['crash', 'pause', 'block', 'cut', 'one way', 'delayed, then cut'] as const;

/** Breaks one of those who take part, for longer than a session lives. It holds something at most times, alone or beside others. */
export async function breakSomebody(
  run: Run,
  victim: Actor = run.random.pick(run.actors),
  awayMs = overTtlMs,
): Promise<void> {
  const what = run.random.pick(faults);
  run.note(`${victim.name}: ${what}`);
  switch (what) {
    case 'crash':
      await Promise.all([run.kill(victim), run.enlistAnother()]);
      return;
    case 'pause':
      return run.pause(victim, awayMs);
    case 'block':
      await victim.process.request('block', awayMs, run.random.next() < 0.5);
      return;
    case 'cut':
      return run.during(cut([victim]), awayMs);
    case 'one way':
      return run.during(cut([victim], run.random.pick(['toServer', 'toClient'])), awayMs);
    case 'delayed, then cut':
      return run.during(delayed([victim], { toClientMs: 0.23 * ttlMs }), () =>
        run.during(cut([victim], 'toServer'), awayMs),
      );
  }
}

/** What several hold, or one holds several of, while those who hold it are broken. */
function sharing({ name, shortWay }: { readonly name: string; readonly shortWay: Way }): Cell {
  return {
    name,
    actors: 5,
    // What is sent up to the deadline is heard, if late.
    nextHolderMs: 2 * ttlMs + 1_000,
    habits: { shortLocks: 2, shortWay, shortHoldMs: [5, 60], shortPauseMs: [5, 60] },
    scenario: async (run) => {
      for (let index = 0; index < 6; index += 1) {
        run.round();
        await breakSomebody(run);
        await run.untilAllTakePart();
      }
    },
  };
}

export const sharingCells: readonly Cell[] = [
  sharing({ name: 'readers and writers, broken while they hold', shortWay: 'shared' }),
  sharing({ name: 'a semaphore of two, its holders broken', shortWay: 'permits' }),
  sharing({ name: 'three locks at once in opposite orders, their holders broken', shortWay: 'several' }),
];
