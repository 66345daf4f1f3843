import { forkJoin, map, type Observable, of } from 'rxjs';
import { conflicts } from '../admission.js';
import type { Connection } from './connection.js';
import type { Named } from './layout.js';

/** How far apart two sequence numbers may be, around the wrap, for the lower one to be surely the older. */
const SURELY = 2 ** 30;

/** One's own entry. */
export interface Mine extends Named {
  /** The transaction that created it. */
  readonly token: bigint;
}

/**
 * Who conflicts with me and stands before me, the nearest last. Goes by the sequence numbers, as kazoo and Curator do;
 * they count children made and deleted in 32 bits, so they are compared around the wrap. Where they are equal or too far
 * apart to tell, the creating transactions decide.
 */
export function entriesAhead(
  connection: Connection,
  parent: string,
  entries: readonly Named[],
  mine: Mine,
): Observable<readonly Named[]> {
  const others = entries.filter((other) => other.name !== mine.name && conflicts(other.mode, mine.mode));
  const distance = ({ sequence }: Named): number => (sequence - mine.sequence) | 0;
  const isSure = (other: Named): boolean => distance(other) !== 0 && Math.abs(distance(other)) < SURELY;
  const sure = others.filter((other) => isSure(other) && distance(other) < 0).sort((a, b) => distance(a) - distance(b));
  const doubtful = others.filter((other) => !isSure(other));
  if (doubtful.length === 0) return of(sure);
  return forkJoin(
    doubtful.map((other) =>
      connection
        .exists(`${parent}/${other.name}`)
        .pipe(map((stat) => (stat !== undefined && stat.czxid < mine.token ? [other] : []))),
    ),
  ).pipe(map((older) => [...older.flat(), ...sure]));
}
