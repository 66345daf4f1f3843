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
import { type Glance, guard, guardedList, type Seen, seenBy, stop } from './glance.js';
import { isRegistration, type Layout } from './layout.js';
import { keptOut, remove } from './leaving.js';
import { allAhead, childrenOf, hasSemaphore, type Located, listSemaphore, locate } from './located.js';
import type { Mine } from './order.js';
import type { Commit, Outcomes } from './outcomes.js';
import type { Parents } from './parents.js';
import { namesOf, pathsOf, type Stand, writeAll } from './stand.js';

interface Made {
  readonly names: readonly string[];
  readonly seen?: Seen | undefined;
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
      if (known !== undefined) return this.#glance(connection, roster, request, known);
      return this.outcomes
        .once<Made>(connection, request.id, {
          operation: `enter ${roster.kind} ${roster.name}`,
          attempt: (commit) => this.#make(connection, roster, request, commit),
          recall: (outcome) => this.#find(connection, roster, request, outcome).pipe(map((names) => ({ names }))),
        })
        .pipe(
          switchMap(({ names: [name, ...beside], seen }) => {
            if (name === undefined) throw this.#gone(roster, request);
            const stand = this.#keep(request, parent, name, beside);
            return seen === undefined
              ? this.#glance(connection, roster, request, stand)
              : this.#firstGlance(connection, roster, request, stand, seen);
          }),
        );
    }).pipe(
      map(({ mine, ahead }) => ({
        entry: { id: mine.name, token: mine.token, mode: mine.mode, permits: mine.permits, payload: request.payload },
        ahead: Math.min(ahead.length, request.permits),
      })),
    );
  }

  /**
   * Waits for the nearest conflicting ones ahead: when one goes, the line is read again. With n permits, n are watched:
   * however they leave, the last departure that matters is among them. One's own node is watched for its deletion.
   *
   * Where all who stand ahead are watched, nothing is read: nobody comes to stand before somebody who is there, so each that
   * is told to have gone leaves one less. One's own node was there then, or its own watch would have told so before: a
   * server tells of changes in their order.
   */
  place(connection: Connection, roster: RosterKey, request: StandRequest): Observable<number> {
    return defer(() => {
      const stand = this.#stand(roster, request);
      // In two folders who waits goes from one to the other, and is not gone.
      const isOneFolder = this.layout.semaphore(roster) === undefined;
      let known: readonly Located[] | undefined;
      const left = (path: string): void => {
        const isAllWatched = isOneFolder && known !== undefined && known.length <= request.permits;
        known = isAllWatched ? known?.filter((other) => other.path !== path) : undefined;
      };
      return follow(connection, (watches) =>
        this.#look(connection, watches, roster, request, stand, known).pipe(
          switchMap((ahead) => {
            known = ahead;
            const watched = ahead.slice(-request.permits).map(({ path }) => path);
            return watchDepartures(connection, watches, watched, left).pipe(
              map(() => Math.min((known ?? ahead).length, request.permits)),
            );
          }),
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

  #make(connection: Connection, roster: RosterKey, request: StandRequest, commit: Commit): Observable<Made> {
    const { names } = this.layout;
    const parent = this.layout.parent(roster);
    const missing = (): Observable<never> => throwError(() => new GroupNotFound(roster.name));
    // A session's requests are answered in their order, so a list that is asked for along with the creation has its nodes.
    const create = (outcome: string, starts: readonly string[], kind: NodeKind): Observable<Made> =>
      forkJoin([
        commit(
          outcome,
          starts.map((start): Step => ({ act: 'create', path: `${parent}/${start}`, data: request.payload, kind })),
        ),
        isAlwaysAdmitted(request) ? of(undefined) : guardedList(connection, parent),
      ]).pipe(
        map(([made, listed]) => ({
          names: made.map(({ path = '' }) => path.slice(parent.length + 1)),
          seen: seenBy(made[0]?.zxid, listed),
        })),
      );
    const whole = names.whole?.(roster.kind, request);
    const numbered = (): Observable<Made> =>
      create('entered', names.starts(roster.kind, request), 'ephemeralSequential');
    const child = (): Observable<Made> =>
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
      stop(stand.glance);
      const guards = pathsOf(stand).map((path) => guard(connection, 'data', path));
      return this.#read(connection, roster, request, stand).pipe(
        tap(({ ahead }) => {
          stand.glance = { connection, ahead, watched: 'own', guards };
        }),
      );
    });
  }

  /**
   * The same without a request, after what made the nodes has shown the line as well. The watch on all that stand there tells
   * of the first change; only then one's own node is watched, so that who holds for a moment has no watch of its own.
   */
  #firstGlance(
    connection: Connection,
    roster: RosterKey,
    request: StandRequest,
    stand: Stand,
    { token, line, guard }: Seen,
  ): Observable<{ mine: Mine; ahead: readonly Located[] }> {
    const named = this.layout.names.parse(roster.kind, stand.path.slice(stand.parent.length + 1));
    const isThere = isAlwaysAdmitted(request) || namesOf(stand).every((name) => line.includes(name));
    if (named === undefined || !isThere) {
      guard?.stop();
      return this.#lost(connection, roster, request, stand);
    }
    const mine: Mine = { ...named, token };
    stand.mine = mine;
    const watched = guard === undefined ? 'nothing' : 'all';
    const glance: Glance = { connection, ahead: [], watched, guards: guard === undefined ? [] : [guard] };
    stand.glance = glance;
    if (isAlwaysAdmitted(request)) return of({ mine, ahead: [] });
    return this.#ahead(connection, roster, stand, line, mine).pipe(
      tap((ahead) => {
        stand.glance = { ...glance, ahead };
      }),
      map((ahead) => ({ mine, ahead })),
    );
  }

  #look(
    connection: Connection,
    watches: WatchSet,
    roster: RosterKey,
    request: StandRequest,
    stand: Stand,
    known: readonly Located[] | undefined,
  ): Observable<readonly Located[]> {
    const { glance, mine, parent } = stand;
    stand.glance = undefined;
    const isFresh = glance?.connection === connection && !glance.guards.some(({ hasFired }) => hasFired);
    const paths = pathsOf(stand);
    if (isFresh && glance?.watched === 'all') watches.set('child', parent);
    const isOwnWatched = paths.every((path) => watches.has('data', path));
    const isGuarded = isOwnWatched || watches.has('child', parent);
    if (!isGuarded) for (const path of paths) watches.set('data', path);
    stop(glance);
    if (isFresh && glance !== undefined && glance.watched !== 'nothing') return of(glance.ahead);
    const ahead = isAlwaysAdmitted(request) ? [] : known;
    if (mine === undefined || (!isGuarded && ahead === undefined))
      return this.#read(connection, roster, request, stand).pipe(map((read) => read.ahead));
    if (ahead !== undefined)
      return isGuarded ? of(ahead) : this.#own(connection, roster, request, stand).pipe(map(() => ahead));
    // The list shows whether one's own node is still there, so with the watch on it there is no need to ask for it.
    return childrenOf(connection, parent).pipe(
      switchMap((names) => {
        if (!namesOf(stand).every((name) => names.includes(name)))
          return this.#lost(connection, roster, request, stand);
        return this.#ahead(connection, roster, stand, names, mine);
      }),
    );
  }

  /** One's own entry as it is, which is watched from now on. */
  #own(connection: Connection, roster: RosterKey, request: StandRequest, stand: Stand): Observable<Mine> {
    const named = this.layout.names.parse(roster.kind, stand.path.slice(stand.parent.length + 1));
    return forkJoin(pathsOf(stand).map((path) => connection.exists(path, true))).pipe(
      switchMap((stats) => {
        const [stat] = stats;
        if (stat === undefined || named === undefined || stats.includes(undefined))
          return this.#lost(connection, roster, request, stand);
        // Another one may be called as this one was.
        if (stand.mine !== undefined && stand.mine.token !== stat.czxid) throw this.#gone(roster, request);
        const mine: Mine = { ...named, token: stat.czxid };
        stand.mine = mine;
        return of(mine);
      }),
    );
  }

  #read(
    connection: Connection,
    roster: RosterKey,
    request: StandRequest,
    stand: Stand,
  ): Observable<{ mine: Mine; ahead: readonly Located[] }> {
    const own$ = this.#own(connection, roster, request, stand);
    // Where everybody is admitted, nobody is counted, and a list may be long.
    if (isAlwaysAdmitted(request)) return own$.pipe(map((mine) => ({ mine, ahead: [] })));
    return forkJoin([own$, childrenOf(connection, stand.parent)]).pipe(
      switchMap(([mine, listed]) =>
        this.#ahead(connection, roster, stand, listed, mine).pipe(map((ahead) => ({ mine, ahead }))),
      ),
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
    stop(stand?.glance);
    if (stand !== undefined) this.parents.left(stand.parent);
  }
}

function isAlwaysAdmitted({ permits }: StandRequest): boolean {
  return permits === Number.POSITIVE_INFINITY;
}
