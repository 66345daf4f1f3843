import { catchError, defer, EMPTY, Observable, repeat, throwError } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import type { BackendClosed, PlaceLost } from '../../backends/errors.js';
import { isError } from '../../backends/shared/is-error.js';
import { type StandAgain, standsAgain, untilAgain } from './again.js';

/**
 * Subscribes to `place$` again whenever the place is lost or given up for another, after emitting `lost`; and emits `lost`
 * before any error. Whoever closes the backend on being told of the loss finds it completed.
 */
export function reentering<T>(backend: Backend, place$: Observable<T>, lost: T): Observable<T> {
  return defer(() => {
    let ended: PlaceLost | StandAgain | undefined;
    let wasLost = false;
    const isEnd = (error: unknown): boolean => wasLost && isError<BackendClosed>(error, 'BackendClosed');
    const stay$ = defer(() => {
      wasLost = ended !== undefined;
      ended = undefined;
      return place$;
    });
    // At once, and not when the error has been caught: by then the stay is torn down, and another one may be admitted.
    const told$ = new Observable<T>((subscriber) =>
      stay$.subscribe({
        next: (value) => subscriber.next(value),
        error: (error) => {
          if (!isEnd(error)) subscriber.next(lost);
          subscriber.error(error);
        },
        complete: () => subscriber.complete(),
      }),
    );
    return told$.pipe(
      catchError((error) => {
        if (isEnd(error)) return EMPTY;
        ended = standsAgain(error) ? error : undefined;
        return ended === undefined ? throwError(() => error) : EMPTY;
      }),
      repeat({ delay: () => (ended === undefined ? EMPTY : untilAgain(backend, ended)) }),
    );
  });
}
