import { forkJoin, map, Observable, type ObservableInput, Subscription } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { InvalidOptions, LockNotAcquired } from '../../backends/errors.js';
import { checkWork, shown } from '../../backends/shared/expectations.js';
import { isError } from '../../backends/shared/is-error.js';
import type { Grant } from '../holding/grant.js';
import { guarded } from '../holding/guarded.js';
import { acquiring, checkLock, type LockOptions } from './lock.js';

/** Several locks that are held together: lost as soon as one of them is. */
export interface GrantOfAll extends Pick<Grant, 'isValid' | 'signal' | 'draining' | 'release'> {
  /** In the order in which they were acquired. */
  readonly names: readonly string[];
  /** Of each lock, by its name: with the token for what that lock guards. */
  readonly grants: ReadonlyMap<string, Grant>;
}

/**
 * Holds all the locks `names` while subscribed, or none.
 *
 *     a        g--------------
 *     b        ------g--------
 *     output   ------g--------
 *
 * Cold. They are acquired one after the other, in one order everywhere, whatever the order in which they were given: so of two that
 * ask for the same locks none waits for the other for ever. A name that is given twice counts once.
 *
 * **Emits** one `GrantOfAll` when all are held, and stays open while they are. Its validity and its signal are those of all, and
 * `release()` gives up all.
 * **Errors** `LockLost` as soon as one is lost, with its name, also while others are waited for; `LockNotAcquired` when
 * `waitMs`, which counts for the whole, is over before all are held; `InvalidOptions` (thrown at the call) without any name; else as
 * `lock`. What is held by then is released.
 * **Completes** as `lock`; and when one of them is released.
 * **Teardown** releases all, the last one first.
 * **Guarantee** that of `lock`, for each. `maxHoldMs` and `holdAtLeastMs` count for each from when it was acquired. Not: that nothing
 * else is locked in another order within; whoever takes one lock under another does that by an order of its own.
 * **Source** Curator `InterProcessMultiLock`, Redisson `RedissonMultiLock`.
 *
 * @example
 * lockAll(backend, ['account-7', 'account-3'], { waitMs: 5_000 }).subscribe(({ grants }) => console.log(grants.size));
 */
export function lockAll(backend: Backend, names: readonly string[], options: LockOptions = {}): Observable<GrantOfAll> {
  return acquiringAll(backend, checkNames(names, options), options);
}

/**
 * Does `work` under all the locks `names`: work first, then they are released.
 *
 *     locks    ---g----------x
 *     work        --a--b--|
 *     output   -----a--b--|
 *
 * `withLock` in all else.
 *
 * **Emits** what the work emits, unless a loss is due by then: that comes first.
 * **Errors** what the work errors with; and what `lockAll` errors with.
 * **Completes** as `withLock`.
 * **Teardown** as `withLock`.
 * **Guarantee** that of `lockAll`. Not: that a promise stops when one of the locks is lost.
 * **Source** Curator `InterProcessMultiLock`.
 *
 * @example
 * withLocks(backend, ['account-7', 'account-3'], ({ grants }) => settle(invoice, grants.get('account-7')?.token ?? 0n)).subscribe();
 */
export function withLocks<T>(
  backend: Backend,
  names: readonly string[],
  work: (grant: GrantOfAll) => ObservableInput<T>,
  options: LockOptions = {},
): Observable<T> {
  const ordered = checkNames(names, options);
  checkWork(work);
  return guarded<T, GrantOfAll>(work, {
    acquire: (beforeLeave) => acquiringAll(backend, ordered, options, beforeLeave),
  });
}

/** The names in their order. Throws `InvalidName` or `InvalidOptions`. */
function checkNames(names: readonly string[], options: LockOptions): readonly string[] {
  if (!Array.isArray(names) || names.length === 0)
    throw new InvalidOptions([
      `names must be a list of at least one name, but is ${Array.isArray(names) ? 'empty' : shown(names)}`,
    ]);
  for (const name of names) checkLock(name, options);
  return [...new Set(names)].sort();
}

function acquiringAll(
  backend: Backend,
  names: readonly string[],
  options: LockOptions,
  beforeLeave?: () => ObservableInput<unknown>,
): Observable<GrantOfAll> {
  return new Observable<GrantOfAll>((subscriber) => {
    const { waitMs } = options;
    const startMs = backend.scheduler.now();
    const grants = new Map<string, Grant>();
    const held: Subscription[] = [];
    subscriber.add(() => {
      for (const one of held.reverse()) one.unsubscribe();
    });
    const acquire = (at: number): void => {
      const name = names[at];
      if (subscriber.closed) return;
      if (name === undefined) {
        subscriber.next(grantOfAll(names, grants));
        return;
      }
      const restMs = waitMs === undefined ? {} : { waitMs: Math.max(0, startMs + waitMs - backend.scheduler.now()) };
      const one = new Subscription();
      held.push(one);
      one.add(
        acquiring(backend, name, { ...options, ...restMs }, beforeLeave).subscribe({
          next: (grant) => {
            grants.set(name, grant);
            acquire(at + 1);
          },
          error: (error) =>
            subscriber.error(
              // It was waited for as part of the whole.
              waitMs !== undefined && isError<LockNotAcquired>(error, 'LockNotAcquired')
                ? new LockNotAcquired(name, waitMs, error.reason, error.holders)
                : error,
            ),
          complete: () => {
            // So that its signal is the first to say why, and not those of the others, which are released for it.
            one.unsubscribe();
            subscriber.complete();
          },
        }),
      );
    };
    acquire(0);
  });
}

function grantOfAll(names: readonly string[], grants: ReadonlyMap<string, Grant>): GrantOfAll {
  const all = [...grants.values()];
  return {
    names,
    grants,
    isValid: () => all.every((grant) => grant.isValid()),
    signal: firstOf(all.map(({ signal }) => signal)),
    draining: firstOf(all.map(({ draining }) => draining)),
    release: () => forkJoin(all.toReversed().map((grant) => grant.release())).pipe(map((were) => were.every(Boolean))),
  };
}

/** Aborts with the first of them, for its reason. */
function firstOf(signals: readonly AbortSignal[]): AbortSignal {
  const first = new AbortController();
  for (const signal of signals) {
    if (signal.aborted) first.abort(signal.reason);
    else signal.addEventListener('abort', () => first.abort(signal.reason));
  }
  return first.signal;
}
