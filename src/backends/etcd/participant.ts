import type { ITxnResponse } from 'etcd3';
import {
  asapScheduler,
  catchError,
  defer,
  finalize,
  first,
  map,
  type Observable,
  observeOn,
  of,
  Subject,
  startWith,
  switchMap,
  throwError,
} from 'rxjs';
import type { RosterKey } from '../backend.js';
import { GroupNotFound, Unavailable } from '../errors.js';
import type { Standing, StandRequest } from '../store.js';
import type { Connection } from './connection.js';
import { mayHaveHappened } from './failures.js';
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
import { isAbsent, isPresent, isVersion, keysRead, read, remove } from './requests.js';
import type { SessionLease } from './session-lease.js';

/** The line as it was found on entering, and over which connection. */
export interface FirstLook {
  readonly line: Line;
  readonly connection: Connection | undefined;
}

/** Entering a roster, changing one's payload there, and leaving. */
export class Participant {
  readonly #firstLooks = new WeakMap<Standing, FirstLook>();
  /** What is under way in each roster, by the order in which it was begun. */
  readonly #underWay = new Map<string, Set<number>>();
  readonly #answered = new Subject<void>();
  /** By the ids of requests to enter, of which one was sent and not answered: it may still make an entry. */
  readonly #unanswered = new Set<string>();
  /** The revision at which each entry was last written, as far as is known, by the id of the request. */
  readonly #writtenAt = new Map<string, bigint>();
  #begun = 0;

  constructor(
    private readonly link: Link,
    private readonly lease: SessionLease,
    private readonly layout: Layout,
  ) {}

  contender(roster: RosterKey, request: StandRequest): Contender {
    const prefix = this.layout.entries(roster);
    return { roster, request, prefix, key: prefix + entryId(this.lease.hex, roster.kind, request) };
  }

  /** For the first who follows the place: who follows it again knows of what came since. */
  takeFirstLook(standing: Standing): FirstLook | undefined {
    const firstLook = this.#firstLooks.get(standing);
    this.#firstLooks.delete(standing);
    return firstLook;
  }

  /** The entry is gone. */
  forget({ id }: StandRequest): void {
    this.#unanswered.delete(id);
    this.#writtenAt.delete(id);
  }

  /**
   * One transaction, which makes the entry or finds the one made before. Requests overtake each other, and who comes first
   * is to be first: each waits for the answers to those before it, and for the connection.
   */
  enter(roster: RosterKey, request: StandRequest): Observable<Standing> {
    const contender = this.contender(roster, request);
    // Where everybody is admitted the order does not matter.
    if (isAlwaysAdmitted(contender)) return this.#enter(roster, request);
    return this.#inTurn(contender.prefix, (itsTurn) =>
      itsTurn.pipe(
        switchMap(() => this.link.up$.pipe(first((up) => up))),
        switchMap(() => this.#enter(roster, request)),
      ),
    );
  }

  #enter(roster: RosterKey, request: StandRequest): Observable<Standing> {
    return defer(() => {
      const contender = this.contender(roster, request);
      const { lease } = this.lease.newest;
      const { connection } = this.link;
      const key = oneKey(contender.key);
      const outcome = oneKey(this.layout.outcome(request.id));
      const registration = oneKey(this.layout.registration(roster));
      const put = { request_put: { key: key.start, value: Buffer.from(request.payload), lease } };
      return this.link
        .call('enter', ({ kv }, options) => {
          request.sent();
          const isRepeated = this.#unanswered.has(request.id);
          this.#unanswered.add(request.id);
          // The request before it must not come to anything when somebody has taken out what this one makes or finds.
          const entered = { request_put: { key: outcome.start, value: Buffer.from('entered'), lease } };
          const settled = isRepeated ? [entered] : [];
          const transaction = {
            compare: [isAbsent(key), isAbsent(outcome), ...(request.registered ? [isPresent(registration)] : [])],
            success: [put, ...lineOnEntering(contender), ...settled],
            failure: [read(key, { keys_only: true }), read(outcome, { keys_only: true }), ...settled],
          };
          const answer = kv.txn(transaction, options);
          if (isRepeated) this.lease.lingerIfMade(answer);
          else this.#unansweredUntil(answer, request.id);
          return answer;
        })
        .pipe(
          catchError((error) => throwError(() => this.lease.lostIfGone(error, lease))),
          switchMap((response) =>
            response.succeeded
              ? this.#entered(contender, lease, connection, response)
              : this.#found(contender, connection, response),
          ),
        );
    });
  }

  #unansweredUntil(answer: Promise<unknown>, id: string): void {
    answer.then(
      () => this.#unanswered.delete(id),
      (cause: unknown) => {
        if (!mayHaveHappened(cause)) this.#unanswered.delete(id);
      },
    );
  }

  /**
   * Written only over what was there when it was sent, so that an earlier update that arrives late does not undo a later
   * one. What is there may be another than was thought: the entry was moved to another lease, or an answer was lost.
   */
  update(roster: RosterKey, request: StandRequest, payload: Uint8Array): Observable<void> {
    const contender = this.contender(roster, request);
    const key = oneKey(contender.key);
    const put = { request_put: { key: key.start, value: Buffer.from(payload), ignore_lease: true } };
    return defer(() => {
      const compare = [isPresent(key), isVersion(key, this.#writtenAt.get(request.id) ?? 0n)];
      const transaction = { compare, success: [put], failure: [read(key, { keys_only: true })] };
      return this.link.call('update', ({ kv }, options) => {
        request.sent();
        return kv.txn(transaction, options);
      });
    }).pipe(
      switchMap(({ succeeded, header, responses }) => {
        const found = keysRead(responses, 0)[0];
        if (!succeeded && found === undefined) return lost(contender);
        this.#writtenAt.set(request.id, BigInt(succeeded ? header.revision : (found?.mod_revision ?? 0)));
        return succeeded ? of(undefined) : this.update(roster, request, payload);
      }),
    );
  }

  leave(roster: RosterKey, request: StandRequest, inDoubt: boolean): Observable<boolean> {
    return defer(() => {
      const { key, prefix } = this.contender(roster, request);
      this.lease.attached.forget(key);
      this.forget(request);
      const left = inDoubt
        ? this.#refuse(key, request)
        : this.link
            .call('leave', ({ kv }, options) => {
              request.sent();
              return kv.deleteRange({ key: oneKey(key).start }, options);
            })
            .pipe(map(({ deleted }) => Number(deleted) > 0));
      // Who leaves and enters again must not find the entry that is on its way out.
      return this.#inTurn(prefix, () => left);
    });
  }

  /** `run` is given what emits when everything that was begun in this roster before it has been answered, or given up. */
  #inTurn<T>(prefix: string, run: (itsTurn: Observable<unknown>) => Observable<T>): Observable<T> {
    return defer(() => {
      const turn = ++this.#begun;
      const turns = this.#underWay.get(prefix) ?? new Set<number>();
      this.#underWay.set(prefix, turns.add(turn));
      const itsTurn = this.#answered.pipe(
        startWith(undefined),
        // A Set keeps the order of insertion.
        first(() => turns.values().next().value === turn),
        // A thousand that give up at once, one after the other, must not each have let in the next.
        observeOn(asapScheduler),
      );
      return run(itsTurn).pipe(
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
  #refuse(key: string, { id, sent }: StandRequest): Observable<boolean> {
    const { lease } = this.lease.newest;
    const refusal = {
      request_put: { key: oneKey(this.layout.outcome(id)).start, value: Buffer.from('refused'), lease },
    };
    return this.link
      .call('leave', ({ kv }, options) => {
        sent();
        const answer = kv.txn({ success: [remove(oneKey(key)), refusal] }, options);
        this.lease.lingerIfMade(answer);
        return answer;
      })
      .pipe(
        map(({ responses }) => Number(responses[0]?.response_delete_range?.deleted ?? 0) > 0),
        catchError((error) => throwError(() => this.lease.lostIfGone(error, lease))),
      );
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
    return this.#standing(contender, token, token, lease, connection, line);
  }

  #found(contender: Contender, connection: Connection | undefined, { responses }: ITxnResponse): Observable<Standing> {
    const mine = keysRead(responses, 0)[0];
    if (mine !== undefined)
      return this.#standing(
        contender,
        BigInt(mine.create_revision),
        BigInt(mine.mod_revision),
        mine.lease,
        connection,
        undefined,
      );
    if (keysRead(responses, 1).length > 0) return lost(contender);
    return throwError(() => new GroupNotFound(contender.roster.name));
  }

  #standing(
    contender: Contender,
    token: bigint,
    writtenAt: bigint,
    lease: string,
    connection: Connection | undefined,
    seen: Line | undefined,
  ): Observable<Standing> {
    if (!this.lease.keep(contender.key, token, lease))
      return throwError(
        () => new Unavailable(this.link.store, 'enter', new Error('its lease has been replaced meanwhile')),
      );
    const { request, key, prefix } = contender;
    this.#writtenAt.set(request.id, writtenAt);
    const { mode, payload, permits } = request;
    return (seen === undefined ? readLine(this.link, contender, token) : of(seen)).pipe(
      map((line) => {
        const entry = { id: key.slice(prefix.length), token, mode, permits, payload };
        const standing = { entry, ahead: Math.min(line.ahead.length, permits) };
        this.#firstLooks.set(standing, { line, connection });
        return standing;
      }),
    );
  }
}
