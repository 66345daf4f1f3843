import {
  defaultIfEmpty,
  defer,
  EMPTY,
  filter,
  isObservable,
  mergeMap,
  Observable,
  of,
  ReplaySubject,
  race,
  switchMap,
  take,
} from 'rxjs';
import type { Backend, EntryRequest } from '../../backends/backend.js';
import type { InvalidPayload } from '../../backends/errors.js';
import { isError } from '../../backends/shared/is-error.js';
import { closed } from './closed.js';

/**
 * Enters with `data`. An Observable enters with its first value (`undefined` where it has none), and each further one
 * replaces the last. A further one that cannot be encoded is reported, and the last stays.
 */
export function withData<T>(
  backend: Backend,
  data: unknown,
  encode: (data: unknown) => Uint8Array,
  enter: (stand: Pick<EntryRequest, 'payload' | 'payload$'>) => Observable<T>,
): Observable<T> {
  if (!isObservable(data)) return defer(() => enter({ payload: encode(data) }));
  return new Observable<T>((subscriber) => {
    const payloads = new ReplaySubject<Uint8Array>(1);
    const encoded$ = data.pipe(
      defaultIfEmpty(undefined),
      mergeMap((value, index) => {
        if (index === 0) return of(encode(value));
        try {
          return of(encode(value));
        } catch (error) {
          if (!isError<InvalidPayload>(error, 'InvalidPayload')) throw error;
          backend.reportFault(error);
          return EMPTY;
        }
      }),
    );
    subscriber.add(encoded$.subscribe(payloads));
    const entered$ = race(payloads, closed(backend)).pipe(
      take(1),
      switchMap((payload) =>
        enter({ payload, payload$: payloads.pipe(filter((next, index) => index > 0 || next !== payload)) }),
      ),
    );
    subscriber.add(entered$.subscribe(subscriber));
  });
}
