import { distinctUntilChanged, map, type Observable } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { NotSupported } from '../../backends/errors.js';
import { check, objectWith } from '../../backends/shared/expectations.js';
import { JournalCell, keyOf, type Line, type TickState } from './journal.js';

/** What is known of a tick. */
export interface TickRecord {
  readonly date: Date;
  /** While it is `claimed` its work goes on, or its runner has died and the next leader has not come yet. */
  readonly state: TickState;
  /** How often its work was begun. */
  readonly attempt: number;
  /** Of the leader that claimed it last, or told what became of it. */
  readonly token: bigint;
  /** Where it is there, all ticks after that date, up to this one, have this state. */
  readonly since?: Date;
  /** When the work was begun last, by the clock of who did. */
  readonly startedAt?: Date;
  readonly endedAt?: Date;
  /** Why it failed, in at most 200 characters. */
  readonly error?: string;
}

/**
 * Emits what became of the last ticks of the schedule `name`, the latest last.
 *
 *     output   []---[1 claimed]---[1 done]------[1 done, 2 claimed]--
 *
 * Looking never takes part.
 *
 * **Emits** the last 20 ticks, and all whose work goes on: on subscribe (as soon as the store has answered), then after each
 * change. A list without any where it never had a tick. What changes faster than the store tells is skipped over.
 * **Errors** `InvalidName`, `InvalidOptions`, `NotSupported` where the backend has no cells (thrown at the call);
 * `AuthenticationFailed`, `PermissionDenied`. Never on a lost connection.
 * **Completes** when the backend is closed.
 * **Teardown** stops looking.
 * **Guarantee** not: that a tick that is `claimed` is worked on at this moment. But: what is `done` was done.
 * **Source** Kubernetes `successfulJobsHistoryLimit`, in the store in place of objects.
 *
 * @example
 * scheduleHistory(backend, 'invoices').subscribe((ticks) => console.log(ticks.at(-1)?.state));
 */
export function scheduleHistory(backend: Backend, name: string): Observable<readonly TickRecord[]> {
  const key = keyOf(name);
  check({ backend }, { backend: objectWith('enter', 'cell') }, ['backend']);
  if (!backend.characteristics.cells) throw new NotSupported(backend.name, 'schedules, which need cells');
  return new JournalCell(backend, name, key).journal$.pipe(
    map((journal) => journal?.lines ?? []),
    // Whoever begins to lead writes the journal again as it is.
    distinctUntilChanged((a, b) => JSON.stringify(a) === JSON.stringify(b)),
    map((lines) => lines.map(recordOf)),
  );
}

function recordOf({ at, state, token, attempt, after, from, to, error }: Line): TickRecord {
  return {
    date: new Date(at),
    state,
    attempt,
    token: BigInt(token),
    ...(after !== undefined && { since: new Date(after) }),
    ...(from !== undefined && { startedAt: new Date(from) }),
    ...(to !== undefined && { endedAt: new Date(to) }),
    ...(error !== undefined && { error }),
  };
}
