import { catchError, concat, EMPTY, ignoreElements, type Observable, of, takeUntil, takeWhile } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import type { PlaceLost } from '../../backends/errors.js';
import { isError } from '../../backends/shared/is-error.js';

/** A candidate leaves its place by its own will, and stands again: what its stay errors with. */
export class StandAgain extends Error {
  override readonly name = 'StandAgain';
  /** `left$` tells when the store has it. */
  constructor(readonly left$: Observable<boolean>) {
    super('stands again at the end of the line');
  }
}

/** Whether one stands again after this. */
export function standsAgain(error: unknown): error is PlaceLost | StandAgain {
  return error instanceof StandAgain || isError<PlaceLost>(error, 'PlaceLost');
}

/** Emits when one may stand again after that; completes without where the backend drains or is closed meanwhile. */
export function untilAgain(backend: Backend, error: PlaceLost | StandAgain): Observable<unknown> {
  if (!(error instanceof StandAgain)) return of(error);
  // A failure to leave was reported, and ends with the session.
  const left$ = error.left$.pipe(
    ignoreElements(),
    catchError(() => EMPTY),
  );
  return concat(left$, of(error)).pipe(takeUntil(ending(backend)));
}

/** Emits when nobody can stand any more: the backend drains, or is closed. Errors with what waiting does not heal. */
export function ending(backend: Backend): Observable<number> {
  return concat(
    backend.session$.pipe(
      takeWhile(({ state }) => state !== 'draining'),
      ignoreElements(),
    ),
    of(0),
  );
}
