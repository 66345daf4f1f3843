import type { Mode, RosterKind } from '../backend.js';

/** What admission asks of an entry. */
interface Contender {
  readonly token: bigint;
  readonly mode: Mode;
}

/** Whether two entries keep each other out: only `shared` ones get along. */
export function conflicts(a: Mode, b: Mode): boolean {
  return a === 'exclusive' || b === 'exclusive';
}

/** How many permits an entry has that says nothing of them: any number in a group, one anywhere else. */
function usualPermits(kind: RosterKind): number {
  return kind === 'group' ? Number.POSITIVE_INFINITY : 1;
}

/** The permits of an entry as a part of its name: nothing where they are as usual, `0` for any number. */
export function permitsInName(kind: RosterKind, permits: number): string {
  if (permits === usualPermits(kind)) return '';
  return Number.isFinite(permits) ? String(permits) : '0';
}

/** The permits that such a part tells. */
export function permitsOf(kind: RosterKind, part: string | undefined): number {
  if (part === undefined || part === '') return usualPermits(kind);
  return Number(part) || Number.POSITIVE_INFINITY;
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
