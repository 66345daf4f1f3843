import { isKind } from '../history.js';
import type { Held, Reading, Violation } from './reading.js';

export interface Fencing {
  readonly violations: readonly Violation[];
  readonly accepted: number;
  readonly refused: number;
  /** Writes of a past holder, accepted after one of a newer holder. */
  readonly staleAccepted: number;
}

/**
 * A register that refuses smaller tokens never accepts a write of a past holder after one of a newer holder. Who is newer
 * is told by who was admitted later, not by the tokens: so tokens that do not grow are found too.
 */
export function checkFencing(reading: Reading): Fencing {
  const violations: Violation[] = [];
  const heldBy = new Map<string, Held>();
  for (const held of reading.held.values()) for (const one of held) heldBy.set(one.holding, one);
  const newest = new Map<string, Held>();
  const writes = reading.history.filter(isKind('wrote'));
  for (const { accepted, register, holding, token, at } of writes) {
    const writer = heldBy.get(holding);
    if (!accepted || writer === undefined) continue;
    const before = newest.get(register);
    if (before !== undefined && before.acquired.at > writer.acquired.at)
      violations.push({
        claim: 'fencing',
        at,
        message:
          `${register}: a write of ${writer.process} with token ${token} was accepted after one of ${before.process} ` +
          `with token ${before.acquired.token}, who had acquired it later`,
      });
    else newest.set(register, writer);
  }
  return {
    violations,
    accepted: writes.filter(({ accepted }) => accepted).length,
    refused: writes.filter(({ accepted }) => !accepted).length,
    staleAccepted: violations.length,
  };
}
