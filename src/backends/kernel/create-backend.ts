import {
  catchError,
  concat,
  defer,
  distinctUntilChanged,
  EMPTY,
  finalize,
  lastValueFrom,
  map,
  merge,
  mergeMap,
  Observable,
  of,
  ReplaySubject,
  retry,
  Subject,
  switchMap,
  take,
  takeUntil,
  tap,
  throwError,
  throwIfEmpty,
  timer,
} from 'rxjs';
import type { Backend, Characteristics, Entry, Place, RosterKey, Session, Versioned } from '../backend.js';
import {
  BackendClosed,
  type CoordinationError,
  OutcomeUnknown,
  SessionLost,
  type StoreLocation,
  Unavailable,
} from '../errors.js';
import { checkPayload, jsonCodec, MAX_PAYLOAD_BYTES, RECORD_BYTES, sameBytes } from '../shared/codec.js';
import { checkAll, number } from '../shared/expectations.js';
import { checkName } from '../shared/keys.js';
import { type BackendOptions, timingOf } from '../shared/options.js';
import { orThrow } from '../shared/or-throw.js';
import { tornDown$ } from '../shared/teardown.js';
import type { Store, StoreContext, StoreSession } from '../store.js';
import { monotonicScheduler } from './clock.js';
import { type Environment, hostEnvironment } from './environment.js';
import type { Lease } from './lease.js';
import { Participation, type ParticipationContext } from './participation.js';
import { Sessions } from './session.js';
import { refusedWhenClosed } from './when-closed.js';

const DRAINING: Session = { state: 'draining' };

/** What `close` takes. A timer of the platform carries no longer delay. */
const CLOSING = { drainMs: number(0, 2 ** 31 - 1) };

/**
 * Makes the port of an adapter: sessions, participation, and streams that ride out what breaks below.
 *
 * `store$` is subscribed to when a session is opened. `company` is what stands in all shards of one backend, which drain
 * together. **Throws** `InvalidOptions` at the call.
 */
export function createBackend(
  name: string,
  characteristics: Characteristics,
  store$: Observable<Store>,
  options: BackendOptions,
  environment: Environment = hostEnvironment,
  company: Set<Participation> = new Set(),
): Backend {
  const timing = orThrow(timingOf(options));
  const clock = options.scheduler ?? monotonicScheduler;
  const faults = new Subject<CoordinationError>();
  const draining = new ReplaySubject<void>(1);
  /** How long the drain may still last, by each further call of `close` that says so. */
  const hurried = new ReplaySubject<number>();
  const closing = new ReplaySubject<void>(1);
  const ended = new ReplaySubject<void>(1);
  const stays = new Set<Participation>();
  let closed: Promise<void> | undefined;
  /** It does not drain any longer. */
  let isClosing = false;

  const { tokenBase = 0n } = options;
  const shown = (entry: Entry): Entry => (tokenBase === 0n ? entry : { ...entry, token: entry.token + tokenBase });

  let location: string | StoreLocation = name;
  const context: ParticipationContext = {
    name,
    timing,
    clock,
    get store() {
      return location;
    },
    ...environment,
    shown,
    report: (fault) => faults.next(fault),
    get isClosing() {
      return isClosing;
    },
    ended$: ended,
  };
  const storeContext: StoreContext = {
    timing,
    scheduler: clock,
    now: () => clock.now(),
    newId: environment.newId,
    fault: context.report,
  };
  let store: Store | undefined;
  const located$ = store$.pipe(
    tap((loaded) => {
      store = loaded;
      location = loaded;
    }),
  );
  const sessions = new Sessions(located$, context, storeContext);

  const refused = refusedWhenClosed(name, clock, () => (isClosing ? 'closed' : 'draining'));
  const whileOpen = <T>(source: Observable<T>): Observable<T> => defer(() => (isClosing ? refused : source));

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

  /** One answer, of whichever session lives long enough to give it. */
  const ask = <T>(run: (lease: Lease) => Observable<T>): Observable<T> =>
    whileOpen(
      sessions.lease$.pipe(
        take(1),
        switchMap(run),
        retry({ delay: (error) => (error instanceof SessionLost ? of(0) : throwError(() => error)) }),
        take(1),
        takeUntil(closing),
        throwIfEmpty(() => new BackendClosed(name)),
      ),
    );

  /** One write, repeated in one session only: another one cannot tell whether it has happened. */
  const write = <T>(what: string, run: (session: StoreSession, writeId: string) => Observable<T>): Observable<T> =>
    ask((lease) => {
      const writeId = environment.newId();
      let isInDoubt = false;
      const attempt = defer(() => {
        const wasInDoubt = isInDoubt;
        isInDoubt = true;
        return run(lease.session, writeId).pipe(
          tap({
            // The store itself says that it has not done it, this time.
            error: (error) => {
              isInDoubt = wasInDoubt || error instanceof Unavailable;
            },
          }),
        );
      });
      return lease
        .perform(what, () => attempt)
        .pipe(
          catchError((error) =>
            // A refusal speaks of the latest copy only: an earlier one may have been carried out, or still be.
            throwError(() => (isInDoubt ? new OutcomeUnknown(location, what, error) : error)),
          ),
        );
    });

  /** Completes when no work is left, of whichever shard, or there is no more time for it. */
  const drained = (drainMs: number): Observable<never> =>
    defer(() => {
      draining.next();
      for (const stay of [...stays]) stay.drain();
      const working = [...company].filter((stay) => stay.isWorking);
      const hurry = hurried.pipe(mergeMap((ms) => (ms === 0 ? of(ms) : timer(ms, clock))));
      return merge(...working.map((stay) => stay.settled$)).pipe(takeUntil(merge(timer(drainMs, clock), hurry)));
    });
  const goodbye = defer(() => {
    isClosing = true;
    closing.next();
    const settled = merge(...[...stays].map((stay) => stay.settled$));
    for (const stay of [...stays]) stay.complete();
    const released = defer(() => store?.release?.() ?? EMPTY);
    return concat(settled, tornDown$, sessions.close(timing.closeTimeoutMs), released);
  }).pipe(finalize(() => ended.next()));
  const close = async (drainMs: number): Promise<void> => {
    await lastValueFrom(drainMs === 0 ? goodbye : concat(drained(drainMs), goodbye), { defaultValue: undefined });
    faults.complete();
  };

  const backend: Backend = {
    name,
    characteristics,
    codec: options.codec ?? jsonCodec,
    scheduler: clock,
    newId: environment.newId,
    session$: merge(sessions.session$.pipe(takeUntil(draining)), draining.pipe(map(() => DRAINING))).pipe(
      takeUntil(ended),
    ),
    faults$: faults.asObservable(),
    reportFault: context.report,

    enter: (roster, wish) => {
      checkName(roster.name);
      checkPayload(subjectOf(roster), wish.payload, MAX_PAYLOAD_BYTES + RECORD_BYTES);
      return new Observable<Place>((subscriber) => {
        // Nobody enters any more from when it drains.
        if (closed !== undefined) return refused.subscribe(subscriber);
        let stay: Participation | undefined;
        const enter = (lease: Lease): void => {
          // Closed by somebody who was told of the session before: nothing starts in it any more.
          if (closed !== undefined) {
            subscriber.complete();
            return;
          }
          const mine = new Participation(roster, wish, lease, context, subscriber, () => {
            stays.delete(mine);
            company.delete(mine);
          });
          stay = mine;
          stays.add(mine);
          company.add(mine);
          mine.start();
        };
        if (sessions.lease !== undefined) {
          enter(sessions.lease);
          return () => stay?.leave();
        }
        const waiting = sessions.lease$.pipe(take(1), takeUntil(draining)).subscribe({
          next: enter,
          error: (error) => subscriber.error(error),
          complete: () => {
            if (stay === undefined) subscriber.complete();
          },
        });
        return () => {
          waiting.unsubscribe();
          stay?.leave();
        };
      });
    },
    entries: (roster) => {
      checkName(roster.name);
      return watch((session) => session.entries(roster).pipe(map((entries) => entries.map(shown))), sameEntries);
    },
    look: (roster) => {
      checkName(roster.name);
      // As long as answers flow: a large roster takes longer to read than a request may.
      return ask((lease) => lease.follow(() => lease.session.look(roster))).pipe(map((entries) => entries.map(shown)));
    },
    evict: (roster, entryId) => {
      checkName(roster.name);
      return write(`evict ${entryId} from ${subjectOf(roster)}`, (session, writeId) =>
        session.evict(roster, entryId, writeId),
      );
    },

    register: (roster) => {
      checkName(roster.name);
      return write(`create ${subjectOf(roster)}`, (session, writeId) => session.register(roster, writeId));
    },
    unregister: (roster) => {
      checkName(roster.name);
      return write(`delete ${subjectOf(roster)}`, (session, writeId) => session.unregister(roster, writeId));
    },
    registered: (kind) => watch((session) => session.registered(kind), sameSet),

    cell: (key) => {
      checkName(key);
      return watch((session) => session.cell(key), sameVersion);
    },
    swap: (key, expected, value) => {
      checkName(key);
      const subject = `cell ${JSON.stringify(key)}`;
      if (value !== undefined) checkPayload(subject, value);
      return write(`write ${subject}`, (session, writeId) => session.swap(key, expected, value, writeId));
    },

    close: (given) => {
      // Handed over as a listener, `process.once('SIGTERM', backend.close)`, it gets what is no options.
      const options = typeof given === 'object' ? given : {};
      checkAll(options, CLOSING);
      const { drainMs } = options;
      if (closed === undefined) {
        const { promise, resolve } = deferred();
        closed = promise; // from here on nothing starts any more
        resolve(close(drainMs ?? 0));
      } else if (drainMs !== undefined) hurried.next(drainMs); // who says nothing only wants to know when it is closed
      return closed;
    },
    [Symbol.asyncDispose]: () => backend.close(),
  };
  return backend;
}

/** How messages call a roster. */
function subjectOf({ kind, name }: RosterKey): string {
  return `${kind} ${JSON.stringify(name)}`;
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
