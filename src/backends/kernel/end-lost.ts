import { filter, ignoreElements, mergeMap, type Observable, retry, take, throwError, timer } from 'rxjs';
import { Unavailable } from '../errors.js';
import type { StoreSession } from '../store.js';
import { backoffMs, type KernelContext } from './context.js';
import { unansweredAfter } from './lease.js';

/** Takes a lost session away over its own link, as soon as the store can be told. `failing` is told why it could not, each time. */
export function endLost(
  session: StoreSession,
  context: KernelContext,
  failing: (cause: Unavailable) => void = () => undefined,
): Observable<never> {
  const { timing, clock } = context;
  return session.link$.pipe(
    filter((isLinked) => isLinked),
    take(1),
    mergeMap(() => session.end(true)),
    unansweredAfter(context, timing.requestTimeoutMs, 'end the lost session'),
    ignoreElements(),
    retry({
      delay: (cause, count) => {
        if (!(cause instanceof Unavailable)) return throwError(() => cause);
        failing(cause);
        return timer(backoffMs(context, count - 1), clock);
      },
    }),
  );
}
