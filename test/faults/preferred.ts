import { setTimeout as delay } from 'node:timers/promises';
import type { Cell } from './cell.js';
import { type ActorProcess, election, quietElection } from './laboratory.js';
import { breakSomebody } from './sharing.js';
import { ttlMs } from './stores.js';

/** Each leads for a while, hands over to a better one, and stands again with another priority; leaders are broken. */
export const preferredCandidates: Cell = {
  name: 'preferred candidates, broken while they lead',
  actors: 5,
  // Who lets others by stands in a new place each time; and what is sent up to the deadline is heard, if late.
  nextHolderMs: 2 * ttlMs + 1_500,
  habits: { isPreferring: true },
  scenario: async (run) => {
    for (let index = 0; index < 6; index += 1) {
      run.round();
      await breakSomebody(run, await run.untilHeld(election));
      await run.untilAllTakePart();
    }
  },
};

/** Its place is taken away from it at once, so that the next need not wait for its session to end. */
export const takingOver: Cell = {
  name: 'killed, and started again under its own identity',
  scenario: async (run) => {
    const stand = { election: 'quiet', pauseMs: [0, 0], workEveryMs: 5 } as const;
    const standAsItself = (process: ActorProcess): Promise<void> => process.request('stand', { ...stand, id: 'pod-0' });
    let led = run.nextHolder(quietElection);
    let self = await run.enlistAnother({ habits: standAsItself });
    for (let index = 0; index < 4; index += 1) {
      run.round();
      await led;
      const other = run.random.pick(run.actors.filter((actor) => actor !== self));
      await other.process.request('stand', stand);
      // What it takes to load a client and to connect is not at stake.
      const again = await run.enlistAnother({ habits: (process) => process.request('untilLive') });
      await delay(run.random.between(0, ttlMs / 2));
      const next = run.nextHolder(quietElection);
      await run.kill(self);
      self = again;
      await standAsItself(self.process);
      const stoodMs = performance.now();
      const holder = await next;
      const tookMs = Math.round(performance.now() - stoodMs);
      run.note(`the next one led ${tookMs} ms after its earlier self was replaced`);
      if (holder !== other) throw new Error(`${holder.name} leads, before ${other.name}, who stood in line before it`);
      if (tookMs > ttlMs / 2) throw new Error(`the next one led only ${tookMs} ms later: nothing was taken over`);
      led = run.nextHolder(quietElection);
      await other.process.request('abandon', quietElection);
    }
    await led;
  },
};
