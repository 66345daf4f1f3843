import { defer, EMPTY, map, Observable, type ObservableInput, of, ReplaySubject, Subscription } from 'rxjs';
import type { Backend, EntryRequest, Place } from '../../backends/backend.js';
import { LeadershipLost, type PlaceLost, Released } from '../../backends/errors.js';
import { isError } from '../../backends/shared/is-error.js';
import { enveloped } from '../holding/envelope.js';
import { type Loss, toldBy } from '../holding/grant.js';
import { StandAgain } from './again.js';
import { rosterOf } from './election-roster.js';
import { type Incarnation, settleIdentity } from './incarnation.js';
import type { Lead } from './lead.js';
import { outranked } from './preference.js';

/** Where a candidate stands. */
export interface Position {
  readonly place: Place;
  /** While it leads. */
  readonly lead: Lead | undefined;
}

/** How one stands. */
interface Stand extends Pick<EntryRequest, 'payload' | 'payload$' | 'onDrain'> {
  /** What is given up only when this has ended. */
  readonly beforeLeave?: (() => ObservableInput<unknown>) | undefined;
  readonly lossOf?: (token: bigint, lost: PlaceLost) => Loss;
}

/** How one behaves towards other candidates. */
interface Manners {
  readonly priority: number | undefined;
  readonly holdDownMs?: number;
  readonly takeOver?: boolean;
}

/** One entry of a candidate. Errors with `PlaceLost` and `StandAgain`, after which it is to stand again. */
export function standing(
  backend: Backend,
  election: string,
  incarnation: Incarnation,
  { payload, payload$, onDrain, beforeLeave, lossOf = lossIn(election) }: Stand,
  { priority, holdDownMs = 0, takeOver = false }: Manners,
): Observable<Position> {
  return new Observable<Position>((subscriber) => {
    const header = { ...incarnation.header, ...(incarnation.header.identity && { since: incarnation.since }) };
    const seal = (bytes: Uint8Array): Uint8Array => enveloped(bytes, header);
    /** Tells when the store has it that one has left to stand again. */
    let left: ReplaySubject<boolean> | undefined;
    let hasLooked = false;
    let following = new Subscription();
    subscriber.add(() => following.unsubscribe());

    const leave = (place: Place): Observable<boolean> =>
      place.leave(beforeLeave === undefined ? EMPTY : defer(beforeLeave));
    const again = (place: Place): Observable<boolean> => {
      if (left !== undefined) return left;
      if (subscriber.closed) return leave(place);
      const mine = new ReplaySubject<boolean>(1);
      left = mine;
      // Told first, given up then: the process may be held up in between, and another one led meanwhile.
      subscriber.error(new StandAgain(mine));
      leave(place).subscribe(mine);
      return mine;
    };
    const leadOf = (place: Place): Lead => {
      const { token, id } = place.entry;
      const told = toldBy(place, (lost) => lossOf(token, lost));
      return {
        name: election,
        token,
        id,
        // The clock is asked in any case: a loss that is due is told by it.
        isValid: () => place.isValid() && !told.signal.aborted,
        signal: told.signal,
        draining: place.draining,
        release: () => place.leave(),
        standDown: () => {
          const wasHeld = place.isValid();
          told.abort(new Released(subjectOf(election), HANDED_OVER));
          return toldOnceSettled(again(place), wasHeld, beforeLeave);
        },
      };
    };
    const tell = (place: Place): void => {
      incarnation.since ??= place.entry.token;
      following.unsubscribe();
      const lead = place.admitted ? leadOf(place) : undefined;
      subscriber.next({ place, lead });
      if (subscriber.closed) return;
      following = new Subscription();
      if (priority !== undefined)
        following.add(
          outranked(backend, election, place, holdDownMs).subscribe({
            next: () => (lead === undefined ? again(place) : lead.standDown()),
            error: (error) => subscriber.error(error),
          }),
        );
      if (hasLooked) return;
      hasLooked = true;
      subscriber.add(
        settleIdentity(backend, election, incarnation, takeOver).subscribe({
          error: (error) => subscriber.error(error),
        }),
      );
    };

    const place$ = backend.enter(rosterOf(election), {
      mode: 'exclusive',
      permits: 1,
      payload: seal(payload),
      ...(payload$ && { payload$: payload$.pipe(map(seal)) }),
      ...(onDrain && { onDrain }),
      ...(beforeLeave && { beforeLeave }),
    });
    subscriber.add(
      place$.subscribe({
        next: tell,
        error: (error) => {
          incarnation.wasLost = isError<PlaceLost>(error, 'PlaceLost');
          subscriber.error(error);
        },
        complete: () => {
          if (left === undefined) subscriber.complete();
        },
      }),
    );
  });
}

const HANDED_OVER = 'the lead was handed over, and the candidate stands again.';

function subjectOf(election: string): string {
  return `election ${JSON.stringify(election)}`;
}

function lossIn(election: string): (token: bigint, lost: PlaceLost) => Loss {
  return (token, { reason, cause }) => new LeadershipLost(election, token, reason, cause);
}

/** Work that has not settled may be who waits for the answer, and would wait for itself. */
function toldOnceSettled(
  left$: Observable<boolean>,
  wasHeld: boolean,
  beforeLeave: (() => ObservableInput<unknown>) | undefined,
): Observable<boolean> {
  let isSettled = beforeLeave === undefined;
  if (beforeLeave !== undefined)
    defer(beforeLeave)
      .subscribe({
        complete: () => {
          isSettled = true;
        },
      })
      .unsubscribe();
  return isSettled ? left$ : of(wasHeld);
}
