import { defer, EMPTY, forkJoin, map, type Observable, of, switchMap } from 'rxjs';
import type { Entry, RosterKey } from '../backend.js';
import type { Connection } from './connection.js';
import { Code, onRefusal } from './failures.js';
import { follow, type WatchSet } from './follow.js';
import { type Layout, type Named, parseEntries } from './layout.js';

/**
 * The names under a node, from memory as long as the watch on them stands. Of a node that is not there, none, and its
 * creation is watched.
 */
export function listed(connection: Connection, path: string): (watches: WatchSet) => Observable<readonly string[]> {
  let names: readonly string[] = [];
  return (watches) => {
    if (watches.has('child', path)) return of(names);
    watches.set('child', path);
    const absent = (): Observable<readonly string[]> => {
      watches.drop('child', path);
      watches.set('data', path);
      return connection.exists(path, true).pipe(
        switchMap((stat) => {
          if (stat === undefined) return of([]);
          watches.drop('data', path);
          watches.again();
          return EMPTY;
        }),
      );
    };
    return connection.children(path, true).pipe(
      map((found) => {
        watches.drop('data', path);
        names = found;
        return found;
      }),
      onRefusal([Code.noNode], absent),
    );
  };
}

/** Everybody in the roster, in the order of tokens. Payloads are read once, and again when they change. */
export function entries(connection: Connection, layout: Layout, roster: RosterKey): Observable<readonly Entry[]> {
  return defer(() => {
    const parent = layout.parent(roster);
    const list = listed(connection, parent);
    const known = new Map<string, Entry>();

    const read = (watches: WatchSet, { name, mode }: Named): Observable<unknown> => {
      const path = `${parent}/${name}`;
      if (known.has(name) && watches.has('data', path)) return of(undefined);
      watches.set('data', path);
      return connection.read(path, true).pipe(
        map(({ data, stat }) => known.set(name, { id: name, token: stat.czxid, mode, payload: new Uint8Array(data) })),
        onRefusal([Code.noNode], () => {
          watches.drop('data', path);
          known.delete(name);
          return of(undefined);
        }),
      );
    };

    return follow(connection, (watches) =>
      list(watches).pipe(
        switchMap((names) => {
          const present = parseEntries(roster.kind, names);
          for (const name of known.keys()) if (!present.some((one) => one.name === name)) known.delete(name);
          if (present.length === 0) return of([]);
          return forkJoin(present.map((one) => read(watches, one))).pipe(
            switchMap(() => {
              // All that were listed have gone since: whether others came meanwhile, only another list tells.
              if (known.size === 0) {
                watches.drop('child', parent);
                watches.again();
                return EMPTY;
              }
              return of([...known.values()].sort((a, b) => (a.token < b.token ? -1 : 1)));
            }),
          );
        }),
      ),
    );
  });
}
