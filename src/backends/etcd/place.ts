import {
  catchError,
  concat,
  concatMap,
  defer,
  distinctUntilChanged,
  expand,
  filter,
  first,
  map,
  merge,
  type Observable,
  of,
  type SchedulerLike,
  scan,
  switchMap,
  take,
  throwError,
  timer,
} from 'rxjs';
import { PlaceLost } from '../errors.js';
import type { Evictions } from './evictions.js';
import { below, oneKey } from './layout.js';
import { type Contender, isAlwaysAdmitted, type Line, lost, readLine, readLineSince } from './line.js';
import type { Link } from './link.js';
import type { FirstLook } from './participant.js';
import type { SessionLease } from './session-lease.js';
import { isCompacted, type Watched } from './watch-stream.js';

/**
 * What is over sooner is not watched: most locks are held for less, and cost two requests. Until then, and for as long as that
 * watch is on its way, only what is removed by `evict` is noticed.
 */
const UNWATCHED_MS = 1_000;

/** One entry's place in line, for as long as it stands there. */
export class PlaceWatch {
  constructor(
    private readonly link: Link,
    private readonly lease: SessionLease,
    private readonly evictions: Evictions,
    private readonly scheduler: SchedulerLike,
    private readonly contender: Contender,
    private readonly token: bigint,
  ) {}

  /** Where the entry stands, then each change. Fails with `PlaceLost` when it is gone. */
  places(firstLook: FirstLook | undefined): Observable<number> {
    return defer(() => {
      // What was seen over another connection may have been overtaken by anything.
      const isFresh = firstLook !== undefined && firstLook.connection === this.link.connection;
      return (isFresh ? of(firstLook.line) : this.#readLine()).pipe(
        switchMap((line) => merge(this.#ahead(line), this.#untilGone(line.revision))),
        distinctUntilChanged(),
      );
    });
  }

  #ahead(line: Line): Observable<number> {
    const { permits } = this.contender.request;
    const now = Math.min(line.ahead.length, permits);
    if (now === 0 || isAlwaysAdmitted(this.contender)) return of(now);
    if (permits === 1) return this.#followNearest(line).pipe(map(({ ahead }) => ahead.length));
    return concat(of(now), this.#followAll(now < permits ? UNWATCHED_MS : 0));
  }

  /** Looks only at the nearest one ahead, and when that has gone, for the one which is nearest then. */
  #followNearest(line: Line): Observable<Line> {
    return of(line).pipe(
      expand((known) => {
        const nearest = known.ahead.at(-1);
        // The expansion ends here: nobody gets in before those who are there.
        if (nearest === undefined) return [];
        return this.link
          .through('watch', ({ watches }) => watches.watch(oneKey(nearest), 'deletions'))
          .pipe(
            // The watch stays while one looks, so that nothing happens between two watches.
            filter(({ created, revision }) => !created || revision > known.revision),
            concatMap(({ revision }) => this.#readLine(revision)),
            first(({ ahead }) => ahead.at(-1) !== nearest),
          );
      }),
    );
  }

  /** Several may stand ahead, and each that goes counts. Only keys are read, once, and deletions watched. */
  #followAll(afterMs: number): Observable<number> {
    const watched = this.link.through('watch', ({ watches }) =>
      watches.watch(below(this.contender.prefix), 'deletions'),
    );
    return (afterMs === 0 ? of(0) : timer(afterMs, this.scheduler)).pipe(
      switchMap(() => watched),
      concatMap(({ created, events }) =>
        created ? this.#readLine().pipe(map(({ ahead }) => ({ ahead }))) : of({ gone: events }),
      ),
      scan((ahead, change) => {
        if ('ahead' in change) return new Set(change.ahead);
        for (const { kv } of change.gone) ahead.delete(kv.key.toString());
        return ahead;
      }, new Set<string>()),
      map(({ size }) => Math.min(size, this.contender.request.permits)),
    );
  }

  /** Says nothing until the entry is gone: taken out by somebody, or with the session's lease. */
  #untilGone(seen: bigint): Observable<never> {
    const { key, prefix } = this.contender;
    const evicted$ = this.evictions.told(seen).pipe(
      filter((entryId) => key === prefix + entryId),
      // Anybody may have written there.
      concatMap(() => this.#isGone()),
      filter((isGone) => isGone),
    );
    const gone$ = this.lease.attached.gone$.pipe(filter((gone) => gone === key));
    // From where the entry was last seen, so that nobody who holds many has to look at each of them once more.
    const told$ = this.#deletions(seen + 1n).pipe(
      filter(({ created }) => !created),
      map(() => true),
    );
    const looked$ = this.#deletions().pipe(
      filter(({ created, revision }) => !created || revision > seen),
      concatMap(({ created }) => (created ? this.#isGone() : of(true))),
    );
    const deleted$ = timer(UNWATCHED_MS, this.scheduler).pipe(
      switchMap(() => told$.pipe(catchError((error) => (isCompacted(error) ? looked$ : throwError(() => error))))),
      filter((isGone) => isGone),
    );
    return merge(gone$, evicted$, deleted$).pipe(
      take(1),
      switchMap(() => this.#gone()),
    );
  }

  #deletions(from?: bigint): Observable<Watched> {
    return this.link.through('watch', ({ watches }) => watches.watch(oneKey(this.contender.key), 'deletions', from));
  }

  #isGone(): Observable<boolean> {
    return this.link
      .through('look for the entry', (connection) => connection.read('look for the entry', oneKey(this.contender.key)))
      .pipe(map(({ kvs }) => kvs[0] === undefined || BigInt(kvs[0].create_revision) !== this.token));
  }

  /** The whole session may have ended: then that is told, to everybody. */
  #gone(): Observable<never> {
    this.lease.attached.forget(this.contender.key);
    return this.lease
      .isAlive()
      .pipe(switchMap((isAlive) => (isAlive ? lost(this.contender) : throwError(() => this.lease.lost()))));
  }

  /** As of now, or of a revision that the watch has told of. */
  #readLine(since?: bigint): Observable<Line> {
    const line$ =
      since === undefined
        ? readLine(this.link, this.contender, this.token)
        : readLineSince(this.link, this.contender, this.token, since);
    return line$.pipe(catchError((error) => (error instanceof PlaceLost ? this.#gone() : throwError(() => error))));
  }
}
