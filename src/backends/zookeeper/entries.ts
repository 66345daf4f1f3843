import { EMPTY, forkJoin, map, type Observable, of, switchMap, take, tap } from 'rxjs';
import type { Entry, RosterKey } from '../backend.js';
import type { Connection, Stat } from './connection.js';
import { Code, onRefusal } from './failures.js';
import { shared, type WatchSet } from './follow.js';
import type { Layout } from './layout.js';
import { type Named, parseAll } from './names.js';

/**
 * The names under a node, from memory as long as the watch on them stands. Of a node that is not there, none, and its
 * creation is watched.
 */
export function listed(
  connection: Connection,
  path: string,
): (watches: WatchSet, afresh?: boolean) => Observable<readonly string[]> {
  let names: readonly string[] = [];
  return (watches, afresh = false) => {
    if (watches.has('child', path) && !afresh) return of(names);
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

/** Who stands in which roster, read once for all who ask. */
export class Rosters {
  readonly #followed = new Map<
    string,
    { readonly connection: Connection; readonly entries$: Observable<readonly Entry[]> }
  >();

  constructor(private readonly layout: Layout) {}

  /** Everybody in the roster, in the order of tokens. */
  entries(connection: Connection, roster: RosterKey): Observable<readonly Entry[]> {
    const parent = this.layout.parent(roster);
    const known = this.#followed.get(parent);
    if (known?.connection === connection) return known.entries$;
    const entries$ = shared(
      connection,
      () => reading(connection, this.layout, roster),
      () => {
        if (this.#followed.get(parent)?.entries$ === entries$) this.#followed.delete(parent);
      },
    );
    this.#followed.set(parent, { connection, entries$ });
    return entries$;
  }

  /** The same once, which leaves no watch. Where the roster is followed anyway, only what is not known is read. */
  look(connection: Connection, roster: RosterKey): Observable<readonly Entry[]> {
    const parent = this.layout.parent(roster);
    const isFollowed = this.#followed.get(parent)?.connection === connection;
    return isFollowed ? this.entries(connection, roster).pipe(take(1)) : seen(connection, this.layout, roster);
  }
}

/** Payloads are read once, and again when they change. */
function reading(
  connection: Connection,
  layout: Layout,
  roster: RosterKey,
): (watches: WatchSet, afresh: boolean) => Observable<readonly Entry[]> {
  const parent = layout.parent(roster);
  const list = listed(connection, parent);
  const known = new Map<string, Entry>();

  const read = (watches: WatchSet, named: Named): Observable<Entry | undefined> => {
    const { name } = named;
    const path = `${parent}/${name}`;
    watches.set('data', path);
    return entryAt(connection, layout, roster, named, true).pipe(
      tap((entry) => {
        if (entry !== undefined) known.set(name, entry);
        else {
          watches.drop('data', path);
          known.delete(name);
        }
      }),
    );
  };

  return (watches, afresh) =>
    list(watches, afresh).pipe(
      switchMap((names) => {
        const present = parseAll(layout.names, roster.kind, names);
        const listedNames = new Set(names);
        for (const name of known.keys()) if (!listedNames.has(name)) known.delete(name);
        if (present.length === 0) return of([]);
        const unread = present.filter(({ name }) => !known.has(name) || !watches.has('data', `${parent}/${name}`));
        return (unread.length === 0 ? of([]) : forkJoin(unread.map((one) => read(watches, one)))).pipe(
          switchMap(() => {
            // All that were listed have gone since: whether others came meanwhile, only another list tells.
            if (known.size === 0) {
              watches.drop('child', parent);
              watches.again();
              return EMPTY;
            }
            return of(inOrder([...known.values()]));
          }),
        );
      }),
    );
}

/** Everybody who stands there now, unwatched. */
function seen(connection: Connection, layout: Layout, roster: RosterKey): Observable<readonly Entry[]> {
  const parent = layout.parent(roster);
  return connection.children(parent).pipe(
    onRefusal([Code.noNode], () => of([])),
    switchMap((names) => {
      const reads = parseAll(layout.names, roster.kind, names).map((named) =>
        entryAt(connection, layout, roster, named, false),
      );
      if (reads.length === 0) return of([]);
      return forkJoin(reads).pipe(
        switchMap((answers) => {
          const found = answers.filter((entry) => entry !== undefined);
          // Where all have gone since, others may have come.
          return found.length === 0 ? seen(connection, layout, roster) : of(inOrder(found));
        }),
      );
    }),
  );
}

function entryAt(
  connection: Connection,
  layout: Layout,
  roster: RosterKey,
  { name: id, mode, permits }: Named,
  watched: boolean,
): Observable<Entry | undefined> {
  const path = `${layout.parent(roster)}/${id}`;
  const toEntry = ({ czxid: token }: Stat, data: Uint8Array): Entry => ({
    id,
    token,
    mode,
    permits,
    payload: new Uint8Array(layout.names.payload?.(roster.kind, id, data) ?? data),
  });
  return connection.read(path, watched).pipe(
    map(({ data, stat }) => toEntry(stat, data)),
    // What one may not read stands there all the same.
    onRefusal([Code.noAuth], () =>
      connection.exists(path).pipe(map((stat) => stat && toEntry(stat, new Uint8Array()))),
    ),
    onRefusal([Code.noNode], () => of(undefined)),
  );
}

function inOrder(entries: readonly Entry[]): readonly Entry[] {
  return [...entries].sort((a, b) => (a.token < b.token ? -1 : 1));
}
