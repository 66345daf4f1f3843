import { Observable, type SchedulerLike } from 'rxjs';
import { BackendClosed } from './errors.js';

let isTelling = false;

/**
 * Errors with `BackendClosed`, but not at once, and what is begun on being told so only completes: a bare `retry()` would
 * begin it again for ever, and if it were told at once, until the stack overflows.
 */
export function refusedWhenClosed(backend: string, scheduler: SchedulerLike): Observable<never> {
  return new Observable((subscriber) => {
    if (isTelling) {
      subscriber.complete();
      return;
    }
    subscriber.add(
      scheduler.schedule(() => {
        isTelling = true;
        subscriber.error(new BackendClosed(backend));
        isTelling = false;
      }),
    );
  });
}
