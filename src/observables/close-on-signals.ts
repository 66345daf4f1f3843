import { concat, defer, EMPTY, from, fromEvent, map, merge, type Observable, switchMap, take } from 'rxjs';
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
 * decides how the process ends, the process ends by that signal, as it would have without this.
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
    switchMap((signal) => concat(from(backend.close()).pipe(map(() => signal)), raised(signal))),
  );
}

/** Raises the signal again, now that nobody here listens for it. */
function raised(signal: EndingSignal): Observable<never> {
  return defer(() => {
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
    return EMPTY;
  });
}
