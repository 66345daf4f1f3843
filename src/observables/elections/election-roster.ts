import type { RosterKey } from '../../backends/backend.js';

/** The line of an election. */
export function rosterOf(election: string): RosterKey {
  return { kind: 'election', name: election };
}
