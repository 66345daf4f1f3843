import { catchError, map, Observable, type OperatorFunction, take, throwError } from 'rxjs';
import type { Characteristics, Expected } from '../../src/backends/backend.js';
import { SessionLost, Unavailable } from '../../src/backends/errors.js';
import type { Store, StoreContext, StoreSession } from '../../src/backends/store.js';

/** Makes an adapter of another one. */
export type Alter = (adapter: Store) => Store;

/** An adapter in whose sessions some operations are others. */
export function inSession(
  change: (session: StoreSession, context: StoreContext, adapter: Store) => Partial<StoreSession>,
): Alter {
  return (adapter) => ({
    ...adapter,
    open: (context) =>
      adapter.open(context).pipe(map((session) => ({ ...session, ...change(session, context, adapter) }))),
  });
}

/** An adapter that is told of another context. */
export const inContext =
  (change: (context: StoreContext) => Partial<StoreContext>): Alter =>
  (adapter) => ({ ...adapter, open: (context) => adapter.open({ ...context, ...change(context) }) });

export const declaring =
  (change: Partial<Characteristics>): Alter =>
  (adapter) => ({ ...adapter, characteristics: { ...adapter.characteristics, ...change } });

/** What an operation errors with. */
export const erring = <T>(instead: (error: unknown) => unknown): OperatorFunction<T, T> =>
  catchError((error) => throwError(() => instead(error)));

/** `SessionLost` becomes a failure that passes. */
export const asPassing = (error: unknown): unknown =>
  error instanceof SessionLost ? new Unavailable('map', 'anything', error) : error;

/** Every operation, altered in one way. */
export function everywhere(session: StoreSession, alter: <T>() => OperatorFunction<T, T>): Partial<StoreSession> {
  return {
    renew: () => session.renew().pipe(alter()),
    enter: (...args) => session.enter(...args).pipe(alter()),
    place: (...args) => session.place(...args).pipe(alter()),
    update: (...args) => session.update(...args).pipe(alter()),
    leave: (...args) => session.leave(...args).pipe(alter()),
    entries: (...args) => session.entries(...args).pipe(alter()),
    look: (...args) => session.look(...args).pipe(alter()),
    evict: (...args) => session.evict(...args).pipe(alter()),
    register: (...args) => session.register(...args).pipe(alter()),
    unregister: (...args) => session.unregister(...args).pipe(alter()),
    registered: (...args) => session.registered(...args).pipe(alter()),
    cell: (...args) => session.cell(...args).pipe(alter()),
    swap: (...args) => session.swap(...args).pipe(alter()),
  };
}

/** The writes of a session, each under the id that `idFor` gives in place of its own. */
export function writingUnder(session: StoreSession, idFor: (writeId: string) => string): Partial<StoreSession> {
  const under = <T>(writeId: string, write: (id: string) => Observable<T>): Observable<T> =>
    new Observable((subscriber) => write(idFor(writeId)).subscribe(subscriber));
  return {
    evict: (roster, entryId, writeId) => under(writeId, (id) => session.evict(roster, entryId, id)),
    register: (roster, writeId) => under(writeId, (id) => session.register(roster, id)),
    unregister: (roster, writeId) => under(writeId, (id) => session.unregister(roster, id)),
    swap: (key, expected: Expected, value, writeId) => under(writeId, (id) => session.swap(key, expected, value, id)),
  };
}

/** Another session with the same store, which nothing ends. */
export function another(adapter: Store, context: StoreContext): Observable<StoreSession> {
  return adapter.open(context).pipe(take(1));
}

/** Emits nothing after its first `count` values, and goes on. */
export const deafAfter =
  <T>(count: number): OperatorFunction<T, T> =>
  (source) =>
    new Observable((subscriber) => {
      let seen = 0;
      subscriber.add(
        source.subscribe({
          next: (value) => seen++ < count && subscriber.next(value),
          error: (e) => subscriber.error(e),
        }),
      );
    });
