import { forkJoin, map, type Observable, of, switchMap } from 'rxjs';
import type { RosterKey } from '../backend.js';
import { conflicts } from '../shared/admission.js';
import type { Connection } from './connection.js';
import { Code, onRefusal } from './failures.js';
import type { Layout } from './layout.js';
import type { Named } from './names.js';
import { entriesAhead, type Mine } from './order.js';

/** The children of all that entries of a roster stand under. */
export interface Listing {
  readonly line: readonly string[];
  readonly locks: readonly string[];
  readonly leases: readonly string[];
}

/** An entry, and the node that stands for it: in the line, or in one of the folders of a semaphore. */
export interface Located extends Named {
  readonly path: string;
  readonly where: 'line' | 'locks' | 'leases';
  /** Where the name tells it. */
  readonly token?: bigint;
}

/** Whether what another client of semaphores made is meant. It tells no number of permits. */
export function isForeign({ where, permits }: Located): boolean {
  return where !== 'line' && (permits === 0 || permits === Number.POSITIVE_INFINITY);
}

/** Whether those who are listed under a roster's parent are not all: somebody has, or had, a semaphore there. */
export function hasSemaphore(layout: Layout, roster: RosterKey, line: readonly string[]): boolean {
  const semaphore = layout.semaphore(roster);
  return semaphore !== undefined && (line.includes(semaphore.names.locks) || line.includes(semaphore.names.leases));
}

/** Lists what stands in the folders of a semaphore. In this order: who goes from one to the other meanwhile is seen in both. */
export function listSemaphore(
  connection: Connection,
  layout: Layout,
  roster: RosterKey,
  line: readonly string[],
): Observable<Listing> {
  const semaphore = layout.semaphore(roster);
  if (semaphore === undefined) return of({ line, locks: [], leases: [] });
  return forkJoin({
    line: of(line),
    locks: childrenOf(connection, semaphore.locks),
    leases: childrenOf(connection, semaphore.leases),
  });
}

/** Of a node that is not there, none. */
export function childrenOf(connection: Connection, path: string): Observable<readonly string[]> {
  return connection.children(path).pipe(onRefusal([Code.noNode], () => of<readonly string[]>([])));
}

/** Everybody who stands in the roster, once each. */
export function locate(layout: Layout, roster: RosterKey, { line, locks, leases }: Listing): readonly Located[] {
  const parent = layout.parent(roster);
  const semaphore = layout.semaphore(roster);
  const inLine = line.flatMap((name): Located[] => {
    const named = layout.names.parse(roster.kind, name);
    return named === undefined ? [] : [{ ...named, path: `${parent}/${name}`, where: 'line' }];
  });
  if (semaphore === undefined) return inLine;
  const { names } = semaphore;
  const holding = leases.map(
    (name): Located => ({ ...names.holding(name), path: `${semaphore.leases}/${name}`, where: 'leases' }),
  );
  const held = new Set(holding.map(({ name }) => name));
  const waiting = locks.flatMap((name): Located[] => {
    const named = names.waiting(name);
    if (named === undefined || held.has(named.name)) return [];
    return [{ ...named, path: `${semaphore.locks}/${name}`, where: 'locks' }];
  });
  return [...inLine, ...holding, ...waiting];
}

/**
 * Who conflicts with me and stands before me, wherever it stands; in the same place, the nearest last. Other clients take
 * permits in the order of their line, so to who waits there all of theirs are older.
 */
export function allAhead(
  connection: Connection,
  parent: string,
  entries: readonly Located[],
  mine: Mine & Pick<Located, 'where'>,
): Observable<readonly Located[]> {
  const here = entries.filter(({ where }) => where === mine.where);
  const elsewhere = entries.filter(({ where, mode }) => where !== mine.where && conflicts(mode, mine.mode));
  // Who waits for a permit does not leave where it is not there any more: it may have got one.
  const isOlder = (other: Located): Observable<boolean> => {
    if (other.where === 'leases' && mine.where === 'locks' && isForeign(other)) return of(true);
    if (other.token !== undefined) return of(other.token < mine.token);
    return connection
      .exists(other.path)
      .pipe(map((stat) => (stat === undefined ? other.where === 'locks' : stat.czxid < mine.token)));
  };
  const older$ =
    elsewhere.length === 0
      ? of([])
      : forkJoin(elsewhere.map((other) => isOlder(other).pipe(map((is) => (is ? [other] : []))))).pipe(
          map((found) => found.flat()),
        );
  return older$.pipe(
    switchMap((older) =>
      entriesAhead(connection, parent, here, mine, mine.where === 'locks' ? 'ahead' : 'left').pipe(
        map((ahead) => [...older, ...ahead]),
      ),
    ),
  );
}
