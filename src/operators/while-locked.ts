import {
  catchError,
  defer,
  EMPTY,
  type MonoTypeOperatorFunction,
  map,
  type Observable,
  of,
  repeat,
  throwError,
} from 'rxjs';
import { LockLost } from '../backends/errors.js';
import type { Grant } from '../observables/grant.js';
import { type GateOptions, whileTrue } from './while-true.js';

/**
 * Subscribes to the source while the lock is held.
 *
 *     lock     ---g-------x
 *     source      -a-b-c-
 *     output   ----a-b-c--#
 *
 * **Emits** the items of the source; before each one `grant.isValid()` is asked, and the item is dropped if it is not.
 * **Errors** what the source or `lock$` errors with: `LockLost` when the lock is lost, unless `onLoss` says otherwise
 * (`resubscribe`: acquires it again).
 * **Completes** when the source completes, which releases; when `lock$` completes; with `onLoss: 'complete'`, when the
 * lock is lost.
 * **Teardown** unsubscribes from the source, then releases.
 * **Guarantee** not: that work stops which an item has started; give `grant.token` to the resource for that.
 * **Source** kazoo `with lock`, as a gate.
 *
 * @example
 * ticks$.pipe(whileLocked(lock(backend, 'ledger'))).subscribe(post);
 */
export function whileLocked<T>(
  lock$: Observable<Pick<Grant, 'isValid'>>,
  options: GateOptions = {},
): MonoTypeOperatorFunction<T> {
  const { onLoss = 'error' } = options;
  return (source) =>
    defer(() => {
      let isOpen = (): boolean => false;
      let isLost = false;
      const held$ = defer(() => {
        isLost = false;
        return lock$;
      }).pipe(
        map((grant) => {
          isOpen = () => grant.isValid();
          return true;
        }),
        catchError((error) => {
          isLost = error instanceof LockLost && onLoss !== 'error';
          return isLost ? of(false) : throwError(() => error);
        }),
        repeat({ delay: () => (isLost && onLoss === 'resubscribe' ? of(0) : EMPTY) }),
      );
      return source.pipe(whileTrue(held$, { onLoss, isOpen: () => isOpen() }));
    });
}
