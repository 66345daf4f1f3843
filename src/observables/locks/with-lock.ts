import type { Observable, ObservableInput } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { checkWork } from '../../backends/shared/expectations.js';
import type { Grant } from '../holding/grant.js';
import { guarded } from '../holding/guarded.js';
import { acquiring, checkLock, type LockOptions } from './lock.js';

/**
 * Does `work` under the lock `name`: work first, then release.
 *
 *     lock     ---g----------x
 *     work        --a--b--|          emits, completes, and then the lock is released
 *     output   -----a--b--|
 *
 * **Emits** what the work emits, unless a loss is due by then: that comes first.
 * **Errors** what the work errors with; `LockLost` when the lock is lost, after the work was torn down; and what `lock`
 * errors with. `InvalidOptions` (thrown at the call) where `work` is no function.
 * **Completes** when the work does; when the backend is closed. A promise settles first, and tells its value; where it has
 * not settled by the deadline that holds when the backend is closed, the lock is lost. A drain waits for work that has begun:
 * its lock is held, and its session renewed, until it has come to its end; work that has not begun is not begun.
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
  checkWork(work);
  return guarded(work, { acquire: (beforeLeave) => acquiring(backend, name, options, beforeLeave) });
}
