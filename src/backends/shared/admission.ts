import type { Mode } from '../backend.js';

/** What admission asks of an entry. */
interface Contender {
  readonly token: bigint;
  readonly mode: Mode;
}

/** Whether two entries keep each other out: only `shared` ones get along. */
export function conflicts(a: Mode, b: Mode): boolean {
  return a === 'exclusive' || b === 'exclusive';
}

/** How many entries conflict with this one and stand before it, counted up to `permits`. */
export function conflictsAhead(entries: Iterable<Contender>, mine: Contender, permits: number): number {
  let ahead = 0;
  for (const other of entries) {
    if (ahead >= permits) break;
    if (other.token < mine.token && conflicts(other.mode, mine.mode)) ahead++;
  }
  return ahead;
}
