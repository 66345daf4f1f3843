import {
  combineLatest,
  connect,
  distinctUntilChanged,
  distinctUntilKeyChanged,
  EMPTY,
  filter,
  map,
  merge,
  mergeMap,
  type Observable,
  type OperatorFunction,
  of,
  switchMap,
  timer,
} from 'rxjs';
import type { Backend, Entry, Place } from '../../backends/backend.js';
import { opened } from '../holding/envelope.js';
import { type Designated, designated, isVoid, undesignate } from './designation.js';
import { rosterOf } from './election-roster.js';

/** A line, and who of it is named. */
interface Line {
  readonly entries: readonly Entry[];
  readonly named: Designated | undefined;
}

/**
 * Emits when who stands at `place` is to stand again at the end of the line. In it, whoever sees a better one behind makes way
 * for it. The leader does so when the best of all is next, and has been for `holdDownMs`: so nobody leads in between, and a
 * candidate that comes and goes changes nothing. Equals never make way for each other.
 */
export function outranked(backend: Backend, election: string, place: Place, holdDownMs: number): Observable<unknown> {
  const line$ = combineLatest({
    entries: backend.entries(rosterOf(election)),
    named: designated(backend, election),
  });
  if (!place.admitted) return line$.pipe(filter((line) => isBeforeBetter(line, place.entry)));
  return line$.pipe(leading(backend, election, place, holdDownMs));
}

/** For a leader: emits when it is to hand over; and takes away the name of who has gone. */
function leading(
  backend: Backend,
  election: string,
  { entry, draining }: Place,
  holdDownMs: number,
): OperatorFunction<Line, unknown> {
  const better = (line$: Observable<Line>): Observable<unknown> =>
    line$.pipe(
      map((line) => betterNext(line, entry)),
      distinctUntilChanged(),
      switchMap((id) => (id === undefined ? EMPTY : holdDownMs === 0 ? of(id) : timer(holdDownMs, backend.scheduler))),
      // Who drains leads until its work is done, and then no more.
      filter(() => !draining.aborted),
    );
  const gone = (line$: Observable<Line>): Observable<never> =>
    line$.pipe(
      mergeMap(({ entries, named }) => (named !== undefined && isVoid(named, entries) ? [named] : [])),
      distinctUntilKeyChanged('version'),
      mergeMap((named) => undesignate(backend, election, named)),
    );
  return connect((line$) => merge(gone(line$), better(line$)));
}

/** How good a candidate is: named before all, then by priority, then those who gave none. */
function rankOf({ id, payload }: Entry, named: Designated | undefined): number {
  if (id === named?.id) return Number.POSITIVE_INFINITY;
  return opened(payload).header.priority ?? Number.NEGATIVE_INFINITY;
}

/** Whether one who waits at `mine` has a better one behind. At the head of the line it is about to lead. */
function isBeforeBetter({ entries, named }: Line, { id }: Entry): boolean {
  const at = entries.findIndex((entry) => entry.id === id);
  const mine = entries[at];
  if (mine === undefined || at === 0) return false;
  const rank = rankOf(mine, named);
  return entries.slice(at + 1).some((entry) => rankOf(entry, named) > rank);
}

/** The id of who is next, if it is better than the leader and nobody is better than it. */
function betterNext({ entries, named }: Line, { id }: Entry): string | undefined {
  const [leader, next, ...others] = entries;
  if (leader?.id !== id || next === undefined) return undefined;
  const rank = rankOf(next, named);
  const isBest = rank > rankOf(leader, named) && others.every((entry) => rankOf(entry, named) <= rank);
  return isBest ? next.id : undefined;
}
