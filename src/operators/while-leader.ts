import type { MonoTypeOperatorFunction, Observable } from 'rxjs';
import { type GateOptions, whileTrue } from './while-true.js';

/**
 * Subscribes to the source while `leadership$` is `true`.
 *
 *     leads    f---t-------f---t----
 *     source       -a-b-c-     -a-b-
 *     output   -----a-b-c-------a-b-
 *
 * It stands after what it must stop, as `whileTrue` shows. Work that writes, or that a deploy must not cut off, belongs into
 * `withLeadership`.
 *
 * **Emits** the items of the source. Before it subscribes to the source, and before each item, the clock is asked whether
 * the leadership is due to be lost: then `false` comes first, and nothing is subscribed to, or the item is dropped, even
 * where a blocked event loop has kept the timers from telling.
 * **Errors** what the source or `leadership$` errors with; `GateClosed` with `onLoss: 'error'`.
 * **Completes** when the source completes while one leads, which steps down; when `leadership$` completes, as it does when the
 * backend drains or is closed; with `onLoss: 'complete'`, when
 * the leadership is lost.
 * **Teardown** unsubscribes from the source, then steps down.
 * **Guarantee** not: that work stops which an item has started; give the token of `campaign` to the resource for that. But:
 * no item passes when another may lead, while clock rates differ by less than `drift`.
 * **Source** none has it: Curator's `LeaderSelector` and client-go's `RunOrDie` interrupt too late or not at all.
 *
 * @example
 * interval(1_000).pipe(concatMap(step), whileLeader(leadership(backend, 'scheduler'))).subscribe();
 */
export function whileLeader<T>(
  leadership$: Observable<boolean>,
  options: GateOptions = {},
): MonoTypeOperatorFunction<T> {
  return whileTrue(leadership$, options);
}
