import {
  catchError,
  concat,
  defer,
  distinctUntilChanged,
  EMPTY,
  lastValueFrom,
  merge,
  Observable,
  of,
  ReplaySubject,
  retry,
  Subject,
  switchMap,
  take,
  takeUntil,
  throwError,
  throwIfEmpty,
} from 'rxjs';
import type { Backend, Characteristics, Entry, Place, Versioned } from './backend.js';
import { monotonicScheduler } from './clock.js';
import { jsonCodec, sameBytes } from './codec.js';
import { type Environment, hostEnvironment } from './environment.js';
import { BackendClosed, type CoordinationError, SessionLost } from './errors.js';
import { type BackendOptions, timingOf } from './options.js';
import { orThrow } from './or-throw.js';
import { Participation, type ParticipationContext } from './participation.js';
import { Sessions } from './session.js';
import type { Store, StoreContext, StoreSession } from './store.js';
import { refusedWhenClosed } from './when-closed.js';

/**
 * Makes the port of an adapter: sessions, participation, and streams that ride out what breaks below.
 *
 * `store$` is subscribed to when a session is opened. **Throws** `InvalidOptions` at the call.
 */
export function createBackend(
  name: string,
  characteristics: Characteristics,
  store$: Observable<Store>,
  options: BackendOptions,
  environment: Environment = hostEnvironment,
): Backend {
  const timing = orThrow(timingOf(options));
  const clock = options.scheduler ?? monotonicScheduler;
  const faults = new Subject<CoordinationError>();
  const closing = new ReplaySubject<void>(1);
  const stays = new Set<Participation>();
  let closed: Promise<void> | undefined;

  const context: ParticipationContext = {
    timing,
    clock,
    ...environment,
    report: (fault) => faults.next(fault),
    get isClosing() {
      return closed !== undefined;
    },
  };
  const storeContext: StoreContext = {
    timing,
    scheduler: clock,
    now: () => clock.now(),
    newId: context.newId,
    fault: context.report,
  };
  const sessions = new Sessions(store$, context, storeContext);

  const whileOpen = <T>(source: Observable<T>): Observable<T> =>
    defer(() => (closed === undefined ? source : refusedWhenClosed(name, clock)));

  const watch = <T>(run: (session: StoreSession) => Observable<T>, same: (a: T, b: T) => boolean): Observable<T> =>
    whileOpen(
      sessions.lease$.pipe(
        switchMap((lease) =>
          lease
            .follow(() => run(lease.session))
            .pipe(catchError((error) => (error instanceof SessionLost ? EMPTY : throwError(() => error)))),
        ),
        distinctUntilChanged(same),
        takeUntil(closing),
      ),
    );

  /** One act, in whichever session lives long enough for it. `isRepeated` tells that an earlier try may have succeeded. */
  const once = <T>(what: string, run: (session: StoreSession, isRepeated: () => boolean) => Observable<T>) =>
    whileOpen(
      defer(() => {
        let sent = 0;
        const isRepeated = (): boolean => sent > 1;
        return sessions.lease$.pipe(
          take(1),
          switchMap((lease) =>
            lease.perform(what, () => {
              sent++;
              return run(lease.session, isRepeated);
            }),
          ),
          retry({ delay: (error) => (error instanceof SessionLost ? of(0) : throwError(() => error)) }),
          take(1),
          takeUntil(closing),
          throwIfEmpty(() => new BackendClosed(name)),
        );
      }),
    );

  const close = async (): Promise<void> => {
    closing.next();
    const settled = merge(...[...stays].map((stay) => stay.settled$));
    for (const stay of [...stays]) stay.complete();
    await lastValueFrom(concat(settled, sessions.close(timing.closeTimeoutMs)), { defaultValue: undefined });
    faults.complete();
  };

  const backend: Backend = {
    name,
    characteristics,
    codec: options.codec ?? jsonCodec,
    scheduler: clock,
    newId: environment.newId,
    session$: sessions.session$,
    faults$: faults.asObservable(),
    reportFault: context.report,

    enter: (roster, wish) =>
      whileOpen(
        new Observable<Place>((subscriber) => {
          let stay: Participation | undefined;
          const waiting = sessions.lease$.pipe(take(1)).subscribe({
            next: (lease) => {
              // Closed by somebody who was told of the session before: nothing starts in it any more.
              if (closed !== undefined) {
                subscriber.complete();
                return;
              }
              const mine = new Participation(roster, wish, lease, context, subscriber);
              stay = mine;
              stays.add(mine);
              mine.settled$.subscribe({ complete: () => stays.delete(mine) });
              mine.start();
            },
            error: (error) => subscriber.error(error),
            complete: () => {
              if (stay === undefined) subscriber.complete();
            },
          });
          return () => {
            waiting.unsubscribe();
            stay?.leave();
          };
        }),
      ),
    entries: (roster) => watch((session) => session.entries(roster), sameEntries),
    evict: (roster, entryId) => once(`evict ${entryId}`, (session) => session.evict(roster, entryId)),

    register: (roster) =>
      defer(() => {
        const writeId = context.newId();
        return once(`create ${roster.name}`, (session) => session.register(roster, writeId));
      }),
    unregister: (roster) =>
      once(`delete ${roster.name}`, (session, isRepeated) =>
        session
          .unregister(roster)
          .pipe(switchMap((outcome) => of(outcome === 'absent' && isRepeated() ? 'removed' : outcome))),
      ),
    registered: (kind) => watch((session) => session.registered(kind), sameSet),

    cell: (key) => watch((session) => session.cell(key), sameVersion),
    swap: (key, expected, value) =>
      defer(() => {
        const writeId = context.newId();
        return once(`write cell ${key}`, (session) => session.swap(key, expected, value, writeId));
      }),

    close: () => {
      if (closed === undefined) {
        const { promise, resolve } = deferred();
        closed = promise; // from here on nothing starts any more
        resolve(close());
      }
      return closed;
    },
    [Symbol.asyncDispose]: () => backend.close(),
  };
  return backend;
}

function deferred(): { promise: Promise<void>; resolve: (value: Promise<void>) => void } {
  let resolve: (value: Promise<void>) => void = () => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

function sameEntries(a: readonly Entry[], b: readonly Entry[]): boolean {
  return a.length === b.length && a.every((entry, i) => sameEntry(entry, b[i]));
}

function sameEntry(a: Entry, b: Entry | undefined): boolean {
  return (
    b !== undefined && a.id === b.id && a.token === b.token && a.mode === b.mode && sameBytes(a.payload, b.payload)
  );
}

function sameSet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  return a.size === b.size && [...a].every((name) => b.has(name));
}

function sameVersion(a: Versioned | undefined, b: Versioned | undefined): boolean {
  return a?.version === b?.version;
}
