import { defer, forkJoin, map, type Observable, of, switchMap } from 'rxjs';
import type { RosterKey, RosterKind } from '../backend.js';
import type { Connection } from './connection.js';
import { listed } from './entries.js';
import { Code, onRefusal } from './failures.js';
import { follow, type WatchSet } from './follow.js';
import { isRegistration, type Layout, nameOf } from './layout.js';
import type { Parents } from './parents.js';

const encoder = new TextEncoder();

/** Groups exist by their parent node; one whose data is `MARK` only holds entries, and is no group. So may other rosters. */
export class Groups {
  constructor(
    private readonly layout: Layout,
    private readonly parents: Parents,
  ) {}

  register(connection: Connection, roster: RosterKey, writeId: string): Observable<boolean> {
    const path = this.layout.parent(roster);
    const data = encoder.encode(writeId);
    const attempt = (): Observable<boolean> =>
      connection.create(path, data, 'persistent').pipe(
        map(() => true),
        onRefusal([Code.noNode], () => this.parents.makeFolders(connection).pipe(switchMap(attempt))),
        onRefusal([Code.nodeExists], existing),
      );
    const existing = (): Observable<boolean> =>
      connection.read(path).pipe(
        switchMap(({ data: found, stat }) => {
          if (isRegistration(roster.kind, found)) return of(found.toString() === writeId);
          return connection.write(path, data, stat.version).pipe(map(() => true));
        }),
        // It changed or went between the reading and the writing.
        onRefusal([Code.noNode, Code.badVersion], attempt),
      );
    return defer(attempt);
  }

  unregister(connection: Connection, roster: RosterKey): Observable<'removed' | 'absent' | 'occupied'> {
    const path = this.layout.parent(roster);
    const attempt = (): Observable<'removed' | 'absent' | 'occupied'> =>
      connection.read(path).pipe(
        switchMap(({ data, stat }) =>
          isRegistration(roster.kind, data)
            ? connection.remove(path, stat.version).pipe(map(() => 'removed' as const))
            : of('absent' as const),
        ),
        onRefusal([Code.noNode], () => of('absent' as const)),
        onRefusal([Code.notEmpty], () => of('occupied' as const)),
        onRefusal([Code.badVersion], attempt),
      );
    return defer(attempt);
  }

  registered(connection: Connection, kind: RosterKind): Observable<ReadonlySet<string>> {
    return defer(() => {
      const folder = this.layout.folder(kind);
      const list = listed(connection, folder);
      /** Whether each is a group; one that is not may become one, so it stays watched. */
      const known = new Map<string, boolean>();

      const read = (watches: WatchSet, segment: string): Observable<unknown> => {
        const path = `${folder}/${segment}`;
        if (known.get(segment) === true || (known.has(segment) && watches.has('data', path))) return of(undefined);
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
