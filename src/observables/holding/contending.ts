import { defer, map, type Observable, of, retry, throwError } from 'rxjs';
import type { Backend, EntryRequest, Place, RosterKey } from '../../backends/backend.js';
import type { PlaceLost } from '../../backends/errors.js';
import { isError } from '../../backends/shared/is-error.js';
import { type Grant, grantOf, type Loss } from './grant.js';

/** Where one stands in a line for what only one may hold. */
export interface Contention {
  readonly place: Place;
  /** While it is held. */
  readonly grant?: Grant;
}

/** How one stands in such a line, besides what is so in all of them. */
type Stand = Pick<EntryRequest, 'payload' | 'wait' | 'beforeLeave'>;

/** Stands in line for what only one may hold. Lost while waiting: it stands again. Lost while held: it errors with the loss. */
export function contending(
  backend: Backend,
  roster: RosterKey,
  stand: () => Stand,
  lossOf: (token: bigint, lost: PlaceLost) => Loss,
): Observable<Contention> {
  return defer(() => {
    let lossOfHeld: ((lost: PlaceLost) => Loss) | undefined;
    return backend.enter(roster, { mode: 'exclusive', permits: 1, onDrain: 'work', ...stand() }).pipe(
      map((place): Contention => {
        if (!place.admitted) return { place };
        lossOfHeld = once((lost) => lossOf(place.entry.token, lost));
        return { place, grant: grantOf(roster.name, place, lossOfHeld) };
      }),
      retry({
        delay: (error) => {
          if (!isError<PlaceLost>(error, 'PlaceLost')) return throwError(() => error);
          const loss = lossOfHeld?.(error);
          return loss === undefined ? of(0) : throwError(() => loss);
        },
      }),
    );
  });
}

/** The stream errors with the loss that the signal aborts with. */
function once(lossOf: (lost: PlaceLost) => Loss): (lost: PlaceLost) => Loss {
  let loss: Loss | undefined;
  return (lost) => {
    loss ??= lossOf(lost);
    return loss;
  };
}
