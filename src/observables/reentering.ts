import { catchError, concat, defer, EMPTY, type Observable, of, repeat, throwError } from 'rxjs';
import { PlaceLost } from '../backends/errors.js';

/** Subscribes to `place$` again whenever the place is lost, after emitting `lost`; and emits `lost` before any error. */
export function reentering<T>(place$: Observable<T>, lost: T): Observable<T> {
  return defer(() => {
    let isLost = false;
    return defer(() => {
      isLost = false;
      return place$;
    }).pipe(
      catchError((error) => {
        isLost = error instanceof PlaceLost;
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
