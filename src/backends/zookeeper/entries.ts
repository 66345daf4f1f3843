import { EMPTY, forkJoin, map, type Observable, of, switchMap, take, tap } from 'rxjs';
import type { Entry, RosterKey } from '../backend.js';
import type { Connection, Stat } from './connection.js';
import { Code, onRefusal } from './failures.js';
import { shared, type WatchSet } from './follow.js';
import type { Layout } from './layout.js';
import { childrenOf, hasSemaphore, isForeign, type Located, listSemaphore, locate } from './located.js';

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

/** An entry as it was read. */
interface Read {
  readonly entry: Entry;
  readonly node: Located;
  /** The session that it goes with. */
  readonly owner: bigint;
}

/** Payloads are read once, and again when they change. */
function reading(
  connection: Connection,
  layout: Layout,
  roster: RosterKey,
): (watches: WatchSet, afresh: boolean) => Observable<readonly Entry[]> {
  const parent = layout.parent(roster);
  const list = listedEverywhere(connection, layout, roster);
  const known = new Map<string, Read>();

  const read = (watches: WatchSet, node: Located): Observable<Read | undefined> =>
    readAt(connection, layout, roster, node, (path) => watches.set('data', path)).pipe(
      tap((found) => {
        if (found !== undefined) known.set(node.name, found);
        else known.delete(node.name);
        if (found?.node.path !== node.path) watches.drop('data', node.path);
      }),
    );

  return (watches, afresh) =>
    list(watches, afresh).pipe(
      switchMap((present) => {
        const names = new Set(present.map(({ name }) => name));
        for (const name of known.keys()) if (!names.has(name)) known.delete(name);
        if (present.length === 0) return of([]);
        const unread = present.filter(
          ({ name, path }) => known.get(name)?.node.path !== path || !watches.has('data', path),
        );
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

/** Everybody, from memory as long as the watches stand. One list after the other: see `listSemaphore`. */
function listedEverywhere(
  connection: Connection,
  layout: Layout,
  roster: RosterKey,
): (watches: WatchSet, afresh: boolean) => Observable<readonly Located[]> {
  const inLine = listed(connection, layout.parent(roster));
  const semaphore = layout.semaphore(roster);
  if (semaphore === undefined)
    return (watches, afresh) =>
      inLine(watches, afresh).pipe(map((line) => locate(layout, roster, { line, locks: [], leases: [] })));
  const [waiting, holding] = [listed(connection, semaphore.locks), listed(connection, semaphore.leases)];
  return (watches, afresh) =>
    inLine(watches, afresh).pipe(
      switchMap((line) => {
        if (!hasSemaphore(layout, roster, line)) return of({ line, locks: [], leases: [] });
        return waiting(watches, afresh).pipe(
          switchMap((locks) => holding(watches, afresh).pipe(map((leases) => ({ line, locks, leases })))),
        );
      }),
      map((listing) => locate(layout, roster, listing)),
    );
}

/** Everybody who stands there now, unwatched. */
function seen(connection: Connection, layout: Layout, roster: RosterKey): Observable<readonly Entry[]> {
  return childrenOf(connection, layout.parent(roster)).pipe(
    switchMap((line) =>
      hasSemaphore(layout, roster, line)
        ? listSemaphore(connection, layout, roster, line)
        : of({ line, locks: [], leases: [] }),
    ),
    switchMap((listing) => {
      const reads = locate(layout, roster, listing).map((node) => readAt(connection, layout, roster, node));
      if (reads.length === 0) return of([]);
      return forkJoin(reads).pipe(
        switchMap((answers) => {
          const found = answers.filter((read) => read !== undefined);
          // Where all have gone since, others may have come.
          return found.length === 0 ? seen(connection, layout, roster) : of(inOrder(found));
        }),
      );
    }),
  );
}

/** Who waited for a permit when it was listed may have got one by now. `watch` is called for what is to be watched. */
function readAt(
  connection: Connection,
  layout: Layout,
  roster: RosterKey,
  node: Located,
  watch?: (path: string) => void,
): Observable<Read | undefined> {
  const semaphore = layout.semaphore(roster);
  const isWaiting = node.where === 'locks' && !isForeign(node);
  return readNode(connection, layout, roster, node, watch).pipe(
    switchMap((found) => {
      if (found !== undefined || !isWaiting || semaphore === undefined) return of(found);
      return childrenOf(connection, semaphore.leases).pipe(
        switchMap((leases) => {
          const now = locate(layout, roster, { line: [], locks: [], leases }).find(({ name }) => name === node.name);
          return now === undefined ? of(undefined) : readNode(connection, layout, roster, now, watch);
        }),
      );
    }),
  );
}

function readNode(
  connection: Connection,
  layout: Layout,
  roster: RosterKey,
  node: Located,
  watch?: (path: string) => void,
): Observable<Read | undefined> {
  const { name: id, mode, permits, path } = node;
  const toRead = ({ czxid, owner }: Stat, data: Uint8Array): Read => {
    const payload = new Uint8Array(layout.names.payload?.(roster.kind, id, data) ?? data);
    return { entry: { id, token: node.token ?? czxid, mode, permits, payload }, node, owner };
  };
  watch?.(path);
  return connection.read(path, watch !== undefined).pipe(
    map(({ data, stat }) => toRead(stat, data)),
    // What one may not read stands there all the same.
    onRefusal([Code.noAuth], () => connection.exists(path).pipe(map((stat) => stat && toRead(stat, new Uint8Array())))),
    onRefusal([Code.noNode], () => of(undefined)),
  );
}

/**
 * In the order of tokens; but what another client holds of a semaphore stands before all who wait there. Of its own it
 * makes a node before it knows whether it gets a permit: who does so waits, and is shown once.
 */
function inOrder(reads: readonly Read[]): readonly Entry[] {
  const byToken = (a: Read, b: Read): number => (a.entry.token < b.entry.token ? -1 : 1);
  const sorted = [...reads].sort(byToken);
  const first = sorted.find(({ node }) => node.where === 'locks');
  if (first === undefined) return sorted.map(({ entry }) => entry);
  const isLater = ({ entry, node }: Read): boolean =>
    node.where === 'leases' && isForeign(node) && entry.token > first.entry.token;
  const later = sorted.filter(isLater);
  const isAsking = isForeign(first.node) && later.at(-1)?.owner === first.owner;
  const holding = isAsking ? later.slice(0, -1) : later;
  return sorted
    .filter((read) => !isLater(read))
    .flatMap((read) => (read === first ? [...holding, read] : [read]))
    .map(({ entry }) => entry);
}
