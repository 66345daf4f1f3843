import { defer, EMPTY, ignoreElements, type Observable, Subject, take } from 'rxjs';

let underWay = 0;
const over = new Subject<void>();

/** Guarded work is being torn down, until the function returned is called, in the same turn. */
export function tearingDown(): () => void {
  underWay += 1;
  return () => {
    underWay -= 1;
    if (underWay === 0) over.next();
  };
}

/** Completes when no guarded work is being torn down: at once, but where that is what has called. */
export const tornDown$: Observable<never> = defer(() =>
  underWay === 0 ? EMPTY : over.pipe(take(1), ignoreElements()),
);
