import { map, Observable, type Subscriber, type Subscription } from 'rxjs';
import type { Connection } from './connection.js';
import type { Fired, WatchKind } from './watches.js';

/** The watches that one reader holds while it follows. */
export interface WatchSet {
  /** Reads again when the watch on `path` fires; `fired` is called before. Does nothing where it is set already. */
  set(kind: WatchKind, path: string, fired?: Fired): void;
  has(kind: WatchKind, path: string): boolean;
  drop(kind: WatchKind, path: string): void;
  /** Reads again after the present reading. */
  again(): void;
}

/**
 * Emits what `read` finds, and what it finds again each time one of the watches that it set has fired. One reading at a
 * time: what changes meanwhile is read afterwards, once. Errors when the connection ends.
 */
export function follow<T>(connection: Connection, read: (watches: WatchSet) => Observable<T>): Observable<T> {
  return new Observable<T>((subscriber) => {
    const listening = new Map<string, () => void>();
    let reading: Subscription | undefined;
    let isReading = false;
    let isStale = false;

    const watches: WatchSet = {
      set: (kind, path, fired) => {
        const key = `${kind}:${path}`;
        if (listening.has(key)) return;
        listening.set(
          key,
          connection.listen(kind, path, (isGone) => {
            listening.delete(key);
            fired?.(isGone);
            look();
          }),
        );
      },
      has: (kind, path) => listening.has(`${kind}:${path}`),
      drop: (kind, path) => {
        const key = `${kind}:${path}`;
        listening.get(key)?.();
        listening.delete(key);
      },
      again: () => look(),
    };
    const look = (): void => {
      isStale = true;
      while (isStale && !isReading && !subscriber.closed) {
        isStale = false;
        isReading = true;
        reading = read(watches).subscribe({
          next: (value) => subscriber.next(value),
          error: (error) => subscriber.error(error),
          complete: () => {
            isReading = false;
            if (isStale) look();
          },
        });
      }
    };

    subscriber.add(() => {
      reading?.unsubscribe();
      for (const stop of listening.values()) stop();
      listening.clear();
    });
    subscriber.add(connection.ended$.subscribe({ error: (error) => subscriber.error(error) }));
    if (!subscriber.closed) look();
  });
}

/**
 * One following for all who subscribe. Whoever comes later gets what was read after that, never what was known before:
 * it may know already that this is outdated. `begin` makes the reading; `afresh` asks it to trust no watch.
 */
export function shared<T>(
  connection: Connection,
  begin: () => (watches: WatchSet, afresh: boolean) => Observable<T>,
  idle: () => void,
): Observable<T> {
  /** To each subscriber, how many readings had begun when it came. */
  const since = new Map<Subscriber<T>, number>();
  let readings = 0;
  let isAfresh = false;
  let watching: WatchSet | undefined;
  let following: Subscription | undefined;

  const start = (): Subscription => {
    const read = begin();
    return follow(connection, (watches) => {
      watching = watches;
      const reading = ++readings;
      const afresh = isAfresh;
      isAfresh = false;
      return read(watches, afresh).pipe(map((value) => ({ reading, value })));
    }).subscribe({
      next: ({ reading, value }) => {
        for (const [subscriber, before] of [...since]) if (reading > before) subscriber.next(value);
      },
      error: (error) => {
        for (const subscriber of [...since.keys()]) subscriber.error(error);
      },
    });
  };

  return new Observable<T>((subscriber) => {
    since.set(subscriber, readings);
    if (following === undefined || following.closed) following = start();
    else {
      isAfresh = true;
      watching?.again();
    }
    return () => {
      since.delete(subscriber);
      if (since.size > 0) return;
      following?.unsubscribe();
      following = undefined;
      idle();
    };
  });
}
