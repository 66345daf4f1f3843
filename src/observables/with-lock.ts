import { EMPTY, Observable, type ObservableInput, ReplaySubject, Subscription } from 'rxjs';
import type { Backend } from '../backends/backend.js';
import { LockLost } from '../backends/errors.js';
import type { Grant } from './grant.js';
import { acquiring, checkLock, type LockOptions } from './lock.js';
import { disown, settling } from './settling.js';
import { Work } from './work.js';

/**
 * Does `work` under the lock `name`: work first, then release.
 *
 *     lock     ---g----------x
 *     work        --a--b--|          emits, completes, and then the lock is released
 *     output   -----a--b--|
 *
 * **Emits** what the work emits, unless a loss is due by then: that comes first.
 * **Errors** what the work errors with; `LockLost` when the lock is lost, after the work was torn down; and what `lock`
 * errors with.
 * **Completes** when the work does; when the backend is closed. A promise settles first, and tells its value; where it has
 * not settled by the deadline that holds when the backend is closed, the lock is lost.
 * **Teardown** unsubscribes from the work, then releases. A promise cannot be unsubscribed from, nor the step of an async
 * iterable that is under way: `grant.signal` aborts, and the lock is released when it has settled, or its session ends.
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
    /** What there is of the work. While it is `called` nobody knows what it will be; `settling` is a promise. */
    let stage: 'none' | 'called' | 'running' | 'settling' = 'none';
    let isLost = false;
    let isClosing = false;
    /** Completes when nothing of the work runs any more, the call that makes it included. */
    let settled$: Observable<never> = EMPTY;
    const held = new Subscription();
    subscriber.add(() => {
      running?.stop();
      held.unsubscribe();
    });

    const fail = (error: unknown): void => {
      isLost = true;
      running?.stop();
      subscriber.error(error);
    };
    /** A promise settles first, and tells its value; anything else ends when the backend closes. */
    const close = (): void => {
      isClosing = true;
      if (stage === 'called' || stage === 'settling') return;
      running?.stop();
      subscriber.complete();
    };
    const begin = (grant: Grant): void => {
      const settled = new ReplaySubject<never>();
      settled$ = settled;
      /** Asked of the clock: a blocked event loop runs what the work tells before the timer that tells the loss. */
      const tellLoss = (): void => {
        if (!grant.isValid()) fail(new LockLost(name, grant.token, 'session lost'));
      };
      stage = 'called';
      const made = attempt(() => {
        const input = work(grant);
        tellLoss();
        if (!isLost) return settling(input);
        disown(input);
        return settling(EMPTY);
      });
      if ('error' in made) {
        settled.complete();
        subscriber.error(made.error);
        return;
      }
      const { work$, settled$: rest$, isPromise } = made.value;
      stage = isPromise ? 'settling' : 'running';
      if (subscriber.closed || (isClosing && !isPromise)) {
        // Ended while the work was made: it is not begun, and what runs already is waited for.
        (isPromise ? rest$ : EMPTY).subscribe(settled);
        subscriber.complete();
        return;
      }
      running = new Work(work$, {
        next: (value) => {
          tellLoss();
          subscriber.next(value);
        },
        error: (error) => subscriber.error(error),
        complete: () => {
          tellLoss();
          subscriber.complete();
        },
        over: () => rest$.subscribe(settled),
      });
      running.start();
    };
    /** Asked when the backend closes, too, while one is still subscribed; and when one has waited for long enough. */
    const beforeLeave = (): Observable<never> => {
      if (stage !== 'none' && !subscriber.closed) close();
      return settled$;
    };
    held.add(acquiring(backend, name, options, beforeLeave).subscribe({ next: begin, error: fail, complete: close }));
  });
}

function attempt<T>(act: () => T): { value: T } | { error: unknown } {
  try {
    return { value: act() };
  } catch (error) {
    return { error };
  }
}
