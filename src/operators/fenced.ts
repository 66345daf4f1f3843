import { filter, map, type OperatorFunction } from 'rxjs';
import { check, type Expectation } from '../backends/shared/expectations.js';
import type { Grant } from '../observables/holding/grant.js';

/** An item, and the token that whoever writes it gives to the resource. */
export interface Fenced<T> {
  readonly value: T;
  readonly token: bigint;
}

/**
 * Stamps items with the token of the grant under which they are made, and drops those that come after its end.
 *
 *     grant    g-------x
 *     source   -a--b-c---d-|
 *     output   -A--B-C-----|       A is { value: a, token }
 *
 * **Emits** `{ value, token }` for each item that comes while the grant is valid, which is asked of the clock before each.
 * **Errors** what the source errors with; `InvalidOptions` (thrown at the call). Not at the end of the grant: what it came from
 * tells that.
 * **Completes** when the source completes.
 * **Teardown** that of the source, which goes on after the end of the grant. Gates and `withLock` end it.
 * **Guarantee** not: that nothing is written after the end of the grant, by one who has an item and is late. The token is for
 * that: give it to the resource, as `fencedSql` does.
 * **Source** Kleppmann, "How to do distributed locking".
 *
 * @example
 * withLock(backend, 'ledger', (grant) =>
 *   ticks$.pipe(
 *     fenced(grant),
 *     concatMap(({ token }) => settle(invoice, token)),
 *   ),
 * ).subscribe();
 */
export function fenced<T>(grant: Pick<Grant, 'token' | 'isValid'>): OperatorFunction<T, Fenced<T>> {
  check({ grant }, { grant: GRANT }, ['grant']);
  const { token } = grant;
  return (source) =>
    source.pipe(
      filter(() => grant.isValid()),
      map((value) => ({ value, token })),
    );
}

const GRANT: Expectation = [
  'a grant, with a token and isValid()',
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    'token' in value &&
    typeof value.token === 'bigint' &&
    'isValid' in value &&
    typeof value.isValid === 'function',
];
