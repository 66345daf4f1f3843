import { forkJoin, map, type Observable, of } from 'rxjs';
import { conflicts } from '../shared/admission.js';
import type { Connection } from './connection.js';
import type { Named } from './names.js';

/** From here on the numbers tell nothing: servers since 3.6 count no further, and what they gave meanwhile was beyond it. */
const LAST = 2 ** 31 - 1;
/** How far apart two numbers may be for the lower one to be surely the older: where a server wraps them, they begin anew. */
const SURELY = 2 ** 30;

/** Before every transaction. */
const OLDEST = -1n;

/** One's own entry. */
export interface Mine extends Named {
  /** The transaction that created it. */
  readonly token: bigint;
}

/**
 * Who conflicts with me and stands before me, the nearest last. Goes by the sequence numbers, as kazoo and Curator do.
 * Where these do not tell, the creating transactions decide; of what is no longer where it was listed, `gone` tells.
 */
export function entriesAhead<T extends Named>(
  connection: Connection,
  parent: string,
  entries: readonly T[],
  mine: Mine,
  gone: 'ahead' | 'left' = 'left',
): Observable<readonly T[]> {
  const others = entries.filter((other) => other.name !== mine.name && conflicts(other.mode, mine.mode));
  const distance = ({ sequence }: Named): number => sequence - mine.sequence;
  const isSure = (other: Named): boolean =>
    isCounted(mine) && isCounted(other) && distance(other) !== 0 && Math.abs(distance(other)) < SURELY;
  const sure = others.filter((other) => isSure(other) && distance(other) < 0).sort((a, b) => distance(a) - distance(b));
  const doubtful = others.filter((other) => !isSure(other));
  if (doubtful.length === 0) return of(sure);
  return forkJoin(
    doubtful.map((other) =>
      connection
        .exists(`${parent}/${other.name}`)
        .pipe(map((stat) => ({ other, token: stat?.czxid ?? (gone === 'ahead' ? OLDEST : mine.token) }))),
    ),
  ).pipe(
    map((found) => {
      const older = found.filter(({ token }) => token < mine.token).sort((a, b) => (a.token < b.token ? -1 : 1));
      return [...older.map(({ other }) => other), ...sure];
    }),
  );
}

function isCounted({ sequence }: Named): boolean {
  return sequence >= 0 && sequence < LAST;
}
