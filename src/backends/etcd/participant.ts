import type { ITxnResponse } from 'etcd3';
import {
  AsyncSubject,
  catchError,
  defer,
  filter,
  finalize,
  map,
  type Observable,
  observeOn,
  of,
  queueScheduler,
  Subject,
  Subscription,
  startWith,
  switchMap,
  take,
  tap,
  throwError,
} from 'rxjs';
import type { RosterKey } from '../backend.js';
import { GroupNotFound, Unavailable } from '../errors.js';
import type { Standing, StandRequest } from '../store.js';
import type { Connection } from './connection.js';
import { isLeaseGone } from './failures.js';
import { entryId, type Layout, oneKey } from './layout.js';
import {
  type Contender,
  isAlwaysAdmitted,
  type Line,
  lineOf,
  lineOnEntering,
  lost,
  readLine,
  wantsNearestOnly,
} from './line.js';
import type { Link } from './link.js';
import { isAbsent, isPresent, keysRead, read, remove } from './requests.js';
import type { SessionLease } from './session-lease.js';

/** The line as it was found on entering, and over which connection. */
export interface FirstLook {
  readonly line: Line;
  readonly connection: Connection | undefined;
}

/** A request to enter that was begun, and perhaps answered while nobody listened. */
interface Entering {
  readonly answer: AsyncSubject<Standing>;
  readonly running: Subscription;
}

/** Entering a roster, changing one's payload there, and leaving. */
export class Participant {
  readonly #firstLooks = new WeakMap<Standing, FirstLook>();
  /** What is under way in each roster, by the order in which it was begun. */
  readonly #underWay = new Map<string, Set<number>>();
  readonly #answered = new Subject<void>();
  /** By the id of the request. */
  readonly #entering = new Map<string, Entering>();
  #begun = 0;

  constructor(
    private readonly link: Link,
    private readonly lease: SessionLease,
    private readonly layout: Layout,
  ) {}

  contender(roster: RosterKey, request: StandRequest): Contender {
    const prefix = this.layout.entries(roster);
    return { roster, request, prefix, key: prefix + entryId(this.lease.hex, request.id, request.mode) };
  }

  /** For the first who follows the place: who follows it again knows of what came since. */
  takeFirstLook(standing: Standing): FirstLook | undefined {
    const firstLook = this.#firstLooks.get(standing);
    this.#firstLooks.delete(standing);
    return firstLook;
  }

  /** One transaction, which makes the entry or finds the one made before. */
  enter(roster: RosterKey, request: StandRequest): Observable<Standing> {
    request.sent();
    const contender = this.contender(roster, request);
    // Requests overtake each other, and who comes first is to be first; where everybody is admitted it does not matter.
    if (isAlwaysAdmitted(contender)) return this.#enter(roster, request);
    return this.#begunOnce(
      request.id,
      this.#inTurn(contender.prefix, (afterOthers) => afterOthers.pipe(switchMap(() => this.#enter(roster, request)))),
    );
  }

  /** Nothing that waits for its turn is sent any more. */
  stop(): void {
    // The last first, or each that goes would let in the one behind it.
    for (const { running } of [...this.#entering.values()].reverse()) running.unsubscribe();
    this.#entering.clear();
  }

  /** Whoever waits for its turn for longer than a request may take asks again, and has kept its turn. */
  #begunOnce(id: string, enter: Observable<Standing>): Observable<Standing> {
    return defer(() => {
      const begun = this.#entering.get(id) ?? { answer: new AsyncSubject<Standing>(), running: new Subscription() };
      if (!this.#entering.has(id)) {
        this.#entering.set(id, begun);
        // After a failure it is begun anew, also where nobody has heard of it.
        const failed = { error: () => this.#entering.delete(id) };
        begun.running.add(enter.pipe(tap(failed)).subscribe(begun.answer));
      }
      return begun.answer.pipe(tap(() => this.#entering.delete(id)));
    });
  }

  #enter(roster: RosterKey, request: StandRequest): Observable<Standing> {
    return defer(() => {
      const contender = this.contender(roster, request);
      const { lease } = this.lease.newest;
      const { connection } = this.link;
      const key = oneKey(contender.key);
      const refusal = oneKey(this.layout.refusal(request.id));
      const registration = oneKey(this.layout.registration(roster));
      const put = { request_put: { key: key.start, value: Buffer.from(request.payload), lease } };
      return this.link
        .call('enter', ({ kv }, options) =>
          kv.txn(
            {
              compare: [isAbsent(key), isAbsent(refusal), ...(request.registered ? [isPresent(registration)] : [])],
              success: [put, ...lineOnEntering(contender)],
              failure: [read(key, { keys_only: true }), read(refusal, { keys_only: true })],
            },
            options,
          ),
        )
        .pipe(
          catchError((error) => throwError(() => this.#leaseIsGone(error, lease))),
          switchMap((response) =>
            response.succeeded
              ? this.#entered(contender, lease, connection, response)
              : this.#found(contender, connection, response),
          ),
        );
    });
  }

  update(roster: RosterKey, request: StandRequest, payload: Uint8Array): Observable<void> {
    const contender = this.contender(roster, request);
    const key = oneKey(contender.key);
    const put = { request_put: { key: key.start, value: Buffer.from(payload), ignore_lease: true } };
    return this.link
      .call('update', ({ kv }, options) => kv.txn({ compare: [isPresent(key)], success: [put] }, options))
      .pipe(switchMap(({ succeeded }) => (succeeded ? of(undefined) : lost(contender))));
  }

  leave(roster: RosterKey, request: StandRequest, inDoubt: boolean): Observable<void> {
    return defer(() => {
      const { key, prefix } = this.contender(roster, request);
      this.lease.forget(key);
      this.#entering.get(request.id)?.running.unsubscribe();
      this.#entering.delete(request.id);
      const left = inDoubt
        ? this.#refuse(key, request.id)
        : this.link.call('leave', ({ kv }, options) => kv.deleteRange({ key: oneKey(key).start }, options));
      // Who leaves and enters again must not find the entry that is on its way out.
      return this.#inTurn(prefix, () => left.pipe(map(() => undefined)));
    });
  }

  /** `run` is given what emits when everything that was begun in this roster before it has been answered. */
  #inTurn<T>(prefix: string, run: (afterOthers: Observable<unknown>) => Observable<T>): Observable<T> {
    return defer(() => {
      const turn = ++this.#begun;
      const turns = this.#underWay.get(prefix) ?? new Set<number>();
      this.#underWay.set(prefix, turns.add(turn));
      const afterOthers = this.#answered.pipe(
        startWith(undefined),
        // A Set keeps the order of insertion.
        filter(() => turns.values().next().value === turn),
        take(1),
        // A thousand that fail at once, because the link is down, must not do so within each other.
        observeOn(queueScheduler),
      );
      return run(afterOthers).pipe(
        finalize(() => {
          turns.delete(turn);
          if (turns.size === 0) this.#underWay.delete(prefix);
          this.#answered.next();
        }),
      );
    });
  }

  /**
   * An entry that comes late finds the refusal, or the end of the lease that it wants to be attached to: leases are
   * replaced in order, so the refusal's outlives its own.
   */
  #refuse(key: string, id: string): Observable<unknown> {
    const { lease } = this.lease.newest;
    const refusal = { request_put: { key: oneKey(this.layout.refusal(id)).start, lease } };
    return this.link
      .call('leave', ({ kv }, options) => kv.txn({ success: [remove(oneKey(key)), refusal] }, options))
      .pipe(catchError((error) => throwError(() => this.#leaseIsGone(error, lease))));
  }

  #entered(
    contender: Contender,
    lease: string,
    connection: Connection | undefined,
    { header, responses }: ITxnResponse,
  ): Observable<Standing> {
    const token = BigInt(header.revision);
    const line = isAlwaysAdmitted(contender)
      ? { revision: token, ahead: [] }
      : lineOf(contender, token, keysRead(responses, 1), token, !wantsNearestOnly(contender));
    return this.#standing(contender, token, lease, connection, line);
  }

  #found(contender: Contender, connection: Connection | undefined, { responses }: ITxnResponse): Observable<Standing> {
    const mine = keysRead(responses, 0)[0];
    if (mine !== undefined)
      return this.#standing(contender, BigInt(mine.create_revision), mine.lease, connection, undefined);
    if (keysRead(responses, 1).length > 0) return lost(contender);
    return throwError(() => new GroupNotFound(contender.roster.name));
  }

  #standing(
    contender: Contender,
    token: bigint,
    lease: string,
    connection: Connection | undefined,
    seen: Line | undefined,
  ): Observable<Standing> {
    if (!this.lease.keep(contender.key, token, lease))
      return throwError(() => new Unavailable('etcd', 'enter', new Error('its lease has been replaced meanwhile')));
    const { request, key, prefix } = contender;
    const { mode, payload, permits } = request;
    return (seen === undefined ? readLine(this.link, contender, token) : of(seen)).pipe(
      map((line) => {
        const entry = { id: key.slice(prefix.length), token, mode, payload };
        const standing = { entry, ahead: Math.min(line.ahead.length, permits) };
        this.#firstLooks.set(standing, { line, connection });
        return standing;
      }),
    );
  }

  /** The lease of the session has ended, unless the request carried an older one. */
  #leaseIsGone(error: unknown, lease: string): unknown {
    if (!isLeaseGone(error) || lease !== this.lease.newest.lease) return error;
    return this.lease.lost(error);
  }
}
