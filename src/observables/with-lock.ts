import { EMPTY, Observable, type ObservableInput, Subscription } from 'rxjs';
import type { Backend } from '../backends/backend.js';
import type { Grant } from './grant.js';
import { acquiring, checkLock, type LockOptions } from './lock.js';
import { settling } from './settling.js';
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
 * **Teardown** unsubscribes from the work, then releases. A promise cannot be unsubscribed from, nor the step of an async
 * iterable that is under way: `grant.signal` aborts, and the lock is released when it has settled, at the latest at the
 * deadline that held when one unsubscribed.
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
    let mustSettle = false;
    /** Completes when nothing of the work runs any more. */
    let settled$: Observable<never> = EMPTY;
    const held = new Subscription();
    subscriber.add(() => {
      running?.stop();
      held.unsubscribe();
    });
    held.add(
      acquiring(backend, name, options, () => settled$).subscribe({
        next: (grant) => {
          const started = attempt(() => settling(work(grant)));
          if ('error' in started) {
            subscriber.error(started.error);
            return;
          }
          settled$ = started.value.settled$;
          mustSettle = started.value.isPromise;
          running = new Work(started.value.work$, subscriber);
          running.start();
        },
        error: (error) => {
          running?.stop();
          subscriber.error(error);
        },
        complete: () => {
          // The backend closes. A promise settles first, and tells its value; anything else ends here.
          if (mustSettle) return;
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
