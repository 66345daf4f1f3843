import { Observable, type SchedulerLike } from 'rxjs';
import { BackendClosed } from '../errors.js';

const LONGEST_PAUSE_MS = 5_000;

/**
 * Errors with `BackendClosed`, but not at once, and what is begun on being told so only completes: a bare `retry()` would
 * begin it again for ever, and if it were told at once, until the stack overflows. What is begun on that again, by a
 * `repeat()`, is told so after a pause that grows.
 */
export function refusedWhenClosed(
  backend: string,
  scheduler: SchedulerLike,
  state: () => BackendClosed['state'],
): Observable<never> {
  /** How many were told one after the other, each begun by the one before, up to the one that is being told now. */
  let told = 0;
  return new Observable((subscriber) => {
    const before = told;
    subscriber.add(
      scheduler.schedule(
        () => {
          told = before + 1;
          if (before === 0) subscriber.error(new BackendClosed(backend, state()));
          else subscriber.complete();
          told = 0;
        },
        before < 2 ? 0 : Math.min(LONGEST_PAUSE_MS, 2 ** before),
      ),
    );
  });
}
