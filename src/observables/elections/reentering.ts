import { catchError, concat, defer, EMPTY, type Observable, of, repeat, throwError } from 'rxjs';
import type { BackendClosed, PlaceLost } from '../../backends/errors.js';
import { isError } from '../../backends/shared/is-error.js';

/**
 * Subscribes to `place$` again whenever the place is lost, after emitting `lost`; and emits `lost` before any error.
 * Whoever closes the backend on being told of the loss finds it completed.
 */
export function reentering<T>(place$: Observable<T>, lost: T): Observable<T> {
  return defer(() => {
    let isLost = false;
    let wasLost = false;
    return defer(() => {
      wasLost = isLost;
      isLost = false;
      return place$;
    }).pipe(
      catchError((error) => {
        if (wasLost && isError<BackendClosed>(error, 'BackendClosed')) return EMPTY;
        isLost = isError<PlaceLost>(error, 'PlaceLost');
        return isLost
          ? of(lost)
          : concat(
              [lost],
              throwError(() => error),
            );
      }),
      repeat({ delay: () => (isLost ? of(0) : EMPTY) }),
    );
  });
}
