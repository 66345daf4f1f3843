import { setTimeout as delay } from 'node:timers/promises';
import type { Backend, Mode, RosterKey } from '../../../src/backends/backend.js';
import { type Held, type OtherClient, toHeld } from './other-client.js';
import { Stander } from './support.js';

/** Takes and gives back, so many times, as the programs of the other clients do. */
export async function ourRounds(
  backend: Backend,
  roster: RosterKey,
  { rounds, mode, permits = 1, holdMs = 2 }: { rounds: number; mode: Mode; permits?: number; holdMs?: number },
): Promise<readonly Held[]> {
  const held: Held[] = [];
  for (let round = 0; round < rounds; round++) {
    const askedNs = process.hrtime.bigint();
    const stander = await new Stander(backend, roster, { shared: mode === 'shared', permits }).untilAdmitted(15_000);
    const fromNs = process.hrtime.bigint();
    await delay(holdMs);
    const untilNs = process.hrtime.bigint();
    stander.leave();
    held.push({ mode, askedNs, fromNs, untilNs });
  }
  return held;
}

/** The same by another client, which has been told what to take. */
export async function theirRounds(
  other: OtherClient,
  who: string,
  { rounds, mode, holdMs = 2 }: { rounds: number; mode: Mode; holdMs?: number },
): Promise<readonly Held[]> {
  other.say(who, `rounds ${rounds} ${holdMs}`);
  const held: Held[] = [];
  for (let round = 0; round < rounds; round++) held.push(toHeld(mode, await other.next(who, 15_000)));
  return held;
}
