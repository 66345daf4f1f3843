import { concat, defer, EMPTY, finalize, fromEvent, map, merge, type Observable, switchMap, take } from 'rxjs';
import type { Backend } from '../backends/backend.js';

/** What tells a process to end. */
export type EndingSignal = 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'SIGQUIT';

/**
 * Closes `backend` when the process is told to end, so that leaderships and locks are handed over at once, and not after
 * the ttl. Opt-in: subscribe once, where the process starts.
 *
 *     signal   ------SIGTERM
 *     output   -------------(SIGTERM|)     when everything is released
 *
 * **Emits** the signal, once, when the backend is closed. Then, unless somebody else listens for it as well and so
 * decides how the process ends, the process ends by that signal, as it would have without this: where several backends
 * are closed in this way, when the last of them is.
 * **Errors** never.
 * **Completes** after that.
 * **Teardown** stops listening: the signal ends the process at once again.
 * **Guarantee** that of `backend.close()`: guarded work that is a promise settles first, to the session's deadline at most.
 * **Source** client-go `ReleaseOnCancel`.
 *
 * @example
 * closeOnSignals(backend).subscribe((signal) => console.log(`closed on ${signal}`));
 */
export function closeOnSignals(
  backend: Backend,
  signals: readonly EndingSignal[] = ['SIGTERM', 'SIGINT'],
): Observable<EndingSignal> {
  return merge(...signals.map((signal) => fromEvent(process, signal).pipe(map(() => signal)))).pipe(
    // Listens no more from then on: a second signal ends the process at once.
    take(1),
    switchMap((signal) => concat(closed(backend).pipe(map(() => signal)), raised(signal))),
  );
}

/** How many backends of this process are being closed because of a signal. */
let closing = 0;

function closed(backend: Backend): Observable<void> {
  return defer(() => {
    closing += 1;
    return backend.close();
  }).pipe(
    finalize(() => {
      closing -= 1;
    }),
  );
}

/** Raises the signal again, now that nobody here listens for it, or is still busy with it. */
function raised(signal: EndingSignal): Observable<never> {
  return defer(() => {
    if (closing === 0 && process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    return EMPTY;
  });
}
