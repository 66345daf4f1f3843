import { type MonoTypeOperatorFunction, Observable, Subscription } from 'rxjs';
import { GateClosed } from '../backends/errors.js';
import { check, type Expectation } from '../backends/expectations.js';
import { tellDueLosses } from '../backends/validity.js';
import { Work } from '../observables/work.js';

/** What a gate does when it closes after it was open. */
export interface GateOptions {
  /**
   * `resubscribe`: wait, and subscribe to the source again when it opens again. `complete`: complete. `error`: error
   * with `GateClosed` (for `whileLocked`, with `LockLost`).
   */
  readonly onLoss?: 'resubscribe' | 'complete' | 'error';
}

const ON_LOSS: Expectation = [
  "'resubscribe', 'complete' or 'error'",
  (value) => value === 'resubscribe' || value === 'complete' || value === 'error',
];

/** A gate that can be asked, too, besides telling. */
interface AskedGate extends GateOptions {
  /** Whether what opened the gate still holds, asked before each item. */
  readonly isOpen?: () => boolean;
}

/**
 * Subscribes to the source while `gate$` is `true`. The gate kernel: every other gate is this one.
 *
 *     gate     f---t-------f---t----
 *     source       -a-b-c-     -a-b-
 *     output   -----a-b-c-------a-b-
 *
 * **Emits** the items of the source. Before each one the clock is asked whether a loss is due: if so, the gate closes
 * first, and the item is dropped, even where a blocked event loop has kept the timers from telling.
 * **Errors** what the source or the gate errors with, the source being unsubscribed from first; `GateClosed` with
 * `onLoss: 'error'`.
 * **Completes** when the source completes; when the gate completes, whatever it said last; with `onLoss: 'complete'`, when
 * the gate closes.
 * **Teardown** unsubscribes from the source, then from the gate.
 * **Guarantee** the source is never subscribed to while the gate is `false`, nor twice at once. Not: that work which the
 * source has started elsewhere stops; that is the source's to do when it is unsubscribed from.
 * **Source** RxJS `windowToggle`, `switchMap`, neither of which ends the source with its gate.
 *
 * @example
 * interval(1_000).pipe(whileTrue(leadership(backend, 'scheduler'))).subscribe(runJob);
 */
export function whileTrue<T>(gate$: Observable<boolean>, options: AskedGate = {}): MonoTypeOperatorFunction<T> {
  check(options, { onLoss: ON_LOSS });
  const { onLoss = 'resubscribe', isOpen = () => true } = options;
  return (source) =>
    new Observable<T>((subscriber) => {
      let running: Work<T> | undefined;
      const close = (): void => {
        const closing = running;
        running = undefined; // its teardown may open the gate again
        closing?.stop();
      };
      const open = (): void => {
        if (running !== undefined || subscriber.closed) return;
        const mine: Work<T> = new Work(source, {
          next: (value) => {
            tellDueLosses();
            if (running !== mine) return;
            if (isOpen()) subscriber.next(value);
            else shut();
          },
          error: (error) => subscriber.error(error),
          complete: () => subscriber.complete(),
        });
        running = mine;
        mine.start();
      };
      const shut = (): void => {
        if (running === undefined) return;
        close();
        if (onLoss === 'complete') subscriber.complete();
        if (onLoss === 'error') subscriber.error(new GateClosed());
      };
      const gate = new Subscription();
      subscriber.add(() => {
        close();
        gate.unsubscribe();
      });
      gate.add(
        gate$.subscribe({
          next: (isTrue) => {
            if (isTrue) open();
            else shut();
          },
          error: (error) => {
            close();
            subscriber.error(error);
          },
          complete: () => {
            close();
            subscriber.complete();
          },
        }),
      );
    });
}
