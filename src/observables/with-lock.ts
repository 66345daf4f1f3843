import { EMPTY, from, Observable, type ObservableInput, ReplaySubject, Subscription } from 'rxjs';
import type { Backend } from '../backends/backend.js';
import type { Grant } from './grant.js';
import { acquiring, checkLock, type LockOptions } from './lock.js';
import { Work } from './work.js';

/**
 * Does `work` under the lock `name`: work first, then release.
 *
 *     lock     ---g----------x
 *     work        --a--b--|          emits, completes, and then the lock is released
 *     output   -----a--b--|
 *
 * **Emits** what the work emits.
 * **Errors** what the work errors with; `LockLost` when the lock is lost, after the work was torn down; and what `lock`
 * errors with.
 * **Completes** when the work does; when the backend is closed.
 * **Teardown** unsubscribes from the work, then releases. A promise cannot be unsubscribed from: `grant.signal` aborts,
 * and the lock is released when the promise has settled, at the latest at the deadline that held when one unsubscribed.
 * **Guarantee** that of `lock`. Not: that a promise stops when the lock is lost. Ask `grant.isValid()` or heed `grant.signal`.
 * **Source** kazoo `with lock`, Curator; cilium 42920 and Kubernetes 139991 released while the work still ran.
 *
 * @example
 * withLock(backend, 'invoice-42', (grant) => settle(invoice, grant.token)).subscribe();
 */
export function withLock<T>(
  backend: Backend,
  name: string,
  work: (grant: Grant) => ObservableInput<T>,
  options: LockOptions = {},
): Observable<T> {
  checkLock(name, options);
  return new Observable<T>((subscriber) => {
    let running: Work<T> | undefined;
    /** Completes when a promise that is under way has settled. */
    let settling: Observable<never> = EMPTY;
    const held = new Subscription();
    subscriber.add(() => {
      running?.stop();
      held.unsubscribe();
    });
    held.add(
      acquiring(backend, name, options, () => settling).subscribe({
        next: (grant) => {
          const input = attempt(() => work(grant));
          if ('error' in input) {
            subscriber.error(input.error);
            return;
          }
          if (isThenable(input.value)) settling = settlingOf(input.value);
          running = new Work(from(input.value), subscriber);
          running.start();
        },
        error: (error) => {
          running?.stop();
          subscriber.error(error);
        },
        complete: () => {
          // The backend closes. A promise settles first, and tells its value; anything else ends here.
          if (settling !== EMPTY) return;
          running?.stop();
          subscriber.complete();
        },
      }),
    );
  });
}

function attempt<T>(act: () => T): { value: T } | { error: unknown } {
  try {
    return { value: act() };
  } catch (error) {
    return { error };
  }
}

interface Thenable {
  then(settled: () => void, failed: () => void): unknown;
}

function isThenable(input: unknown): input is Thenable {
  return typeof input === 'object' && input !== null && 'then' in input && typeof input.then === 'function';
}

function settlingOf(thenable: Thenable): Observable<never> {
  const settled = new ReplaySubject<never>();
  const done = (): void => settled.complete();
  thenable.then(done, done);
  return settled;
}
