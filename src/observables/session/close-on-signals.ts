import {
  concat,
  defer,
  distinctUntilChanged,
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
  timestamp,
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
   * After so many signals the next one ends the process at once, whatever goes on and whoever else listens. Those that come
   * within 500 ms of one that counts do not count: others who listen raise it again, and a parent process passes it on.
   * Default 3: the first one closes the backend, and the fourth is that of somebody who does not wish to wait.
   */
  readonly forceAfter?: number | undefined;
}

/** Their numbers, which a process exits with, and 128 more, as if it had ended by the signal. */
const NUMBERS: Readonly<Record<EndingSignal, number>> = { SIGTERM: 15, SIGINT: 2, SIGHUP: 1, SIGQUIT: 3 };
const SIGNALS = Object.keys(NUMBERS);
const SIGNAL: Expectation = [SIGNALS.join(', '), (value) => SIGNALS.some((known) => known === value)];
/** Nobody who is impatient counts on being heard twice in so short a time. */
const BURST_MS = 500;
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
 * are closed in this way, when the last of them is. A listener that only logs, and `signal-exit`, keep it from that: call
 * `process.exit()` on `complete` where there may be one.
 * **Errors** `InvalidOptions` (thrown at the call); `NotSupported` in a browser's page, which gets no signals, also where a
 * bundler has put something there in place of `process`.
 * **Completes** after that; at the signal after `forceAfter`, which ends the process at once: by the signal, or where others
 * listen for it by `process.exit` with 128 and its number.
 * **Teardown** stops listening: the signal ends the process at once again. Who unsubscribes on the signal that is emitted, as
 * `firstValueFrom` does, ends the process himself: it is not raised again.
 * **Guarantee** not: that the process lives for as long. Who calls `process.exit()` in another listener ends it there
 * and then, and after that nothing can be sent to a store: let him wait for `backend.close({ drainMs })` first, with the same
 * `drainMs`, since he may be called first. Nor a `SIGKILL`, which orchestrators send after a while: `drainMs` must be less by
 * some seconds, and by one `ttlMs` more where work may be a promise that does not heed its signal, since it is waited for. But:
 * who raises the signal again meanwhile, as NestJS does after its shutdown hooks, does not cut it short; then that of
 * `backend.close()`.
 * **Source** client-go `ReleaseOnCancel`.
 *
 * @example
 * closeOnSignals(backend, { drainMs: 15_000 }).subscribe((signal) => console.log(`closed on ${signal}`));
 */
export function closeOnSignals(backend: Backend, options: SignalOptions = {}): Observable<EndingSignal> {
  checkAll(options, OPTIONS);
  const { signals = ['SIGTERM', 'SIGINT'], forceAfter = 3, drainMs } = options;
  return defer(() => {
    if (!hasSignals()) throw new NotSupported(backend.name, 'closeOnSignals in browsers');
    let ending: EndingSignal | undefined;
    let isForced = false;
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
      timestamp(backend.scheduler),
      distinctUntilChanged((counted, next) => next.timestamp - counted.timestamp < BURST_MS),
      skip(forceAfter),
      tap(({ value }) => {
        ending = value;
        isForced = true;
      }),
    );
    // Listens until then, and not when the signal is raised again.
    return concat(
      closed$.pipe(takeUntil(forced$)),
      defer(() => ended(ending, isForced)),
    );
  });
}

/** What bundlers put in a page in place of `process` has nothing but `env`, or is silent: it takes listeners, and calls none. */
function hasSignals(): boolean {
  if (typeof process === 'undefined') return false;
  const { versions, kill }: Partial<NodeJS.Process> = process;
  return versions?.node !== undefined && typeof kill === 'function';
}

/**
 * Raises the signal again. Somebody else who listens for it keeps it from ending the process: he decides then, another backend
 * that is being closed, too; unless it is forced.
 */
function ended(signal: EndingSignal | undefined, isForced: boolean): Observable<never> {
  if (signal === undefined) return EMPTY;
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  else if (isForced) process.exit(128 + NUMBERS[signal]);
  return EMPTY;
}
