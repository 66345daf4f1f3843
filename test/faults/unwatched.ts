import { setTimeout as delay } from 'node:timers/promises';
import type { Cell } from './cell.js';
import { type ActorProcess, group, quietHabit, quietLock } from './laboratory.js';
import { ttlMs } from './stores.js';

const deaths = 3;

/** Whoever comes first, so long after the death of a holder, gets what it held, and sees nothing of it. */
export function unwatchedDeath(afterMs: number): Cell {
  const join = (process: ActorProcess): Promise<void> => process.request('join', group);
  return {
    name: 'a holder dies while nobody looks',
    actors: 0,
    habits: { shortLocks: 0 },
    scenario: async (run) => {
      // The first one waits for as long as a store that was just started keeps everybody waiting.
      const begun = run.nextHolder(quietLock);
      let holder = await run.enlistAnother({
        habits: async (process) => {
          await process.request('contend', quietHabit);
          await join(process);
        },
      });
      await begun;
      for (let index = 0; index < deaths; index += 1) {
        run.round();
        await delay(run.random.between(0, ttlMs));
        await run.kill(holder);
        await delay(afterMs + run.random.between(0, ttlMs));
        const { name } = holder;
        holder = await run.enlistAnother({
          habits: async (process) => {
            const isHeld = await process.request('tryOnce', 'quiet');
            const seen = await process.request('membersOf', group);
            if (!isHeld) throw new Error(`${name}, which died long ago, still holds ${quietLock}`);
            if (seen.includes(name)) throw new Error(`${name}, which died long ago, is still a member`);
            await join(process);
          },
        });
      }
    },
  };
}
