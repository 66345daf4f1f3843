import { catchError, concatMap, EMPTY, from, ignoreElements, type Observable, throwError } from 'rxjs';
import type { Backend, Entry } from '../../backends/backend.js';
import { type BackendClosed, CandidateReplaced, type OutcomeUnknown } from '../../backends/errors.js';
import { isError } from '../../backends/shared/is-error.js';
import { type Header, opened } from '../holding/envelope.js';
import { rosterOf } from './election-roster.js';

/** One candidate, through all of its entries. */
export interface Incarnation {
  readonly header: Header;
  /** The token of its first entry. */
  since: bigint | undefined;
  /** Its last entry was lost: somebody has taken it out, or might have done so had its session not been lost before. */
  wasLost: boolean;
}

/**
 * Of those who stand under one identity the latest incarnation stays: it takes out those before it, if it is to `takeOver`, and
 * whoever finds a later one errors with `CandidateReplaced`. Looks once, after each entry, and completes.
 */
export function settleIdentity(
  backend: Backend,
  election: string,
  incarnation: Incarnation,
  takeOver: boolean,
): Observable<never> {
  const { header, since = 0n, wasLost } = incarnation;
  const { identity, owner } = header;
  if (identity === undefined || !(takeOver || wasLost)) return EMPTY;
  const roster = rosterOf(election);
  return backend.look(roster).pipe(
    concatMap((line) => {
      const others = line.filter(({ payload }) => {
        const other = opened(payload).header;
        return other.identity === identity && other.owner !== owner;
      });
      if (others.some((other) => sinceOf(other) > since)) throw new CandidateReplaced(election, identity);
      // From behind, so that none of them leads in between.
      return takeOver ? from([...others].reverse()) : EMPTY;
    }),
    concatMap(({ id }) => backend.evict(roster, id)),
    ignoreElements(),
    catchError((error) => {
      // With its session its own place is lost as well, and it looks again from the next one.
      const isOver = isError<OutcomeUnknown>(error, 'OutcomeUnknown') || isError<BackendClosed>(error, 'BackendClosed');
      return isOver ? EMPTY : throwError(() => error);
    }),
  );
}

/** Of which the first entry does not know its token yet. */
function sinceOf({ token, payload }: Entry): bigint {
  return opened(payload).header.since ?? token;
}
