import { map, type Observable, of, switchMap } from 'rxjs';
import type { RosterKey } from '../backend.js';
import type { Connection, Step } from './connection.js';
import { Code, onRefusal } from './failures.js';
import { canBeSegment, type Layout } from './layout.js';
import { childrenOf, hasSemaphore, isForeign, listSemaphore, locate } from './located.js';
import type { Commit, Outcomes } from './outcomes.js';

/** Takes entries out of their rosters, whoever owns them. */
export class Evictions {
  constructor(
    private readonly layout: Layout,
    private readonly outcomes: Outcomes,
  ) {}

  evict(connection: Connection, roster: RosterKey, entryId: string, writeId: string): Observable<boolean> {
    // A path that leads elsewhere for one, or one that no server takes, is no entry.
    if (!canBeSegment(entryId)) return of(false);
    const removal = (path: string): Step => ({ act: 'remove', path, version: -1 });
    const attempt = (commit: Commit, isLate: boolean): Observable<boolean> =>
      this.#nodesOf(connection, roster, entryId).pipe(
        switchMap((found) => {
          // Who asks may know of it before this server does. What the server has refused, it knows.
          const paths = found.length === 0 && !isLate ? this.#guess(roster, entryId) : found;
          return commit(paths.length === 0 ? 'absent' : 'evicted', paths.map(removal)).pipe(
            map(() => paths.length > 0),
            // Of several nodes it may be only one that has gone, or it has gone from one place to another.
            onRefusal([Code.noNode], () => attempt(commit, true)),
          );
        }),
      );
    return this.outcomes.once(connection, writeId, {
      operation: `evict ${entryId}`,
      attempt: (commit) => attempt(commit, false),
      recall: (outcome) => of(outcome === 'evicted'),
    });
  }

  /** Where an entry that is called so would be. */
  #guess(roster: RosterKey, entryId: string): readonly string[] {
    const names = [entryId];
    const inLine = locate(this.layout, roster, { line: names, locks: [], leases: [] });
    const waiting = locate(this.layout, roster, { line: [], locks: names, leases: [] });
    return (waiting.some(isForeign) ? inLine : [...waiting, ...inLine].slice(0, 1)).map(({ path }) => path);
  }

  /** The nodes of the entry. Nobody needs to look for it where it is a node that is called as it is. */
  #nodesOf(connection: Connection, roster: RosterKey, entryId: string): Observable<readonly string[]> {
    const { layout } = this;
    const { beside, semaphores } = layout.names;
    if (beside === undefined && semaphores === undefined) return of([]);
    const parent = layout.parent(roster);
    return childrenOf(connection, parent).pipe(
      switchMap((line) =>
        hasSemaphore(layout, roster, line)
          ? listSemaphore(connection, layout, roster, line)
          : of({ line, locks: [], leases: [] }),
      ),
      map((listing) => {
        const found = locate(layout, roster, listing).find(({ name }) => name === entryId);
        if (found === undefined) return [];
        const others = found.where === 'line' ? (beside?.(entryId, listing.line) ?? []) : [];
        return [found.path, ...others.map((name) => `${parent}/${name}`)];
      }),
    );
  }
}
