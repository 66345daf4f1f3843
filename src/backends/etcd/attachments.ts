import type { IRequestOp, IResponseOp } from 'etcd3';
import { catchError, map, type Observable, of, Subject, throwError } from 'rxjs';
import type { SessionLost } from '../errors.js';
import { isLeaseGone, isTooMuch } from './failures.js';
import { oneKey } from './layout.js';
import type { Link } from './link.js';
import { isLeased, isMadeAt, keysRead, read } from './requests.js';

/** A server allows 128 operations, if not told otherwise, and to those within one what is left: here two comparisons. */
const MOST_MOVES_AT_ONCE = 126;

/** Where a key was last seen to be attached. */
interface Kept {
  readonly token: bigint;
  readonly lease: string;
}

/** What is attached to the lease of a session, and moves with it when that is replaced. */
export class Attachments {
  /** Keys that turned out to be gone while being moved. */
  readonly gone$: Subject<string> = new Subject<string>();
  /** Moves some more to this lease; undefined when there is nothing more to move. */
  moveAlso: (target: string) => Observable<undefined> | undefined = () => undefined;
  readonly #kept = new Map<string, Kept>();
  /** As many as the server has not refused yet. */
  #movesAtOnce = MOST_MOVES_AT_ONCE;

  constructor(
    private readonly link: Link,
    private readonly lost: (cause: unknown) => SessionLost,
  ) {}

  add(key: string, token: bigint, lease: string): void {
    this.#kept.set(key, { token, lease });
  }

  forget(key: string): void {
    this.#kept.delete(key);
  }

  /** Moves as much to this lease as goes into one transaction; undefined when nothing is attached to another. */
  moveSome(target: string): Observable<undefined> | undefined {
    const batch = [...this.#kept].filter(([, { lease }]) => lease !== target).slice(0, this.#movesAtOnce);
    return batch.length > 0 ? this.#move(batch, target) : this.moveAlso(target);
  }

  #move(batch: readonly [string, Kept][], target: string): Observable<undefined> {
    const success = batch.map(([key, { token, lease }]): IRequestOp => {
      const range = oneKey(key);
      return {
        request_txn: {
          compare: [isMadeAt(range, token), isLeased(range, lease)],
          // A put keeps the create revision: the token, and the place in line.
          success: [{ request_put: { key: range.start, lease: target, ignore_value: true } }],
          failure: [read(range, { keys_only: true })],
        },
      };
    });
    return this.link
      .callAtOnce('move to a new lease', ({ kv }, options) => kv.txn({ success }, options))
      .pipe(
        map(({ responses }) => {
          for (const [index, [key, kept]] of batch.entries()) this.#moved(key, kept, target, responses[index]);
          return undefined;
        }),
        catchError((error) => {
          if (isLeaseGone(error)) return throwError(() => this.lost(error));
          if (!isTooMuch(error) || batch.length === 1) return throwError(() => error);
          this.#movesAtOnce = Math.ceil(batch.length / 2);
          return of(undefined);
        }),
      );
  }

  #moved(key: string, kept: Kept, target: string, response: IResponseOp | undefined): void {
    // Whoever left meanwhile has nothing here any more.
    if (!this.#kept.has(key)) return;
    const answer = response?.response_txn;
    if (answer?.succeeded) {
      this.#kept.set(key, { ...kept, lease: target });
      return;
    }
    const found = keysRead(answer?.responses ?? [], 0)[0];
    if (found !== undefined && BigInt(found.create_revision) === kept.token) {
      // Moved by an earlier try whose answer was lost, or touched by somebody: as it is found, it is kept.
      this.#kept.set(key, { ...kept, lease: found.lease });
      return;
    }
    this.#kept.delete(key);
    this.gone$.next(key);
  }
}
