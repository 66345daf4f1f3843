import {
  concat,
  defer,
  EMPTY,
  from,
  fromEvent,
  map,
  merge,
  mergeMap,
  type Observable,
  share,
  skip,
  take,
  takeUntil,
  tap,
} from 'rxjs';
import type { Backend, CloseOptions } from '../../backends/backend.js';
import { NotSupported } from '../../backends/errors.js';
import { checkAll, type Expectation, integer, listOf, number } from '../../backends/shared/expectations.js';

/** What tells a process to end. */
export type EndingSignal = 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'SIGQUIT';

/** Options of `closeOnSignals`. */
export interface SignalOptions extends CloseOptions {
  /** What is listened for. Default: `SIGTERM` and `SIGINT`. */
  readonly signals?: readonly EndingSignal[] | undefined;
  /**
   * After so many signals the next one ends the process at once, whatever goes on. Default 3: the first one closes the
   * backend, and two more may come of others who listen, or of a parent process that passes on what its children got.
   */
  readonly forceAfter?: number | undefined;
}

const SIGNALS: readonly EndingSignal[] = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'];
const SIGNAL: Expectation = [SIGNALS.join(', '), (value) => SIGNALS.some((known) => known === value)];
const OPTIONS = { signals: listOf(SIGNAL), forceAfter: integer(1, 2 ** 31 - 1), drainMs: number(0, 2 ** 31 - 1) };

/**
 * Closes `backend` when the process is told to end, so that leaderships and locks are handed over at once, and not after
 * the ttl. With `drainMs` it drains before: work in progress comes to its end. Opt-in: subscribe once, where the process
 * starts.
 *
 *     signal   ------SIGTERM--SIGTERM------------------     another one meanwhile is ignored
 *     output   -----------------------------(SIGTERM|)      when everything is released
 *
 * **Emits** the signal, once, when the backend is closed. Then, unless somebody else listens for it as well and so
 * decides how the process ends, the process ends by that signal, as it would have without this: where several backends
 * are closed in this way, when the last of them is.
 * **Errors** `InvalidOptions` (thrown at the call); `NotSupported` in a browser's page, which gets no signals.
 * **Completes** after that; at the signal after `forceAfter`.
 * **Teardown** stops listening: the signal ends the process at once again.
 * **Guarantee** not: that the process lives for as long. Who calls `process.exit()` in another listener ends it there
 * and then, and after that nothing can be sent to a store: let him wait for `backend.close({ drainMs })` first, with the same
 * `drainMs`, since he may be called first. Nor a `SIGKILL`, which orchestrators send after a while: `drainMs` and the time
 * that closing takes must be less. But: who raises the signal again meanwhile, as NestJS does after its shutdown hooks, does
 * not cut it short; then that of `backend.close()`.
 * **Source** client-go `ReleaseOnCancel`.
 *
 * @example
 * closeOnSignals(backend, { drainMs: 20_000 }).subscribe((signal) => console.log(`closed on ${signal}`));
 */
export function closeOnSignals(backend: Backend, options: SignalOptions = {}): Observable<EndingSignal> {
  checkAll(options, OPTIONS);
  const { signals = ['SIGTERM', 'SIGINT'], forceAfter = 3, drainMs } = options;
  return defer(() => {
    if (typeof process === 'undefined') throw new NotSupported(backend.name, 'closeOnSignals in browsers');
    let ending: EndingSignal | undefined;
    const received$ = merge(...signals.map((signal) => fromEvent(process, signal).pipe(map(() => signal)))).pipe(
      share(),
    );
    const closed$ = received$.pipe(
      take(1),
      tap((signal) => {
        ending = signal;
      }),
      mergeMap((signal) => from(backend.close({ drainMs })).pipe(map(() => signal))),
    );
    const forced$ = received$.pipe(
      skip(forceAfter),
      tap((signal) => {
        ending = signal;
      }),
    );
    // Listens until then, and not when the signal is raised again.
    return concat(
      closed$.pipe(takeUntil(forced$)),
      defer(() => raised(ending)),
    );
  });
}

/** Raises the signal again, unless somebody listens for it: another backend that is being closed, or who else decides. */
function raised(signal: EndingSignal | undefined): Observable<never> {
  if (signal !== undefined && process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  return EMPTY;
}
