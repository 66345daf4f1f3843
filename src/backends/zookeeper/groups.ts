import { defer, forkJoin, map, type Observable, of, switchMap } from 'rxjs';
import type { RosterKey, RosterKind } from '../backend.js';
import { toUtf8 } from '../shared/utf8.js';
import type { Connection, Stat, Step } from './connection.js';
import { listed } from './entries.js';
import { Code, onRefusal } from './failures.js';
import { follow, type WatchSet } from './follow.js';
import { isKept, isRegistration, KEEPER, KEPT, type Layout, nameOf } from './layout.js';
import type { Commit, Outcomes } from './outcomes.js';
import type { Parents } from './parents.js';

type Unregistration = 'removed' | 'absent' | 'occupied';

/** Groups exist by their parent node; one whose data is `MARK` only holds entries, and is no group. So may other rosters. */
export class Groups {
  constructor(
    private readonly layout: Layout,
    private readonly parents: Parents,
    private readonly outcomes: Outcomes,
  ) {}

  register(connection: Connection, roster: RosterKey, writeId: string): Observable<boolean> {
    const path = this.layout.parent(roster);
    const data = toUtf8(writeId);
    const attempt = (commit: Commit): Observable<boolean> =>
      commit('made', [{ act: 'create', path, data, kind: 'persistent' }]).pipe(
        map(() => true),
        onRefusal([Code.noNode], () => this.parents.makeFolders(connection).pipe(switchMap(() => attempt(commit)))),
        onRefusal([Code.nodeExists], () => existing(commit)),
      );
    const existing = (commit: Commit): Observable<boolean> =>
      connection.read(path).pipe(
        switchMap(({ data: found, stat }) => {
          if (isRegistration(roster.kind, found)) return commit('existed', []).pipe(map(() => false));
          // The server deletes parents of entries that are empty, so what has become more is not to be empty.
          const steps: readonly Step[] = [
            { act: 'set', path, data: toUtf8(`${writeId}${KEPT}`), version: stat.version },
            { act: 'create', path: `${path}/${KEEPER}`, data: new Uint8Array(), kind: 'persistent' },
          ];
          return commit('made', steps).pipe(map(() => true));
        }),
        // It changed or went between the reading and the writing.
        onRefusal([Code.noNode, Code.badVersion], () => attempt(commit)),
      );
    return this.outcomes.once(connection, writeId, {
      operation: `create ${roster.kind} ${roster.name}`,
      attempt,
      recall: (outcome) => of(outcome === 'made'),
    });
  }

  unregister(connection: Connection, roster: RosterKey, writeId: string): Observable<Unregistration> {
    const path = this.layout.parent(roster);
    const attempt = (commit: Commit): Observable<Unregistration> => {
      const conclude = (outcome: Unregistration, steps: readonly Step[] = []): Observable<Unregistration> =>
        commit(outcome, steps).pipe(map(() => outcome));
      return connection.read(path).pipe(
        map((found) => (isRegistration(roster.kind, found.data) ? found : undefined)),
        onRefusal([Code.noNode], () => of(undefined)),
        switchMap((found) =>
          found === undefined
            ? conclude('absent')
            : this.#deletion(connection, roster, found).pipe(switchMap((steps) => conclude('removed', steps))),
        ),
        onRefusal([Code.notEmpty], () => conclude('occupied')),
        // It changed or went between the reading and the writing.
        onRefusal([Code.noNode, Code.badVersion], () => attempt(commit)),
      );
    };
    return this.outcomes.once(connection, writeId, {
      operation: `delete ${roster.kind} ${roster.name}`,
      attempt,
      recall: (outcome) => of(outcome === 'removed' || outcome === 'occupied' ? outcome : 'absent'),
    });
  }

  /** With the keeper, which somebody may have taken away, and the folders of a semaphore, if nobody stands there. */
  #deletion(
    connection: Connection,
    roster: RosterKey,
    { data, stat }: { readonly data: Buffer; readonly stat: Stat },
  ): Observable<readonly Step[]> {
    const path = this.layout.parent(roster);
    const semaphore = this.layout.semaphore(roster);
    const children = [
      ...(isKept(data) ? [`${path}/${KEEPER}`] : []),
      ...(semaphore === undefined ? [] : [semaphore.locks, semaphore.leases]),
    ];
    const removal = (child: string): Step => ({ act: 'remove', path: child, version: -1 });
    const there$ = children.map((child) =>
      connection.exists(child).pipe(map((found) => (found === undefined ? [] : [removal(child)]))),
    );
    const itself: Step = { act: 'remove', path, version: stat.version };
    return there$.length === 0 ? of([itself]) : forkJoin(there$).pipe(map((steps) => [...steps.flat(), itself]));
  }

  registered(connection: Connection, kind: RosterKind): Observable<ReadonlySet<string>> {
    return defer(() => {
      const folder = this.layout.folder(kind);
      const list = listed(connection, folder);
      /** Whether each is a group; one that is not may become one, so it stays watched. */
      const known = new Map<string, boolean>();

      const read = (watches: WatchSet, segment: string): Observable<unknown> => {
        const path = `${folder}/${segment}`;
        if (known.has(segment) && watches.has('data', path)) return of(undefined);
        watches.set('data', path);
        return connection.read(path, true).pipe(
          map(({ data }) => known.set(segment, isRegistration(kind, data))),
          onRefusal([Code.noNode], () => {
            watches.drop('data', path);
            known.delete(segment);
            return of(undefined);
          }),
        );
      };

      return follow(connection, (watches) =>
        list(watches).pipe(
          switchMap((segments) => {
            for (const segment of known.keys()) if (!segments.includes(segment)) known.delete(segment);
            return segments.length === 0 ? of([]) : forkJoin(segments.map((segment) => read(watches, segment)));
          }),
          map(() => new Set([...known].filter(([, isGroup]) => isGroup).map(([segment]) => nameOf(segment)))),
        ),
      );
    });
  }
}
