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
  tap,
} from 'rxjs';
import type { Backend, EntryRequest } from '../../backends/backend.js';
import type { InvalidPayload } from '../../backends/errors.js';
import { isError } from '../../backends/shared/is-error.js';
import { closed } from './closed.js';

/**
 * Enters with `data`. An Observable enters with its first value (`undefined` where it has none), and each further one
 * replaces the last. A further one that cannot be encoded is reported, and the last stays. Who enters again reads `stand`
 * again: it has the latest.
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
    let latest: Uint8Array = new Uint8Array();
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
    const noted$ = encoded$.pipe(
      tap((payload) => {
        latest = payload;
      }),
    );
    subscriber.add(noted$.subscribe(payloads));
    const stand = {
      get payload() {
        return latest;
      },
      get payload$() {
        const entered = latest;
        return payloads.pipe(filter((next, index) => index > 0 || next !== entered));
      },
    };
    const entered$ = race(payloads, closed(backend)).pipe(
      take(1),
      switchMap(() => enter(stand)),
    );
    subscriber.add(entered$.subscribe(subscriber));
  });
}
