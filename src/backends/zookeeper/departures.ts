import { forkJoin, type Observable, of, switchMap } from 'rxjs';
import type { Connection } from './connection.js';
import { Code, onRefusal } from './failures.js';
import type { WatchSet } from './follow.js';

/** Watches these nodes, so that it is read again when one of them goes; before that, `left` is told which. */
export function watchDepartures(
  connection: Connection,
  watches: WatchSet,
  paths: readonly string[],
  left: (path: string) => void = () => undefined,
): Observable<unknown> {
  const unwatched = paths.filter((path) => !watches.has('data', path));
  if (unwatched.length === 0) return of(undefined);
  return forkJoin(unwatched.map((path) => watchDeparture(connection, watches, path, left)));
}

function watchDeparture(
  connection: Connection,
  watches: WatchSet,
  path: string,
  left: (path: string) => void,
): Observable<unknown> {
  watches.set('data', path, (isGone) => {
    if (isGone) left(path);
  });
  const absent = (): Observable<unknown> => {
    left(path);
    watches.drop('data', path);
    watches.again();
    return of(undefined);
  };
  const [parent, name] = [path.slice(0, path.lastIndexOf('/')), path.slice(path.lastIndexOf('/') + 1)];
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
}
