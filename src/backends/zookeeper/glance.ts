import { map, type Observable, of } from 'rxjs';
import type { Connection } from './connection.js';
import { Code, onRefusal } from './failures.js';
import type { Located } from './located.js';
import type { WatchKind } from './watches.js';

/** A watch, and whether it has fired. */
export interface Guard {
  readonly hasFired: boolean;
  stop(): void;
}

/** What was seen on entering; good for following the place as long as its guards have not told of a change. */
export interface Glance {
  readonly connection: Connection;
  readonly ahead: readonly Located[];
  /** On one's own nodes; or one on all that stand there, which was set for nothing when the line was read. */
  readonly watched: 'own' | 'all' | 'nothing';
  readonly guards: readonly Guard[];
}

/** What the requests that made the nodes have shown at once. */
export interface Seen {
  /** The transaction that made them. */
  readonly token: bigint;
  readonly line: readonly string[];
  readonly guard: Guard | undefined;
}

export function guard(connection: Connection, kind: WatchKind, path: string): Guard {
  let hasFired = false;
  const stopListening = connection.listen(kind, path, () => {
    hasFired = true;
  });
  return {
    get hasFired() {
      return hasFired;
    },
    stop: stopListening,
  };
}

export function stop(glance: Glance | undefined): void {
  for (const each of glance?.guards ?? []) each.stop();
}

interface GuardedList {
  readonly line: readonly string[];
  readonly guard: Guard;
}

/** Heeds the watch from when the list is there: what an earlier watch tells of until then is in the list. */
export function guardedList(connection: Connection, parent: string): Observable<GuardedList | undefined> {
  return connection.children(parent, true).pipe(
    map((line) => ({ line, guard: guard(connection, 'child', parent) })),
    onRefusal([Code.noNode], () => of(undefined)),
  );
}

export function seenBy(token: bigint | undefined, listed: GuardedList | undefined): Seen | undefined {
  if (token === undefined) {
    listed?.guard.stop();
    return undefined;
  }
  return { token, line: listed?.line ?? [], guard: listed?.guard };
}
