import type { Cell } from './cell.js';
import { serverDown } from './faults.js';
import { type Actor, type Run, scheduleElection } from './laboratory.js';
import { breakSomebody } from './sharing.js';
import { ttlMs } from './stores.js';

/** Each ticks by two schedules; who does the ticks is broken. */
function scheduling(cell: Pick<Cell, 'name' | 'scenario'>, everyMs: number): Cell {
  return {
    ...cell,
    // What is sent up to the deadline is heard, if late; and ticks that were missed are done one after the other.
    nextHolderMs: 2 * ttlMs + 1_500,
    membershipMs: 2 * ttlMs + 1_500,
    habits: { shortLocks: 1, tickEveryMs: everyMs },
  };
}

export const scheduledTicks: Cell = scheduling(
  {
    name: 'ticks of a schedule, their runners broken',
    scenario: async (run) => {
      for (let index = 0; index < 6; index += 1) {
        run.round();
        await breakSomebody(run, await run.untilHeld(scheduleElection));
        await run.untilAllTakePart();
      }
    },
  },
  250,
);

/** For as long as is wanted, three processes and one tick a second, with a restart of the store now and then. */
export function tickingFor(ms: number): Cell {
  return {
    ...scheduling(
      {
        name: `ticks of a schedule for ${Math.round(ms / 1_000)} s`,
        scenario: async (run) => {
          const until = performance.now() + ms;
          for (let index = 0; performance.now() < until; index += 1) {
            run.round();
            if (index % 4 === 3) await restart(run);
            else await breakSomebody(run, await run.untilHeld(scheduleElection, await runnerGone(run)));
            await run.untilAllTakePart();
          }
        },
      },
      1_000,
    ),
    actors: 3,
  };
}

async function restart(run: Run): Promise<void> {
  const [server] = run.store.nodes;
  if (server === undefined) throw new Error('there is no server');
  await run.during(serverDown(server, { keepData: true }), run.random.between(0, ttlMs));
}

/** Who was the last to begin a tick, if it is there no more. */
async function runnerGone(run: Run): Promise<Actor | undefined> {
  const last = run.holderOf(scheduleElection);
  return last === undefined || run.actors.includes(last) ? undefined : last;
}
