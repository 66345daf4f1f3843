import type { ICompare, IKeyValue, IRequestOp, IResponseOp, ITxnResponse } from 'etcd3';
import { catchError, defer, map, type Observable, of, switchMap, throwError } from 'rxjs';
import { Unavailable } from '../errors.js';
import { isLeaseGone, isTooMuch, mayHaveHappened } from './failures.js';
import { type Layout, oneKey } from './layout.js';
import type { Link } from './link.js';
import { isAbsent, isLeased, read, remove } from './requests.js';
import type { SessionLease } from './session-lease.js';

/** So many that need not be known any longer are removed along with each write, if the server allows so many operations. */
const MOST_FORGOTTEN_AT_ONCE = 8;

/** So many are kept that were answered when nobody listened any more; whoever asks again does so soon. */
const MOST_UNTOLD = 1_000;

/** Two operations each, if the server allows so many. */
const MOST_MOVED_AT_ONCE = 32;

/** One way in which a write may come out. */
export interface Way<Outcome extends string> {
  readonly outcome: Outcome;
  /** What must hold for it; the last of the ways is taken where no other is. */
  readonly compare?: readonly ICompare[];
  readonly success?: readonly IRequestOp[];
}

/** How a write has come out. */
export interface Written<Outcome extends string> {
  readonly outcome: Outcome;
  /** Of the transaction that has done it; undefined where that was an earlier one. */
  readonly revision: bigint | undefined;
  /** What was read along with it, by key. */
  readonly found: ReadonlyMap<string, IKeyValue>;
}

/** What became of the requests that were sent under one id. */
interface Copies {
  inFlight: number;
  /** One of them has not been answered, and never will be: it may still take effect. */
  isLost: boolean;
  /** Whoever asked knows the outcome, and asks no more. */
  isTold: boolean;
  /** What they were to be attached to. */
  readonly leases: Set<string>;
}

/**
 * Writes that are carried out once, however often they are asked for and however late a request arrives: each keeps its
 * outcome under its id, in its own transaction, attached to the session's lease, and one that finds an outcome does
 * nothing. So nothing of a session that has ended takes effect either.
 *
 * An outcome is removed along with a later write once every request under its id has been answered, and with the lease
 * that the others carried if one never was.
 */
export class Outcomes {
  readonly #copies = new Map<string, Copies>();
  readonly #forgettable = new Set<string>();
  #forgottenAtOnce = MOST_FORGOTTEN_AT_ONCE;
  #movedAtOnce = MOST_MOVED_AT_ONCE;

  constructor(
    private readonly link: Link,
    private readonly lease: SessionLease,
    private readonly layout: Layout,
  ) {
    lease.attached.moveAlso = (target) => this.#move(target);
  }

  /** One transaction, which takes the first of the ways that is open. `look` is read where an earlier one has done so. */
  write<Outcome extends string>(
    operation: string,
    id: string,
    ways: readonly Way<Outcome>[],
    look: readonly IRequestOp[] = [],
  ): Observable<Written<Outcome>> {
    return defer(() => {
      const key = this.layout.outcome(id);
      let lease = '';
      let forgotten: readonly string[] = [];
      return this.link
        .call(operation, ({ kv }, options) => {
          lease = this.lease.newest.lease;
          forgotten = [...this.#forgettable].slice(0, this.#forgottenAtOnce);
          const transaction = {
            compare: [isAbsent(oneKey(key)), isAbsent(oneKey(this.layout.fence(id, lease)))],
            success: [...firstOpen(ways, key, lease), ...forgotten.map((each) => remove(oneKey(each)))],
            failure: [read(oneKey(key)), ...look],
          };
          return this.#sent(id, lease, kv.txn(transaction, options));
        })
        .pipe(
          catchError((error) => {
            if (!isTooMuch(error) || forgotten.length < 2) return throwError(() => this.lease.lostIfGone(error, lease));
            this.#forgottenAtOnce = 1;
            return throwError(() => new Unavailable(this.link.store, operation, error));
          }),
          switchMap((response) => {
            if (response.succeeded) for (const each of forgotten) this.#forgettable.delete(each);
            return this.#told<Outcome>(operation, id, response);
          }),
        );
    });
  }

  /** A key that need not be there any longer is removed along with a later write. */
  forget(key: string): void {
    this.#forgettable.add(key);
  }

  #told<Outcome extends string>(
    operation: string,
    id: string,
    { succeeded, header, responses }: ITxnResponse,
  ): Observable<Written<Outcome>> {
    const found = new Map(kvsOf(responses).map((kv) => [kv.key.toString(), kv]));
    const outcome = found.get(this.layout.outcome(id))?.value.toString() as Outcome | undefined;
    if (outcome === undefined)
      return throwError(
        () => new Unavailable(this.link.store, operation, new Error('its lease has been replaced meanwhile')),
      );
    const copies = this.#copies.get(id);
    if (copies !== undefined) {
      copies.isTold = true;
      this.#settle(id, copies);
    }
    return of({ outcome, revision: succeeded ? BigInt(header.revision) : undefined, found });
  }

  #sent<T>(id: string, lease: string, answer: Promise<T>): Promise<T> {
    const copies = this.#copies.get(id) ?? { inFlight: 0, isLost: false, isTold: false, leases: new Set<string>() };
    this.#copies.set(id, copies);
    copies.inFlight++;
    copies.leases.add(lease);
    const answered = (isLost: boolean): void => {
      copies.inFlight--;
      copies.isLost ||= isLost;
      this.#settle(id, copies);
    };
    answer.then(
      () => answered(false),
      (cause: unknown) => answered(mayHaveHappened(cause)),
    );
    return answer;
  }

  #settle(id: string, copies: Copies): void {
    if (copies.inFlight > 0) return;
    if (copies.isTold) {
      this.#copies.delete(id);
      if (copies.isLost) this.lease.linger();
      else this.#forgettable.add(this.layout.outcome(id));
    } else if (this.#copies.size > MOST_UNTOLD) {
      const [oldest = id] = [...this.#copies].find(([, { inFlight, isLost }]) => inFlight === 0 && !isLost) ?? [];
      this.#copies.delete(oldest);
      this.#forgettable.add(this.layout.outcome(oldest));
    }
  }

  /**
   * Whoever may ask again finds the outcome attached to the new lease; and a request that carries the old one and arrives
   * from now on finds a fence, which lives as long as that lease. Undefined when there is nothing to move.
   */
  #move(target: string): Observable<undefined> | undefined {
    const batch = [...this.#copies]
      .flatMap(([id, { isTold, leases }]) => {
        const old = [...leases].find((lease) => lease !== target);
        return isTold || old === undefined ? [] : [{ id, old, leases }];
      })
      .slice(0, this.#movedAtOnce);
    if (batch.length === 0) return undefined;
    const success = batch.flatMap(({ id, old }): IRequestOp[] => {
      const key = oneKey(this.layout.outcome(id));
      return [
        { request_put: { key: oneKey(this.layout.fence(id, old)).start, lease: old } },
        {
          request_txn: {
            compare: [isLeased(key, old)],
            success: [{ request_put: { key: key.start, lease: target, ignore_value: true } }],
          },
        },
      ];
    });
    return this.link
      .callAtOnce('move to a new lease', ({ kv }, options) => kv.txn({ success }, options))
      .pipe(
        map(() => {
          for (const { old, leases } of batch) leases.add(target).delete(old);
          return undefined;
        }),
        catchError((error) => {
          if (isLeaseGone(error)) return throwError(() => this.lease.lost(error));
          if (!isTooMuch(error) || batch.length === 1) return throwError(() => error);
          this.#movedAtOnce = Math.ceil(batch.length / 2);
          return of(undefined);
        }),
      );
  }
}

/** The outcome is read where it has been put, and so is found in the answer, whichever way was taken. */
function firstOpen([first, ...others]: readonly Way<string>[], key: string, lease: string): readonly IRequestOp[] {
  if (first === undefined) return [];
  const { start } = oneKey(key);
  const success = [
    ...(first.success ?? []),
    { request_put: { key: start, value: Buffer.from(first.outcome), lease } },
    read({ start }),
  ];
  if (others.length === 0) return success;
  return [
    { request_txn: { compare: [...(first.compare ?? [])], success, failure: [...firstOpen(others, key, lease)] } },
  ];
}

function kvsOf(responses: readonly IResponseOp[]): readonly IKeyValue[] {
  return responses.flatMap(({ response_range, response_txn }) => [
    ...(response_range?.kvs ?? []),
    ...kvsOf(response_txn?.responses ?? []),
  ]);
}
