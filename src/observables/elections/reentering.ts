import { catchError, concat, defer, EMPTY, type Observable, of, repeat, throwError } from 'rxjs';
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
    return defer(() => {
      wasLost = ended !== undefined;
      ended = undefined;
      return place$;
    }).pipe(
      catchError((error) => {
        if (wasLost && isError<BackendClosed>(error, 'BackendClosed')) return EMPTY;
        ended = standsAgain(error) ? error : undefined;
        return ended !== undefined
          ? of(lost)
          : concat(
              [lost],
              throwError(() => error),
            );
      }),
      repeat({ delay: () => (ended === undefined ? EMPTY : untilAgain(backend, ended)) }),
    );
  });
}
