import { setTimeout as delay } from 'node:timers/promises';
import type { Cell } from './cell.js';
import { cut, delayed } from './faults.js';
import { type Actor, longLock, quietHabit, quietLock, type Run } from './laboratory.js';
import { ttlMs } from './stores.js';

type Range = readonly [number, number];

/** Each shorter than what the deadline allows for timers that fire late (a twentieth of the ttl by default). */
const short = { suspendedMs: [0.015 * ttlMs, 0.045 * ttlMs], awakeMs: [0.01 * ttlMs, 0.05 * ttlMs] } as const;
/** What is asked while it is awake is answered, a tenth of the ttl later, while it is not. */
const overEachAnswer = { suspendedMs: [0.25 * ttlMs, 0.3 * ttlMs], awakeMs: [0.04 * ttlMs, 0.05 * ttlMs] } as const;

/** Again and again, for as long as `act` takes. */
async function suspendedDuring(
  run: Run,
  actor: Actor,
  { suspendedMs, awakeMs }: { readonly suspendedMs: Range; readonly awakeMs: Range },
  act: () => Promise<unknown>,
): Promise<void> {
  let isOver = false;
  const suspending = async (): Promise<void> => {
    while (!isOver) {
      await run.suspend(actor, run.random.between(...suspendedMs));
      await delay(run.random.between(...awakeMs));
    }
  };
  const suspended = suspending();
  try {
    await act();
  } finally {
    isOver = true;
    await suspended;
  }
}

/** The monotonic clock of the holder stands still, a little at a time, while the store counts on. */
export const suspendedOften: Cell = {
  name: 'machine suspended often and shortly, and a partition',
  scenario: async (run) => {
    for (let index = 0; index < 3; index += 1) {
      run.round();
      const holder = await run.untilHeld(longLock);
      await run.during(cut([holder]), () =>
        suspendedDuring(run, holder, short, async () => {
          await run.untilHeld(longLock, holder);
          // By its own clock it would hold for as long again.
          await delay(ttlMs / 2);
        }),
      );
      await run.untilAllTakePart();
    }
  },
};

/**
 * The first proof is the session's opening, and here it is the only one: of that the moment of sending counts. Not so on
 * ZooKeeper, where each request prolongs the session in the store.
 */
const suspendedWhileOpening: Cell = {
  name: 'machine suspended while the session is opened, and a partition',
  scenario: async (run) => {
    for (let index = 0; index < 3; index += 1) {
      run.round();
      const process = await run.spawn();
      const other = run.bystander();
      const taken = run.nextHolder(quietLock);
      const sleeper = await run.enlist(process, {
        meanwhile: async (actor) => {
          await run.during(delayed([actor], { toClientMs: 0.1 * ttlMs }), () =>
            suspendedDuring(run, actor, overEachAnswer, () => process.request('untilLive')),
          );
          await taken;
          // Before it is time for the first renewal.
          await run.during(cut([actor]), async () => {
            const next = run.nextHolder(quietLock);
            await other.process.request('contend', quietHabit);
            await next;
            await delay(ttlMs / 2);
          });
        },
        habits: (one) => one.request('contend', quietHabit),
      });
      await run.kill(sleeper);
      await other.process.request('abandon', quietLock);
      await run.untilAllTakePart();
    }
  },
};

export const suspensionCells: readonly Cell[] = [suspendedOften, suspendedWhileOpening];
