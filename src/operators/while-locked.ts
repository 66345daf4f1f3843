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
import type { LockLost } from '../backends/errors.js';
import { checkAll } from '../backends/expectations.js';
import { isError } from '../backends/is-error.js';
import type { Grant } from '../observables/grant.js';
import { type GateOptions, ON_LOSS, whileTrue } from './while-true.js';

/**
 * Subscribes to the source while the lock is held.
 *
 *     lock     ---g-------x
 *     source      -a-b-c-
 *     output   ----a-b-c--#
 *
 * **Emits** the items of the source. Before it subscribes to the source, and before each item, `grant.isValid()` is asked:
 * if it is not, the source is not subscribed to, or the item is dropped.
 * **Errors** what the source or `lock$` errors with: `LockLost` when the lock is lost, unless `onLoss` says otherwise
 * (`resubscribe`: acquires it again).
 * **Completes** when the source completes while it is held, which releases; when `lock$` completes; with `onLoss: 'complete'`, when the
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
  checkAll(options, { onLoss: ON_LOSS });
  const { onLoss = 'error' } = options;
  return (source) =>
    defer(() => {
      let isOpen = (): boolean => false;
      const grants$ = lock$.pipe(
        map((grant) => {
          isOpen = () => grant.isValid();
          return true;
        }),
      );
      const held$ = onLoss === 'error' ? grants$ : withoutLoss(grants$, onLoss);
      return source.pipe(whileTrue(held$, { onLoss, isOpen: () => isOpen() }));
    });
}

/** Says `false` where the lock is lost, and then waits for the next grant, if one is to be acquired. */
function withoutLoss(grants$: Observable<boolean>, onLoss: 'resubscribe' | 'complete'): Observable<boolean> {
  return defer(() => {
    let isLost = false;
    return defer(() => {
      isLost = false;
      return grants$;
    }).pipe(
      catchError((error) => {
        isLost = isError<LockLost>(error, 'LockLost');
        return isLost ? of(false) : throwError(() => error);
      }),
      repeat({ delay: () => (isLost && onLoss === 'resubscribe' ? of(0) : EMPTY) }),
    );
  });
}
