import { type MonoTypeOperatorFunction, Observable, Subscription } from 'rxjs';
import { GateClosed } from '../backends/errors.js';
import { checkAll, type Expectation, FUNCTION } from '../backends/shared/expectations.js';
import { tellDueLosses } from '../backends/validity.js';
import { Work } from '../observables/holding/work.js';

/** What a gate does when it closes after it was open. */
export interface GateOptions {
  /**
   * `resubscribe`: wait, and subscribe to the source again when it opens again. `complete`: complete. `error`: error
   * with `GateClosed` (for `whileLocked`, with `LockLost`).
   */
  readonly onLoss?: 'resubscribe' | 'complete' | 'error';
}

/** What `onLoss` must be. */
export const ON_LOSS: Expectation = [
  "'resubscribe', 'complete' or 'error'",
  (value) => value === 'resubscribe' || value === 'complete' || value === 'error',
];

/** A gate that can be asked, too, besides telling. */
interface AskedGate extends GateOptions {
  /** Whether what opened the gate still holds, asked before the source is subscribed to, before each item, and at its end. */
  readonly isOpen?: () => boolean;
}

/**
 * Subscribes to the source while `gate$` is `true`. The gate kernel: every other gate is this one.
 *
 *     gate     f---t-------f---t----
 *     source       -a-b-c-     -a-b-
 *     output   -----a-b-c-------a-b-
 *
 * A gate stands after what it must stop: it stops what is before it, and nothing of what is behind it. Each item of this source
 * begins work of three steps:
 *
 *     source                        -a-----b-----c-----
 *     gate                          t--------f---------
 *     mergeMap(work), whileTrue     -1-2-3-1-            the work is torn down with its source
 *     whileTrue, mergeMap(work)     -1-2-3-1-2-3         what has begun goes on, though another may lead
 *
 * What it tears down tells nothing behind it, neither an item nor an end. And the gate must be told at once: `settled`, `delay`,
 * `debounceTime` or `observeOn` between the leadership and the gate keep it open for as long after the loss.
 *
 * **Emits** the items of the source. Before it subscribes to the source, and before each item, the clock is asked whether a
 * loss is due: if so, the gate closes first, and the source is not subscribed to, or the item is dropped, even where a
 * blocked event loop has kept the timers from telling.
 * **Errors** what the source or the gate errors with, the source being unsubscribed from first; `GateClosed` with
 * `onLoss: 'error'`.
 * **Completes** when the source completes, unless a loss is due by then; when the gate completes, whatever it said last;
 * with `onLoss: 'complete'`, when the gate closes.
 * **Teardown** unsubscribes from the source, then from the gate.
 * **Guarantee** the source is never subscribed to while the gate is `false`, nor twice at once, whatever it ends or opens
 * while it is being subscribed to or torn down. Not: that work which the source has started elsewhere stops; that is the
 * source's to do when it is unsubscribed from.
 * **Source** RxJS `windowToggle`, `switchMap`, neither of which ends the source with its gate.
 *
 * @example
 * interval(1_000).pipe(concatMap(step), whileTrue(leadership(backend, 'scheduler'))).subscribe();
 */
export function whileTrue<T>(gate$: Observable<boolean>, options: AskedGate = {}): MonoTypeOperatorFunction<T> {
  checkAll(options, { onLoss: ON_LOSS, isOpen: FUNCTION });
  const { onLoss = 'resubscribe', isOpen = () => true } = options;
  return (source) =>
    new Observable<T>((subscriber) => {
      let isTrue = false;
      let isAsking = false;
      let isOver = false;
      /** The source, from its subscribing until nothing of it is left: so it never runs twice at once. */
      let running: Work<T> | undefined;
      const gate = new Subscription();

      /** The gate is not open any longer, whatever it said last. */
      const lose = (): void => {
        isTrue = false;
        isOver = onLoss !== 'resubscribe';
        running?.stop();
        if (onLoss === 'complete') subscriber.complete();
        if (onLoss === 'error') subscriber.error(new GateClosed());
      };
      /** Asks the clock, and whoever else may know of a loss that the gate has not told. Whatever is asked may end anything. */
      const isStillOpen = (mine: Work<T>): boolean => {
        tellDueLosses();
        const isHeld = isOpen();
        if (mine.isStopped) return false;
        if (!isHeld) lose();
        return isHeld;
      };
      const open = (): void => {
        if (running !== undefined || isAsking || isOver) return;
        isAsking = true;
        tellDueLosses();
        const isHeld = isTrue && isOpen();
        isAsking = false;
        if (!isTrue || subscriber.closed) return;
        if (!isHeld) {
          lose();
          return;
        }
        const mine: Work<T> = new Work(source, {
          next: (value) => {
            if (isStillOpen(mine)) subscriber.next(value);
          },
          error: (error) => subscriber.error(error),
          complete: () => {
            if (isStillOpen(mine)) subscriber.complete();
          },
          over: () => {
            running = undefined;
            if (subscriber.closed) gate.unsubscribe();
            else open();
          },
        });
        running = mine;
        mine.start();
      };
      const end = (tell: () => void): void => {
        isOver = true;
        running?.stop();
        tell();
      };
      subscriber.add(() => {
        running?.stop();
        if (running === undefined) gate.unsubscribe();
      });
      gate.add(
        gate$.subscribe({
          next: (says) => {
            isTrue = says;
            if (says) open();
            else if (running?.isStopped === false) lose();
          },
          error: (error) => end(() => subscriber.error(error)),
          complete: () => end(() => subscriber.complete()),
        }),
      );
    });
}
