import { catchError, defer, EMPTY, merge, type Observable, of, Subscription, timer, toArray } from 'rxjs';
import type { Entry, Expected, RosterKey, RosterKind, SwapResult, Versioned } from '../backend.js';
import type { Standing, StandRequest, StoreContext, StoreSession } from '../store.js';
import { Cells } from './cells.js';
import type { Connection } from './connection.js';
import { Rosters } from './entries.js';
import { Evictions } from './evictions.js';
import { translated } from './failures.js';
import { Groups } from './groups.js';
import { Lines } from './lines.js';
import type { Link } from './link.js';
import type { ResolvedOptions } from './options.js';
import { Outcomes } from './outcomes.js';
import { Parents } from './parents.js';
import { Semaphores } from './semaphores.js';

/** An open session: each operation on the connection of the moment, each failure in the words of the port. */
export class ZooKeeperSession implements StoreSession {
  readonly id: string;
  readonly ttlMs: number;
  readonly provedMs: number;
  readonly link$: Observable<boolean>;
  readonly #lines: Lines;
  readonly #semaphores: Semaphores;
  readonly #evictions: Evictions;
  readonly #rosters: Rosters;
  readonly #groups: Groups;
  readonly #cells: Cells;
  readonly #parents: Parents;
  readonly #outcomes: Outcomes;
  #isEnding = false;

  constructor(
    private readonly link: Link,
    private readonly options: ResolvedOptions,
    private readonly context: StoreContext,
  ) {
    this.id = link.sessionId;
    this.ttlMs = link.ttlMs;
    this.provedMs = link.openedMs;
    this.link$ = link.up$;
    this.#parents = new Parents(options.layout, () => context.now(), options.keepParents);
    this.#outcomes = new Outcomes(options.layout, this.#parents, this.id, context);
    this.#lines = new Lines(options.layout, this.#parents, this.#outcomes);
    this.#semaphores = new Semaphores(options.layout, this.#parents, this.#outcomes);
    this.#evictions = new Evictions(options.layout, this.#outcomes);
    this.#rosters = new Rosters(options.layout);
    this.#groups = new Groups(options.layout, this.#parents, this.#outcomes);
    this.#cells = new Cells(options.layout, this.#parents, this.#outcomes);
  }

  /** Deletes parents that are not in use any more, from time to time. */
  tidying(): Subscription {
    const { scheduler } = this.context;
    const tidying = new Subscription();
    tidying.add(
      timer(this.ttlMs, this.ttlMs, scheduler).subscribe(() => {
        // Each request would prolong a session that is over.
        if (this.#isEnding) return;
        const tidied = this.link.use('tidy up', (connection) =>
          merge(this.#parents.tidy(connection, this.ttlMs), this.#outcomes.tidy(connection, this.ttlMs)),
        );
        // Nothing depends on it, and what remains is deleted by whoever uses it next.
        tidying.add(tidied.subscribe({ error: () => undefined }));
      }),
    );
    return tidying;
  }

  renew(): Observable<number> {
    return this.link.renew().pipe(translated(this.options.address, this.id));
  }

  enter(roster: RosterKey, request: StandRequest): Observable<Standing> {
    return this.#use('enter', (connection) => {
      request.sent();
      return this.#placeOf(roster, request).enter(connection, roster, request);
    });
  }

  place(roster: RosterKey, request: StandRequest): Observable<number> {
    return this.#use('follow a place', (connection) =>
      this.#placeOf(roster, request).place(connection, roster, request),
    );
  }

  update(roster: RosterKey, request: StandRequest, payload: Uint8Array): Observable<void> {
    return this.#use('update', (connection) => {
      request.sent();
      return this.#placeOf(roster, request).update(connection, roster, request, payload);
    });
  }

  leave(roster: RosterKey, request: StandRequest): Observable<boolean> {
    return this.#use('leave', (connection) => {
      request.sent();
      return this.#placeOf(roster, request).leave(connection, roster, request);
    });
  }

  entries(roster: RosterKey): Observable<readonly Entry[]> {
    return this.#use('follow entries', (connection) => this.#rosters.entries(connection, roster));
  }

  look(roster: RosterKey): Observable<readonly Entry[]> {
    return this.#use('look at entries', (connection) => this.#rosters.look(connection, roster));
  }

  evict(roster: RosterKey, entryId: string, writeId: string): Observable<boolean> {
    return this.#use('evict', (connection) => this.#evictions.evict(connection, roster, entryId, writeId));
  }

  register(roster: RosterKey, writeId: string): Observable<boolean> {
    return this.#use('register', (connection) => this.#groups.register(connection, roster, writeId));
  }

  unregister(roster: RosterKey, writeId: string): Observable<'removed' | 'absent' | 'occupied'> {
    return this.#use('unregister', (connection) => this.#groups.unregister(connection, roster, writeId));
  }

  registered(kind: RosterKind): Observable<ReadonlySet<string>> {
    return this.#use('follow registrations', (connection) => this.#groups.registered(connection, kind));
  }

  cell(key: string): Observable<Versioned | undefined> {
    return this.#use('follow a cell', (connection) => this.#cells.cell(connection, key));
  }

  swap(key: string, expected: Expected, value: Uint8Array | undefined, writeId: string): Observable<SwapResult> {
    return this.#use('write a cell', (connection) => this.#cells.swap(connection, key, expected, value, writeId));
  }

  end(isLost: boolean): Observable<void> {
    // Each request prolongs the session by its whole timeout: one that is lost gets the end itself, and nothing before it.
    return defer(() => {
      this.#isEnding = true;
      return this.link.end((connection) => (isLost ? of(undefined) : this.#leaveAll(connection)));
    }).pipe(translated(this.options.address, this.id));
  }

  /** What stands in the session goes first, so that what it stood under can go as well. */
  #leaveAll(connection: Connection): Observable<unknown> {
    const paths = [...this.#lines.paths, ...this.#semaphores.paths];
    const leaving = paths.map((path) => connection.remove(path).pipe(catchError(() => EMPTY)));
    return merge(...leaving, this.#parents.tidyAll(connection)).pipe(toArray());
  }

  /** Who takes care of it. */
  #placeOf(roster: RosterKey, request: StandRequest): Lines | Semaphores {
    return this.#semaphores.takes(roster, request) ? this.#semaphores : this.#lines;
  }

  #use<T>(operation: string, run: (connection: Connection) => Observable<T>): Observable<T> {
    return this.link.use(operation, run).pipe(translated(this.options.address, this.id));
  }
}
