import { defer, fromEvent, type Observable, of } from 'rxjs';

/** Emits when the signal aborts, or at once where it has. */
export function aborted(signal: AbortSignal): Observable<unknown> {
  return defer(() => (signal.aborted ? of(undefined) : fromEvent(signal, 'abort')));
}
