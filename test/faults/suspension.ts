import { setTimeout as delay } from 'node:timers/promises';
import type { Cell } from './cell.js';
import { cut, delayed } from './faults.js';
import { type Actor, longLock, quietLock, type Run } from './laboratory.js';
import { ttlMs } from './stores.js';

/** Each shorter than what the deadline allows for timers that fire late (a twentieth of the ttl by default). */
const shortMs = [0.015 * ttlMs, 0.045 * ttlMs] as const;
const awakeMs = [0.01 * ttlMs, 0.05 * ttlMs] as const;
const quietHabit = { lock: 'quiet', pauseMs: [0, 0], workEveryMs: 5 } as const;

/** Again and again, until told to stop. */
async function suspendedOften(run: Run, actor: Actor, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    await run.suspend(actor, run.random.between(...shortMs));
    await delay(run.random.between(...awakeMs));
  }
}

/** The monotonic clock of the holder stands still, a little at a time, while the store counts on. */
const often: Cell = {
  name: 'machine suspended often and shortly, and a partition',
  scenario: async (run) => {
    for (let index = 0; index < 3; index += 1) {
      run.round();
      const holder = await run.untilHeld(longLock);
      let isOver = false;
      await run.during(cut([holder]), async () => {
        const suspending = suspendedOften(run, holder, () => isOver);
        try {
          await run.untilHeld(longLock, holder);
          // By its own clock it would hold for as long again.
          await delay(ttlMs / 2);
        } finally {
          isOver = true;
          await suspending;
        }
      });
      await run.untilAllTakePart();
    }
  },
};

/** Of the first proof, the session's opening, only the moment of sending counts. */
const opening: Cell = {
  name: 'machine suspended while the session is opened, and a partition',
  scenario: async (run) => {
    for (let index = 0; index < 3; index += 1) {
      run.round();
      const process = await run.spawn();
      const other = run.bystander();
      const taken = run.nextHolder(quietLock);
      const sleeper = await run.enlist(process, {
        meanwhile: async (actor) => {
          await run.during(delayed([actor], { toClientMs: 0.1 * ttlMs }), async () => {
            await delay(run.random.between(0.05 * ttlMs, 0.3 * ttlMs));
            await run.suspend(actor, run.random.between(0.3 * ttlMs, 0.6 * ttlMs));
            await delay(0.1 * ttlMs);
          });
        },
        habits: (one) => one.request('contend', quietHabit),
      });
      await taken;
      const next = run.nextHolder(quietLock);
      await run.during(cut([sleeper]), async () => {
        await other.process.request('contend', quietHabit);
        await next;
        await delay(ttlMs / 2);
      });
      await run.kill(sleeper);
      await other.process.request('abandon', quietLock);
      await run.untilAllTakePart();
    }
  },
};

export const suspensionCells: readonly Cell[] = [often, opening];
