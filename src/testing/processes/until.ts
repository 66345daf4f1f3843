import { inspect } from 'node:util';
import { catchError, concatWith, defer, filter, firstValueFrom, type Observable, tap, throwError, timeout } from 'rxjs';

const mostShown = 20;

/**
 * The first value that satisfies `predicate`. Rejects after `limitMs`, and when `source` ends before, with an error that
 * says what came instead. `what` completes the sentence "… did not come".
 */
export function firstWithin<T, S extends T>(
  source: Observable<T>,
  predicate: (value: T) => value is S,
  limitMs: number,
  what: string,
): Promise<S>;
export function firstWithin<T>(
  source: Observable<T>,
  predicate: (value: T) => boolean,
  limitMs: number,
  what: string,
): Promise<T>;
export function firstWithin<T>(
  source: Observable<T>,
  predicate: (value: T) => boolean,
  limitMs: number,
  what: string,
): Promise<T> {
  const seen: T[] = [];
  const failure = (when: string, cause?: unknown): Observable<never> =>
    throwError(() => new Error(`${what} did not come ${when}; ${describe(seen)}`, { cause }));
  return firstValueFrom(
    source.pipe(
      tap((value) => seen.push(value)),
      catchError((error: unknown) => failure(`before the source failed (${error})`, error)),
      concatWith(defer(() => failure('before the source completed'))),
      filter(predicate),
      timeout({ first: limitMs, with: () => failure(`within ${limitMs} ms`) }),
    ),
  );
}

function describe(seen: readonly unknown[]): string {
  if (seen.length === 0) return 'nothing was seen instead';
  const shown = seen.slice(-mostShown).map((value) => inspect(value, { breakLength: Number.POSITIVE_INFINITY }));
  const omitted = seen.length > mostShown ? `(${seen.length - mostShown} more) ` : '';
  return `seen instead: ${omitted}${shown.join(', ')}`;
}
