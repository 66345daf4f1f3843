import {
  catchError,
  concat,
  defer,
  distinctUntilChanged,
  EMPTY,
  forkJoin,
  ignoreElements,
  map,
  merge,
  type Observable,
  of,
  switchMap,
  tap,
  throwError,
} from 'rxjs';
import type { RosterKey } from '../backend.js';
import { GroupNotFound, PlaceLost } from '../errors.js';
import { sameBytes } from '../shared/codec.js';
import type { Standing, StandRequest } from '../store.js';
import type { Connection, NodeKind, Step } from './connection.js';
import { watchDepartures } from './departures.js';
import { Code, onRefusal } from './failures.js';
import { follow, type WatchSet } from './follow.js';
import { isRegistration, type Layout } from './layout.js';
import { keptOut, remove } from './leaving.js';
import { allAhead, childrenOf, hasSemaphore, type Located, listSemaphore, locate } from './located.js';
import type { Mine } from './order.js';
import type { Commit, Outcomes } from './outcomes.js';
import type { Parents } from './parents.js';

/** Where everybody is admitted, so many before one are watched; beyond that, their leaving is told late. */
const MOST_WATCHED = 16;

/** What was seen on entering; good for following the place as long as one's own node has not changed since. */
interface Glance {
  readonly connection: Connection;
  readonly ahead: readonly Located[];
  isOld: boolean;
  stop(): void;
}

/** One's own entry, found again by the request's id. */
interface Stand {
  readonly parent: string;
  readonly path: string;
  /** What stands beside it, for other clients. It stands as long as all of them do. */
  readonly beside: readonly string[];
  /** How often it was updated. */
  version: number;
  mine: Mine | undefined;
  glance: Glance | undefined;
}

/** Standing in line: ephemeral sequential nodes under the roster's parent. */
export class Lines {
  readonly #stands = new Map<string, Stand>();

  constructor(
    private readonly layout: Layout,
    private readonly parents: Parents,
    private readonly outcomes: Outcomes,
  ) {}

  /** The nodes that stand in this session, as far as is known. */
  get paths(): readonly string[] {
    return [...this.#stands.values()].flatMap(pathsOf);
  }

  enter(connection: Connection, roster: RosterKey, request: StandRequest): Observable<Standing> {
    const parent = this.layout.parent(roster);
    return defer(() => {
      const known = this.#stands.get(request.id);
      if (known !== undefined) return of(known);
      return this.outcomes
        .once(connection, request.id, {
          operation: `enter ${roster.kind} ${roster.name}`,
          attempt: (commit) => this.#make(connection, roster, request, commit),
          recall: (outcome) => this.#find(connection, roster, request, outcome),
        })
        .pipe(
          map(([name, ...beside]) => {
            if (name === undefined) throw this.#gone(roster, request);
            return this.#keep(request, parent, name, beside);
          }),
        );
    }).pipe(
      switchMap((stand) => this.#glance(connection, roster, request, stand)),
      map(({ mine, ahead }) => ({
        entry: { id: mine.name, token: mine.token, mode: mine.mode, permits: mine.permits, payload: request.payload },
        ahead: Math.min(ahead.length, request.permits),
      })),
    );
  }

  /**
   * Waits for the nearest conflicting ones ahead: when one goes, the line is read again. With n permits, n are watched:
   * however they leave, the last departure that matters is among them. One's own node is watched for its deletion.
   */
  place(connection: Connection, roster: RosterKey, request: StandRequest): Observable<number> {
    return defer(() => {
      const stand = this.#stand(roster, request);
      const watched = request.permits === Number.POSITIVE_INFINITY ? MOST_WATCHED : request.permits;
      return follow(connection, (watches) =>
        this.#look(connection, watches, roster, request, stand).pipe(
          switchMap((ahead) =>
            watchDepartures(
              connection,
              watches,
              ahead.slice(-watched).map(({ path }) => path),
            ).pipe(map(() => Math.min(ahead.length, request.permits))),
          ),
        ),
      );
    }).pipe(distinctUntilChanged());
  }

  /** Names the version that it replaces, so that a copy of an earlier one that arrives late is refused. */
  update(connection: Connection, roster: RosterKey, request: StandRequest, payload: Uint8Array): Observable<void> {
    const write = (stand: Stand): Observable<void> =>
      writeAll(connection, stand, payload).pipe(
        map((version) => {
          stand.version = version;
        }),
        // It was written before, without an answer that was waited for.
        onRefusal([Code.badVersion], () =>
          connection.read(stand.path).pipe(
            switchMap(({ data, stat }) => {
              stand.version = stat.version;
              return sameBytes(data, payload) ? of(undefined) : write(stand);
            }),
          ),
        ),
      );
    return defer(() => {
      const stand = this.#stand(roster, request);
      return write(stand).pipe(onRefusal([Code.noNode], () => this.#lost(connection, roster, request, stand)));
    });
  }

  leave(connection: Connection, roster: RosterKey, request: StandRequest): Observable<boolean> {
    const parent = this.layout.parent(roster);
    return defer(() => {
      const stand = this.#stands.get(request.id);
      if (stand !== undefined) return of(pathsOf(stand));
      return keptOut(this.outcomes, connection, roster, request, (outcome) =>
        this.#find(connection, roster, request, outcome).pipe(map((names) => names.map((name) => `${parent}/${name}`))),
      );
    }).pipe(
      switchMap((paths) =>
        paths.length === 0 ? of([false]) : forkJoin(paths.map((path) => remove(connection, path))),
      ),
      map(([wasThere = false]) => wasThere),
      tap(() => {
        this.outcomes.forget(request.id);
        this.#drop(request.id);
      }),
    );
  }

  /** The nodes that were made under an id, the entry's first. Where their note was seen, they are seen as well: they were made with it. */
  #find(
    connection: Connection,
    { kind, name }: RosterKey,
    request: StandRequest,
    outcome: string,
  ): Observable<readonly string[]> {
    const { names } = this.layout;
    const parent = this.layout.parent({ kind, name });
    const whole = names.whole?.(kind, request);
    if (outcome === 'whole' && whole !== undefined)
      return connection.read(`${parent}/${whole}`).pipe(
        // Others may be called so by now.
        map(({ data }) => (sameBytes(data, request.payload) ? [whole] : [])),
        onRefusal([Code.noNode], () => of([])),
      );
    return childrenOf(connection, parent).pipe(
      map((all) => {
        const made = names.madeUnder(request.id, all);
        const entry = made.filter((one) => names.parse(kind, one) !== undefined);
        return [...entry, ...made.filter((one) => !entry.includes(one))];
      }),
    );
  }

  #make(
    connection: Connection,
    roster: RosterKey,
    request: StandRequest,
    commit: Commit,
  ): Observable<readonly string[]> {
    const { names } = this.layout;
    const parent = this.layout.parent(roster);
    const missing = (): Observable<never> => throwError(() => new GroupNotFound(roster.name));
    const create = (outcome: string, starts: readonly string[], kind: NodeKind): Observable<readonly string[]> =>
      commit(
        outcome,
        starts.map((start): Step => ({ act: 'create', path: `${parent}/${start}`, data: request.payload, kind })),
      ).pipe(map((made) => made.map(({ path = '' }) => path.slice(parent.length + 1))));
    const whole = names.whole?.(roster.kind, request);
    const numbered = (): Observable<readonly string[]> =>
      create('entered', names.starts(roster.kind, request), 'ephemeralSequential');
    const child = (): Observable<readonly string[]> =>
      whole === undefined
        ? numbered()
        : create('whole', [whole], 'ephemeral').pipe(onRefusal([Code.nodeExists], numbered));
    if (!request.registered) return this.parents.makeChild(connection, [parent], child);
    return connection.read(parent).pipe(
      switchMap(({ data }) => (isRegistration(roster.kind, data) ? child() : missing())),
      onRefusal([Code.noNode], missing),
    );
  }

  #keep(request: StandRequest, parent: string, name: string, beside: readonly string[]): Stand {
    const stand: Stand = {
      parent,
      path: `${parent}/${name}`,
      beside: beside.map((one) => `${parent}/${one}`),
      version: 0,
      mine: undefined,
      glance: undefined,
    };
    this.#stands.set(request.id, stand);
    if (!request.registered) this.parents.entered(parent);
    return stand;
  }

  #stand(roster: RosterKey, request: StandRequest): Stand {
    const stand = this.#stands.get(request.id);
    if (stand === undefined) throw this.#gone(roster, request);
    return stand;
  }

  /** Reads one's own node and the line, and leaves a watch on one's own node for `place` to go on with. */
  #glance(
    connection: Connection,
    roster: RosterKey,
    request: StandRequest,
    stand: Stand,
  ): Observable<{ mine: Mine; ahead: readonly Located[] }> {
    return defer(() => {
      stand.glance?.stop();
      let isOld = false;
      const stops = pathsOf(stand).map((path) =>
        connection.listen('data', path, () => {
          isOld = true;
        }),
      );
      return this.#read(connection, roster, request, stand).pipe(
        tap(({ ahead }) => {
          stand.glance = {
            connection,
            ahead,
            stop: () => {
              for (const stop of stops) stop();
            },
            get isOld() {
              return isOld;
            },
          };
        }),
      );
    });
  }

  #look(
    connection: Connection,
    watches: WatchSet,
    roster: RosterKey,
    request: StandRequest,
    stand: Stand,
  ): Observable<readonly Located[]> {
    const { glance } = stand;
    stand.glance = undefined;
    const isFresh = glance?.connection === connection && !glance.isOld;
    const paths = pathsOf(stand);
    const isWatched = paths.every((path) => watches.has('data', path));
    for (const path of paths) watches.set('data', path);
    glance?.stop();
    if (glance !== undefined && isFresh) return of(glance.ahead);
    // The list shows whether one's own node is still there, so with the watch on it there is no need to ask for it.
    const { mine } = stand;
    if (mine === undefined || !isWatched)
      return this.#read(connection, roster, request, stand).pipe(map(({ ahead }) => ahead));
    return childrenOf(connection, stand.parent).pipe(
      switchMap((names) => {
        if (!names.includes(mine.name)) return this.#lost(connection, roster, request, stand);
        return this.#ahead(connection, roster, stand, names, mine);
      }),
    );
  }

  #read(
    connection: Connection,
    roster: RosterKey,
    request: StandRequest,
    stand: Stand,
  ): Observable<{ mine: Mine; ahead: readonly Located[] }> {
    const { names } = this.layout;
    return forkJoin([
      forkJoin(pathsOf(stand).map((path) => connection.exists(path, true))),
      childrenOf(connection, stand.parent),
    ]).pipe(
      switchMap(([stats, listed]) => {
        const [stat] = stats;
        const named = names.parse(roster.kind, stand.path.slice(stand.parent.length + 1));
        if (stat === undefined || named === undefined || stats.includes(undefined))
          return this.#lost(connection, roster, request, stand);
        // Another one may be called as this one was.
        if (stand.mine !== undefined && stand.mine.token !== stat.czxid) throw this.#gone(roster, request);
        const mine: Mine = { ...named, token: stat.czxid };
        stand.mine = mine;
        return this.#ahead(connection, roster, stand, listed, mine).pipe(map((ahead) => ({ mine, ahead })));
      }),
    );
  }

  /** Where others have a semaphore under the same name, they are waited for as well. */
  #ahead(
    connection: Connection,
    roster: RosterKey,
    { parent }: Stand,
    line: readonly string[],
    mine: Mine,
  ): Observable<readonly Located[]> {
    const listing$ = hasSemaphore(this.layout, roster, line)
      ? listSemaphore(connection, this.layout, roster, line)
      : of({ line, locks: [], leases: [] });
    return listing$.pipe(
      switchMap((listing) =>
        allAhead(connection, parent, locate(this.layout, roster, listing), { ...mine, where: 'line' }),
      ),
    );
  }

  /** What is left of it goes as well: others would wait for it. */
  #lost(connection: Connection, roster: RosterKey, request: StandRequest, stand: Stand): Observable<never> {
    const lost = this.#gone(roster, request);
    if (stand.beside.length === 0) return throwError(() => lost);
    // Where that fails, it goes with the session.
    const removals = pathsOf(stand).map((path) => remove(connection, path).pipe(catchError(() => EMPTY)));
    return concat(
      merge(...removals).pipe(ignoreElements()),
      throwError(() => lost),
    );
  }

  #gone(roster: RosterKey, request: StandRequest): PlaceLost {
    this.#drop(request.id);
    return new PlaceLost(`${roster.kind} ${JSON.stringify(roster.name)}`, 'evicted');
  }

  #drop(id: string): void {
    const stand = this.#stands.get(id);
    this.#stands.delete(id);
    stand?.glance?.stop();
    if (stand !== undefined) this.parents.left(stand.parent);
  }
}

function pathsOf({ path, beside }: Stand): readonly string[] {
  return [path, ...beside];
}

/** Emits the version that the entry has now. What stands beside it is written with it, whatever others have written there. */
function writeAll(connection: Connection, { path, beside, version }: Stand, data: Uint8Array): Observable<number> {
  if (beside.length === 0) return connection.write(path, data, version).pipe(map((stat) => stat.version));
  const set = (one: string, expected: number): Step => ({ act: 'set', path: one, data, version: expected });
  return connection
    .transact(`write ${path}`, [set(path, version), ...beside.map((one) => set(one, -1))])
    .pipe(map(([answer]) => answer?.stat?.version ?? version + 1));
}
