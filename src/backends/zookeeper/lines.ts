import { defer, distinctUntilChanged, forkJoin, map, type Observable, of, switchMap, tap, throwError } from 'rxjs';
import type { RosterKey } from '../backend.js';
import { GroupNotFound, PlaceLost } from '../errors.js';
import { sameBytes } from '../shared/codec.js';
import type { Standing, StandRequest } from '../store.js';
import type { Connection } from './connection.js';
import { Code, onRefusal } from './failures.js';
import { follow, type WatchSet } from './follow.js';
import { canBeSegment, isRegistration, type Layout, type Named, parseEntries, parseEntry, prefixOf } from './layout.js';
import { entriesAhead, type Mine } from './order.js';
import type { Commit, Outcomes } from './outcomes.js';
import type { Parents } from './parents.js';

/** Where everybody is admitted, so many before one are watched; beyond that, their leaving is told late. */
const MOST_WATCHED = 16;

/** What was seen on entering; good for following the place as long as one's own node has not changed since. */
interface Glance {
  readonly connection: Connection;
  readonly ahead: readonly Named[];
  isOld: boolean;
  stop(): void;
}

/** One's own entry, found again by the request's id. */
interface Stand {
  readonly parent: string;
  readonly path: string;
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
    return [...this.#stands.values()].map(({ path }) => path);
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
          recall: () => this.#find(connection, parent, request.id),
        })
        .pipe(
          map((name) => {
            if (name === undefined) throw this.#gone(roster, request);
            return this.#keep(request, parent, name);
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
            this.#watch(connection, watches, stand.parent, ahead.slice(-watched)).pipe(
              map(() => Math.min(ahead.length, request.permits)),
            ),
          ),
        ),
      );
    }).pipe(distinctUntilChanged());
  }

  /** Names the version that it replaces, so that a copy of an earlier one that arrives late is refused. */
  update(connection: Connection, roster: RosterKey, request: StandRequest, payload: Uint8Array): Observable<void> {
    const write = (stand: Stand): Observable<void> =>
      connection.write(stand.path, payload, stand.version).pipe(
        map(({ version }) => {
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
    return defer(() => write(this.#stand(roster, request))).pipe(
      onRefusal([Code.noNode], () => throwError(() => this.#gone(roster, request))),
    );
  }

  leave(connection: Connection, roster: RosterKey, request: StandRequest): Observable<boolean> {
    const parent = this.layout.parent(roster);
    return defer(() => {
      const stand = this.#stands.get(request.id);
      if (stand !== undefined) return of(stand.path);
      // Whichever comes first, this or a copy of the request to enter, the other finds it done.
      return this.outcomes.once(connection, request.id, {
        operation: `leave ${roster.kind} ${roster.name}`,
        attempt: (commit) => commit('left', []).pipe(map(() => undefined)),
        recall: (outcome) =>
          outcome === 'entered'
            ? this.#find(connection, parent, request.id).pipe(map((name) => name && `${parent}/${name}`))
            : of(undefined),
      });
    }).pipe(
      switchMap((path) => (path === undefined ? of(false) : remove(connection, path))),
      tap(() => {
        this.outcomes.forget(request.id);
        this.#drop(request.id);
      }),
    );
  }

  evict(connection: Connection, roster: RosterKey, entryId: string, writeId: string): Observable<boolean> {
    // Anything else, a path that leads elsewhere for one, or one that no server takes, is no entry.
    if (!canBeSegment(entryId) || parseEntry(roster.kind, entryId) === undefined) return of(false);
    const path = `${this.layout.parent(roster)}/${entryId}`;
    return this.outcomes.once(connection, writeId, {
      operation: `evict ${entryId}`,
      attempt: (commit) =>
        commit('evicted', [{ act: 'remove', path, version: -1 }]).pipe(
          map(() => true),
          onRefusal([Code.noNode], () => commit('absent', []).pipe(map(() => false))),
        ),
      recall: (outcome) => of(outcome === 'evicted'),
    });
  }

  /** The node that was made under an id. Where its note was seen, it is seen as well: it was made with it. */
  #find(connection: Connection, parent: string, id: string): Observable<string | undefined> {
    return connection.children(parent).pipe(
      onRefusal([Code.noNode], () => of<readonly string[]>([])),
      map((names) => names.find((name) => name.startsWith(id))),
    );
  }

  #make(connection: Connection, roster: RosterKey, request: StandRequest, commit: Commit): Observable<string> {
    const parent = this.layout.parent(roster);
    const path = `${parent}/${prefixOf(roster.kind, request)}`;
    const missing = (): Observable<never> => throwError(() => new GroupNotFound(roster.name));
    const child = (): Observable<string> =>
      commit('entered', [{ act: 'create', path, data: request.payload, kind: 'ephemeralSequential' }]).pipe(
        map(([made]) => (made?.path ?? '').slice(parent.length + 1)),
      );
    if (!request.registered) return this.parents.makeChild(connection, parent, child);
    return connection.read(parent).pipe(
      switchMap(({ data }) => (isRegistration(roster.kind, data) ? child() : missing())),
      onRefusal([Code.noNode], missing),
    );
  }

  #keep(request: StandRequest, parent: string, name: string): Stand {
    const stand: Stand = { parent, path: `${parent}/${name}`, version: 0, mine: undefined, glance: undefined };
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
  ): Observable<{ mine: Mine; ahead: readonly Named[] }> {
    return defer(() => {
      stand.glance?.stop();
      let isOld = false;
      const stop = connection.listen('data', stand.path, () => {
        isOld = true;
      });
      return this.#read(connection, roster, request, stand).pipe(
        tap(({ ahead }) => {
          stand.glance = {
            connection,
            ahead,
            stop,
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
  ): Observable<readonly Named[]> {
    const { glance } = stand;
    stand.glance = undefined;
    const isFresh = glance?.connection === connection && !glance.isOld;
    const isWatched = watches.has('data', stand.path);
    watches.set('data', stand.path);
    glance?.stop();
    if (glance !== undefined && isFresh) return of(glance.ahead);
    // The list shows whether one's own node is still there, so with the watch on it there is no need to ask for it.
    const { mine } = stand;
    if (mine === undefined || !isWatched)
      return this.#read(connection, roster, request, stand).pipe(map(({ ahead }) => ahead));
    return connection.children(stand.parent).pipe(
      onRefusal([Code.noNode], () => of<readonly string[]>([])),
      switchMap((names) => {
        if (!names.includes(mine.name)) throw this.#gone(roster, request);
        return entriesAhead(connection, stand.parent, parseEntries(roster.kind, names), mine);
      }),
    );
  }

  #read(
    connection: Connection,
    roster: RosterKey,
    request: StandRequest,
    stand: Stand,
  ): Observable<{ mine: Mine; ahead: readonly Named[] }> {
    return forkJoin([
      connection.exists(stand.path, true),
      connection.children(stand.parent).pipe(onRefusal([Code.noNode], () => of<readonly string[]>([]))),
    ]).pipe(
      switchMap(([stat, names]) => {
        const named = parseEntry(roster.kind, stand.path.slice(stand.parent.length + 1));
        if (stat === undefined || named === undefined) throw this.#gone(roster, request);
        const mine: Mine = { ...named, token: stat.czxid };
        stand.mine = mine;
        return entriesAhead(connection, stand.parent, parseEntries(roster.kind, names), mine).pipe(
          map((ahead) => ({ mine, ahead })),
        );
      }),
    );
  }

  #watch(connection: Connection, watches: WatchSet, parent: string, nearest: readonly Named[]): Observable<unknown> {
    const unwatched = nearest.filter(({ name }) => !watches.has('data', `${parent}/${name}`));
    if (unwatched.length === 0) return of(undefined);
    return forkJoin(
      unwatched.map(({ name }) => {
        const path = `${parent}/${name}`;
        watches.set('data', path);
        const absent = (): Observable<unknown> => {
          watches.drop('data', path);
          watches.again();
          return of(undefined);
        };
        // Reading leaves no watch where there is no node; looking whether it is there would leave one for ever.
        return connection.read(path, true).pipe(
          // Of what one may not read, the server does not tell that it goes either, but the parent tells of its children.
          onRefusal([Code.noAuth], () => {
            watches.drop('data', path);
            watches.set('child', parent);
            return connection
              .children(parent, true)
              .pipe(switchMap((names) => (names.includes(name) ? of(undefined) : absent())));
          }),
          onRefusal([Code.noNode], absent),
        );
      }),
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

/** Emits whether it was there. */
function remove(connection: Connection, path: string): Observable<boolean> {
  return connection.remove(path).pipe(
    map(() => true),
    onRefusal([Code.noNode], () => of(false)),
  );
}
