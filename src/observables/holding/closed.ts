import { concat, defer, EMPTY, ignoreElements, type Observable, tap } from 'rxjs';
import type { Backend } from '../../backends/backend.js';

/** Completes when the backend is closed; errors where it was closed before. */
export function closed(backend: Backend): Observable<never> {
  return defer(() => {
    let wasOpen = false;
    const until$ = backend.session$.pipe(
      tap(() => {
        wasOpen = true;
      }),
      ignoreElements(),
    );
    return concat(
      until$,
      // Whatever is asked of a backend that was closed before says so.
      defer(() => (wasOpen ? EMPTY : backend.registered('group').pipe(ignoreElements()))),
    );
  });
}
