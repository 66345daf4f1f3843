import { map, type Observable, of } from 'rxjs';
import type { RosterKey } from '../backend.js';
import type { StandRequest } from '../store.js';
import type { Connection } from './connection.js';
import { Code, onRefusal } from './failures.js';
import type { Outcomes } from './outcomes.js';

/**
 * Keeps a request to enter, which may still be on its way, from coming to anything. Whichever comes first, this or a copy of
 * it, the other finds it done. Emits what has been made all the same, as `find` tells.
 */
export function keptOut(
  outcomes: Outcomes,
  connection: Connection,
  roster: RosterKey,
  request: StandRequest,
  find: (outcome: string) => Observable<readonly string[]>,
): Observable<readonly string[]> {
  return outcomes.once(connection, request.id, {
    operation: `leave ${roster.kind} ${roster.name}`,
    attempt: (commit) => commit('left', []).pipe(map((): readonly string[] => [])),
    recall: (outcome) => (outcome === 'left' ? of([]) : find(outcome)),
  });
}

/** Emits whether it was there. */
export function remove(connection: Connection, path: string): Observable<boolean> {
  return connection.remove(path).pipe(
    map(() => true),
    onRefusal([Code.noNode], () => of(false)),
  );
}
