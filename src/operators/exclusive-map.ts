import {
  catchError,
  concat,
  defer,
  EMPTY,
  filter,
  merge,
  mergeMap,
  type Observable,
  type ObservableInput,
  type OperatorFunction,
  of,
  repeat,
  takeUntil,
  tap,
  throwError,
} from 'rxjs';
import type { Backend } from '../backends/backend.js';
import type { BackendClosed } from '../backends/errors.js';
import { check, FUNCTION, integer, objectWith } from '../backends/shared/expectations.js';
import { isError } from '../backends/shared/is-error.js';
import { closed } from '../observables/holding/closed.js';
import type { Grant } from '../observables/holding/grant.js';
import { checkLock, type LockOptions } from '../observables/locks/lock.js';
import { withLock } from '../observables/locks/with-lock.js';

/** Options of `exclusiveMap`. */
export interface ExclusiveMapOptions extends LockOptions {
  /** Of how many locks items are done or waited for at once. The others wait here. Default: without limit. */
  readonly concurrent?: number;
}

/**
 * Does the work of each item under the lock of its item: of each lock one item at a time, over all processes; of different
 * locks side by side.
 *
 *     source   -a-b-a'-------|        a and a' have one lock
 *     a           --1--2|
 *     b             --1--2|
 *     a'                --1--2|
 *     output   ----1-11-22-1--2|      with the time that the locks take
 *
 * **Emits** what the work of all items emits, as it comes.
 * **Errors** what the source, `lockNameOf` or the work errors with; `InvalidName`; what `withLock` errors with: `LockLost`,
 * `LockNotAcquired` after `waitMs`; `BackendClosed` where it was closed before. The first error ends the work of all. `InvalidOptions` (thrown at the call).
 * **Completes** when the source has completed and all work is done. When the backend drains or is closed it takes no more items, and
 * completes when the work that has begun is done, or has ended as `withLock` says; items in line are dropped.
 * **Teardown** unsubscribes from the source and from all work, then releases the locks, as `withLock` does.
 * **Guarantee** not: that items of one lock are done in order over several processes, which stand in line for the lock each; nor
 * that none is lost when it ends early. But: the items of one process are begun in their order, each after the end of the one
 * before, and only the first of them stands in line.
 * **Source** kazoo `with lock` in a loop, RxJS `groupBy` with `concatMap`: this is both.
 *
 * @example
 * invoices$
 *   .pipe(exclusiveMap(backend, ({ id }) => `invoice-${id}`, (invoice, { token }) => settle(invoice, token)))
 *   .subscribe();
 */
export function exclusiveMap<T, R>(
  backend: Backend,
  lockNameOf: (item: T) => string,
  project: (item: T, grant: Grant) => ObservableInput<R>,
  options: ExclusiveMapOptions = {},
): OperatorFunction<T, R> {
  check(options, {});
  const { concurrent = Number.POSITIVE_INFINITY, ...lockOptions } = options;
  check(
    { backend, lockNameOf, project, ...(concurrent !== Number.POSITIVE_INFINITY && { concurrent }) },
    {
      backend: objectWith('enter'),
      lockNameOf: FUNCTION,
      project: FUNCTION,
      concurrent: integer(1, Number.MAX_SAFE_INTEGER),
    },
    ['backend', 'lockNameOf', 'project'],
  );
  checkLock('the name is made when an item comes', lockOptions);
  return (source) =>
    defer(() => {
      /** The work of each lock that has not begun, while some of it has. */
      const lines = new Map<string, Observable<R>[]>();
      let wasOpen = false;
      let isOver = false;
      const workOn = (item: T, name: string): Observable<R> =>
        defer(() => {
          let hasBegun = false;
          const begin = (grant: Grant): ObservableInput<R> => {
            hasBegun = true;
            return project(item, grant);
          };
          return withLock(backend, name, begin, lockOptions).pipe(
            catchError((error) => {
              if (hasBegun || !wasOpen || !isError<BackendClosed>(error, 'BackendClosed'))
                return throwError(() => error);
              isOver = true;
              return EMPTY;
            }),
          );
        });
      const isDraining$ = backend.session$.pipe(
        tap(() => {
          wasOpen = true;
        }),
        filter(({ state }) => state === 'draining'),
      );
      const over$ = merge(isDraining$, concat(closed(backend), of(undefined))).pipe(
        tap(() => {
          isOver = true;
        }),
      );
      return source.pipe(
        takeUntil(over$),
        mergeMap((item) => {
          const name = lockNameOf(item);
          const work$ = workOn(item, name);
          const line = lines.get(name);
          if (line !== undefined) {
            line.push(work$);
            return EMPTY;
          }
          const mine = [work$];
          lines.set(name, mine);
          return defer(() => mine.shift() ?? EMPTY).pipe(
            repeat({
              delay: () => {
                if (mine.length > 0 && !isOver) return of(0);
                lines.delete(name);
                return EMPTY;
              },
            }),
          );
        }, concurrent),
      );
    });
}
