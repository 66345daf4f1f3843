import { defer, distinctUntilChanged, forkJoin, map, type Observable, of, switchMap, tap, throwError } from 'rxjs';
import type { RosterKey } from '../backend.js';
import { PlaceLost } from '../errors.js';
import { sameBytes } from '../shared/codec.js';
import type { Standing, StandRequest } from '../store.js';
import type { Connection, Step } from './connection.js';
import { watchDepartures } from './departures.js';
import { Code, onFirstRefusal, onRefusal } from './failures.js';
import { follow, type WatchSet } from './follow.js';
import type { Layout, SemaphoreLayout } from './layout.js';
import { keptOut, remove } from './leaving.js';
import { allAhead, childrenOf, type Listing, type Located, listSemaphore, locate } from './located.js';
import type { Outcomes } from './outcomes.js';
import type { Parents } from './parents.js';
import { holdingAt, type PermitStand, pathOf, readOwn, waitingAt } from './permit-stand.js';

/** Where one stands: with a permit, or behind these. */
type Look =
  | { readonly holds: true; readonly ahead: number }
  | { readonly holds: false; readonly ahead: readonly Located[] };

/**
 * Asking for one of several permits, where others have a semaphore of two folders. Who asks stands in the line in one of them.
 * When fewer stand before it than there are permits, its node there is swapped for one in the other folder, which holds a
 * permit, in one transaction. So others never count it twice, or not at all, and a copy of the swap that arrives late finds
 * nothing to swap. Another client's, which makes the one node before it deletes the other, is counted twice meanwhile.
 */
export class Semaphores {
  readonly #stands = new Map<string, PermitStand>();

  constructor(
    private readonly layout: Layout,
    private readonly parents: Parents,
    private readonly outcomes: Outcomes,
  ) {}

  /** The nodes that stand in this session, as far as is known. */
  get paths(): readonly string[] {
    return [...this.#stands.values()].flatMap((stand) =>
      [stand.ahead === undefined ? waitingAt(stand) : undefined, holdingAt(stand)].filter((path) => path !== undefined),
    );
  }

  /** Whether it is one that stands here. A lock is a semaphore of one, and stands in the line. */
  takes(roster: RosterKey, { mode, permits, registered }: StandRequest): boolean {
    const isOfSeveral = mode === 'exclusive' && permits > 1 && Number.isFinite(permits) && !registered;
    return isOfSeveral && this.layout.semaphore(roster) !== undefined;
  }

  enter(connection: Connection, roster: RosterKey, request: StandRequest): Observable<Standing> {
    return defer(() => {
      const known = this.#stands.get(request.id);
      return known === undefined ? this.#make(connection, roster, request) : of(known);
    }).pipe(
      switchMap((stand) =>
        this.#look(connection, request, stand).pipe(
          map((look) => {
            const { mode, permits, payload } = request;
            const entry = { id: stand.name, token: stand.token ?? 0n, mode, permits, payload };
            return { entry, ahead: toAhead(look, request) };
          }),
        ),
      ),
    );
  }

  /** So many of those ahead are watched as there are permits: however they leave, the last departure that matters is among them. */
  place(connection: Connection, roster: RosterKey, request: StandRequest): Observable<number> {
    return defer(() => {
      const stand = this.#stand(roster, request);
      return follow(connection, (watches) =>
        this.#watchOwn(connection, watches, request, stand).pipe(
          switchMap(() => this.#look(connection, request, stand)),
          switchMap((look) =>
            (look.holds
              ? this.#watchOwn(connection, watches, request, stand)
              : watchDepartures(
                  connection,
                  watches,
                  look.ahead.slice(-request.permits).map(({ path }) => path),
                )
            ).pipe(map(() => toAhead(look, request))),
          ),
        ),
      );
    }).pipe(distinctUntilChanged());
  }

  /** Names the version that it replaces, so that a copy of an earlier one that arrives late is refused. */
  update(connection: Connection, roster: RosterKey, request: StandRequest, payload: Uint8Array): Observable<void> {
    const write = (stand: PermitStand): Observable<void> =>
      connection.write(pathOf(stand), payload, stand.version).pipe(
        map(({ version }) => {
          stand.payload = payload;
          stand.version = version;
        }),
        // It was written before, without an answer that was waited for.
        onRefusal([Code.badVersion], () =>
          readOwn(connection, stand).pipe(
            switchMap(() => (sameBytes(stand.payload, payload) ? of(undefined) : write(stand))),
          ),
        ),
      );
    return defer(() => {
      const stand = this.#stand(roster, request);
      return write(stand).pipe(
        // It may have got its permit meanwhile.
        onRefusal([Code.noNode], () =>
          this.#swapped(connection, request, stand).pipe(
            switchMap(() => readOwn(connection, stand)),
            switchMap(() => write(stand)),
            onRefusal([Code.noNode], () => throwError(() => this.#gone(request, stand))),
          ),
        ),
      );
    });
  }

  leave(connection: Connection, roster: RosterKey, request: StandRequest): Observable<boolean> {
    return defer(() => {
      const stand = this.#stands.get(request.id);
      if (stand !== undefined) return this.#remove(connection, stand);
      return keptOut(this.outcomes, connection, roster, request, () => this.#find(connection, roster, request)).pipe(
        switchMap(([name]) => {
          const semaphore = this.layout.semaphore(roster);
          return name === undefined || semaphore === undefined
            ? of(false)
            : remove(connection, `${semaphore.locks}/${name}`);
        }),
      );
    }).pipe(
      tap(() => {
        this.outcomes.forget(request.id);
        this.#drop(request.id);
      }),
    );
  }

  /** Whichever comes first, this or a swap that is still on its way: the other finds nothing where it waited. */
  #remove(connection: Connection, stand: PermitStand): Observable<boolean> {
    const holding = holdingAt(stand);
    if (stand.ahead !== undefined) return remove(connection, pathOf(stand));
    return remove(connection, waitingAt(stand)).pipe(
      switchMap((was) => (was || holding === undefined ? of(was) : remove(connection, holding))),
    );
  }

  #make(connection: Connection, roster: RosterKey, request: StandRequest): Observable<PermitStand> {
    const semaphore = this.layout.semaphore(roster);
    if (semaphore === undefined) throw new Error(`there is no semaphore for a ${roster.kind} in this layout`);
    const [start = ''] = this.layout.names.starts(roster.kind, request);
    const path = `${semaphore.locks}/${start}`;
    const step: Step = { act: 'create', path, data: request.payload, kind: 'ephemeralSequential' };
    return this.outcomes
      .once(connection, request.id, {
        operation: `enter ${roster.kind} ${roster.name}`,
        attempt: (commit) =>
          this.parents
            .makeChild(connection, [semaphore.parent, semaphore.locks], () => commit('entered', [step]))
            .pipe(map((made) => made.map(({ path: at = '' }) => at.slice(semaphore.locks.length + 1)))),
        recall: () => this.#find(connection, roster, request),
      })
      .pipe(
        map(([name]) => {
          if (name === undefined) throw lost(roster);
          const { payload } = request;
          const stand = { roster, semaphore, name, token: undefined, ahead: undefined, payload, version: 0 };
          this.#stands.set(request.id, stand);
          for (const parent of parentsOf(semaphore)) this.parents.entered(parent);
          return stand;
        }),
      );
  }

  /** What was made under an id, and waits: it is not known to its owner, so it has not been swapped. */
  #find(connection: Connection, roster: RosterKey, request: StandRequest): Observable<readonly string[]> {
    const semaphore = this.layout.semaphore(roster);
    return semaphore === undefined
      ? of([])
      : childrenOf(connection, semaphore.locks).pipe(map((all) => this.layout.names.madeUnder(request.id, all)));
  }

  /** Takes a permit where that is possible. */
  #look(connection: Connection, request: StandRequest, stand: PermitStand): Observable<Look> {
    return defer((): Observable<Look> => {
      if (stand.ahead !== undefined) return of({ holds: true, ahead: stand.ahead });
      const { roster, semaphore, name } = stand;
      const token$ =
        stand.token === undefined
          ? connection.exists(waitingAt(stand)).pipe(map((stat) => stat?.czxid))
          : of(stand.token);
      return forkJoin([
        token$,
        childrenOf(connection, semaphore.parent),
        listSemaphore(connection, this.layout, roster, []),
      ]).pipe(
        switchMap(([token, line, folders]) => {
          if (token === undefined) throw this.#gone(request, stand);
          stand.token = token;
          if (!folders.locks.includes(name)) return this.#swapped(connection, request, stand);
          return this.#ahead(connection, stand, token, { ...folders, line }).pipe(
            switchMap((ahead) =>
              ahead.length < request.permits
                ? this.#swap(connection, request, stand, ahead.length)
                : of({ holds: false as const, ahead }),
            ),
          );
        }),
      );
    });
  }

  #ahead(connection: Connection, stand: PermitStand, token: bigint, listing: Listing): Observable<readonly Located[]> {
    const entries = locate(this.layout, stand.roster, listing);
    const mine = entries.find(({ path }) => path === waitingAt(stand));
    return mine === undefined ? of(entries) : allAhead(connection, stand.semaphore.locks, entries, { ...mine, token });
  }

  /** The payload goes with it as it is known; where it has changed since, that is read first. */
  #swap(connection: Connection, request: StandRequest, stand: PermitStand, ahead: number): Observable<Look> {
    const { semaphore } = stand;
    const path = holdingAt(stand) ?? '';
    const swap = defer(() =>
      connection.transact(`take a permit of ${stand.roster.name}`, [
        { act: 'remove', path: waitingAt(stand), version: stand.version },
        { act: 'create', path, data: stand.payload, kind: 'ephemeral' },
      ]),
    ).pipe(
      map(() => true),
      onFirstRefusal(Code.noNode, () => of(false)),
    );
    return this.parents
      .makeChild(connection, [semaphore.leases], () => swap)
      .pipe(
        switchMap((isSwapped): Observable<Look> => {
          if (!isSwapped) return this.#swapped(connection, request, stand);
          stand.ahead = ahead;
          stand.version = 0;
          return of({ holds: true, ahead });
        }),
        onFirstRefusal(Code.badVersion, () =>
          readOwn(connection, stand).pipe(
            onRefusal([Code.noNode], () => of(undefined)),
            switchMap(() => this.#swap(connection, request, stand, ahead)),
          ),
        ),
      );
  }

  /** It does not wait any more: it holds a permit since a swap whose answer has not come, or it was taken out. */
  #swapped(connection: Connection, request: StandRequest, stand: PermitStand): Observable<Look> {
    const path = holdingAt(stand);
    const stat$ = path === undefined ? of(undefined) : connection.exists(path);
    return stat$.pipe(
      map((stat): Look => {
        if (stat === undefined) throw this.#gone(request, stand);
        stand.version = stat.version;
        stand.ahead ??= request.permits - 1;
        return { holds: true, ahead: stand.ahead };
      }),
    );
  }

  #watchOwn(connection: Connection, watches: WatchSet, request: StandRequest, stand: PermitStand): Observable<unknown> {
    const path = pathOf(stand);
    if (watches.has('data', path)) return of(undefined);
    watches.set('data', path);
    return connection.exists(path, true).pipe(
      tap((stat) => {
        if (stat === undefined && stand.ahead !== undefined) throw this.#gone(request, stand);
      }),
    );
  }

  #stand(roster: RosterKey, request: StandRequest): PermitStand {
    const stand = this.#stands.get(request.id);
    if (stand === undefined) throw lost(roster);
    return stand;
  }

  #gone(request: StandRequest, { roster }: PermitStand): PlaceLost {
    this.#drop(request.id);
    return lost(roster);
  }

  #drop(id: string): void {
    const stand = this.#stands.get(id);
    this.#stands.delete(id);
    if (stand !== undefined) for (const parent of parentsOf(stand.semaphore)) this.parents.left(parent);
  }
}

function parentsOf({ parent, locks, leases }: SemaphoreLayout): readonly string[] {
  return [parent, locks, leases];
}

/** As others are to be told: whoever has no permit is kept out by as many as there are. */
function toAhead({ holds, ahead }: Look, { permits }: StandRequest): number {
  return holds ? ahead : permits;
}

function lost({ kind, name }: RosterKey): PlaceLost {
  return new PlaceLost(`${kind} ${JSON.stringify(name)}`, 'evicted');
}
