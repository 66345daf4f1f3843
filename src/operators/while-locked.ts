import {
  catchError,
  defer,
  EMPTY,
  type MonoTypeOperatorFunction,
  map,
  NEVER,
  type Observable,
  of,
  repeat,
  Subject,
  switchAll,
  takeUntil,
  throwError,
} from 'rxjs';
import type { LockLost } from '../backends/errors.js';
import { checkAll } from '../backends/shared/expectations.js';
import { isError } from '../backends/shared/is-error.js';
import { aborted } from '../observables/holding/aborted.js';
import type { Grant } from '../observables/holding/grant.js';
import { type GateOptions, ON_LOSS, whileTrue } from './while-true.js';

/** What the gate must know of a grant. */
type Held = Pick<Grant, 'isValid'> & Partial<Pick<Grant, 'draining'>>;

/**
 * Subscribes to the source while the lock is held.
 *
 *     lock     ---g-------x
 *     source      -a-b-c-
 *     output   ----a-b-c--#
 *
 * It stands after what it must stop, as `whileTrue` shows. Work that a deploy must not cut off belongs into `withLock`.
 *
 * **Emits** the items of the source. Before it subscribes to the source, and before each item, `grant.isValid()` is asked:
 * if it is not, the source is not subscribed to, or the item is dropped.
 * **Errors** what the source or `lock$` errors with: `LockLost` when the lock is lost, unless `onLoss` says otherwise
 * (`resubscribe`: acquires it again).
 * **Completes** when the source completes while it is held, which releases; when `lock$` completes, or its backend
 * drains; with `onLoss: 'complete'`, when the
 * lock is lost.
 * **Teardown** unsubscribes from the source, then releases.
 * **Guarantee** not: that work stops which an item has started; give `grant.token` to the resource for that.
 * **Source** kazoo `with lock`, as a gate.
 *
 * @example
 * ticks$.pipe(concatMap(step), whileLocked(lock(backend, 'ledger'))).subscribe();
 */
export function whileLocked<T>(lock$: Observable<Held>, options: GateOptions = {}): MonoTypeOperatorFunction<T> {
  checkAll(options, { onLoss: ON_LOSS });
  const { onLoss = 'error' } = options;
  return (source) =>
    defer(() => {
      let isOpen = (): boolean => false;
      const drains = new Subject<Observable<unknown>>();
      const grants$ = lock$.pipe(
        map((grant) => {
          isOpen = () => grant.isValid();
          drains.next(drainOf(grant));
          return true;
        }),
        // The lock itself is held on while the backend drains.
        takeUntil(drains.pipe(switchAll())),
      );
      const held$ = onLoss === 'error' ? grants$ : withoutLoss(grants$, onLoss);
      return source.pipe(whileTrue(held$, { onLoss, isOpen: () => isOpen() }));
    });
}

/** Emits when the backend of the grant drains. */
function drainOf({ draining }: Held): Observable<unknown> {
  return draining === undefined ? NEVER : aborted(draining);
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
