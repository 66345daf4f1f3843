import { lastValueFrom, type Observable, Subscription } from 'rxjs';
import { type Contended, Released } from '../backends/errors.js';
import { type Either, isLeft, isRight } from '../backends/shared/either.js';
import type { Grant } from '../observables/holding/grant.js';

/** What can be held, and given up by a call: the grant of a lock, of a permit, of several locks. */
type Releasable = Pick<Grant, 'isValid' | 'signal' | 'draining' | 'release'>;

/** A grant that is held until it is released, for code that is written with promises. */
export type Acquired<G extends Releasable> = Omit<G, 'release'> &
  AsyncDisposable & {
    /** Gives it up. Resolves, when the store has it, to whether it was held until then. May be called again. */
    release(): Promise<boolean>;
  };

/** Options of `acquire`. */
export interface AcquireOptions {
  /** Ends the waiting: the promise rejects with its reason, and nothing stays in line. */
  readonly signal?: AbortSignal;
}

/**
 * Holds what `source` gives until it is released: `lock`, `readLock`, `writeLock`, `semaphore`, `lockAll`, `tryLock`,
 * `trySemaphore`.
 *
 *     source   ---g----------
 *     promise  ---g                 resolves to the grant, which stays held
 *
 * **Resolves** to the grant, with `release()`, and disposable by `await using`.
 * **Rejects** with what `source` errors with before that; with `Contended`, where a try finds it taken; with `Released`, where
 * the backend is closed first; with the reason of `options.signal`.
 * **Guarantee** that of `source`. A loss is told by `signal`, whose `reason` is the error: nothing rejects then. Not: that it is given
 * up by itself. Whoever forgets to release holds it until its backend closes; `withLock` cannot forget.
 * **Source** Curator `acquire()`, etcd `Mutex.Lock`.
 *
 * @example
 * await using held = await acquire(lock(backend, 'invoice-42', { waitMs: 5_000 }));
 * console.log(held.token);
 */
export function acquire<G extends Releasable>(
  source: Observable<G> | Observable<Either<Contended, G>>,
  { signal }: AcquireOptions = {},
): Promise<Acquired<G>> {
  return new Promise<Acquired<G>>((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason);
      return;
    }
    // There before it subscribes: it may be aborted meanwhile.
    const subscription = new Subscription();
    let isSettled = false;
    const settle = (act: () => void): void => {
      isSettled = true;
      signal?.removeEventListener('abort', abort);
      act();
    };
    const abort = (): void =>
      settle(() => {
        subscription.unsubscribe();
        reject(signal?.reason);
      });
    signal?.addEventListener('abort', abort);
    const held = (source as Observable<G | Either<Contended, G>>).subscribe({
      next: (given) => {
        if (isSettled) return;
        if (isEither(given)) settle(() => (isRight(given) ? resolve(heldOf(given.right)) : reject(given.left)));
        else settle(() => resolve(heldOf(given)));
      },
      // Once it is held, the loss is told by the signal.
      error: (error) => settle(() => reject(error)),
      complete: () => {
        if (!isSettled) settle(() => reject(new Released('what was waited for')));
      },
    });
    subscription.add(held);
  });
}

function isEither<G extends Releasable>(given: G | Either<Contended, G>): given is Either<Contended, G> {
  return '_tag' in given && (isLeft(given) || isRight(given));
}

/** All that the grant has, with signals that are made when they are asked for. */
class Held implements AsyncDisposable {
  readonly #grant: Releasable;
  readonly release: () => Promise<boolean>;

  constructor(grant: Releasable) {
    this.#grant = grant;
    this.release = () => lastValueFrom(grant.release());
    const rest: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(grant)) if (!(name in this)) rest[name] = value;
    Object.assign(this, rest);
  }

  get signal(): AbortSignal {
    return this.#grant.signal;
  }

  get draining(): AbortSignal {
    return this.#grant.draining;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

function heldOf<G extends Releasable>(grant: G): Acquired<G> {
  return new Held(grant) as Held & Omit<G, 'release'>;
}
