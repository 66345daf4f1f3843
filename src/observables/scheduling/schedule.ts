import { isObservable, Observable, type ObservableInput } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { InvalidOptions, NotSupported } from '../../backends/errors.js';
import {
  ANYTHING,
  FUNCTION,
  integer,
  objectWith,
  oneOf,
  unknownIn,
  violationsOf,
} from '../../backends/shared/expectations.js';
import { withLeadership } from '../elections/with-leadership.js';
import type { Grant } from '../holding/grant.js';
import { JournalCell, keyOf } from './journal.js';
import { cronOf, dateMsOf, givenDates, periodOf, violationsOfWhen, type When } from './occurrences.js';
import { type Manners, type Tick, type TickEvent, Ticks } from './ticks.js';

/** Options of `schedule`. */
export interface ScheduleOptions extends Partial<Manners> {
  /**
   * What becomes of a tick whose runner dies while it works: with `at-most-once` it has `failed`; with `at-least-once` the next
   * leader does it again, with a greater token. Work that fails by itself is not done again. Default `at-most-once`.
   */
  readonly delivery?: 'at-most-once' | 'at-least-once';
  /** Which of the ticks are done late at which nobody led: none, the `last` one, or `all`, in order. Default `last`. */
  readonly missed?: 'skip' | 'last' | 'all';
  /** How late they may be. Default 3,600,000: an hour. */
  readonly missedWithinMs?: number;
  /**
   * What becomes of a tick at which the work of an earlier one goes on: it is skipped; it is done when that has ended; or beside it,
   * of which at most 100 are. What is done late, and what has become due meanwhile, is always queued. Default `skip`.
   */
  readonly overlap?: 'skip' | 'queue' | 'parallel';
  /** The zone of a cron expression. Default `UTC`: the same for all processes, wherever they run. */
  readonly timeZone?: string;
}

/**
 * Does `work` at each tick, once over all processes.
 *
 *     ticks    --1----2----3----4----5--       a leads; it dies while it works on 2
 *     a        --cd---cx
 *     b        ----------fcd---cd---cd--       c: claimed  d: done  f: 2 has failed, then 3 and so on
 *
 * Every process calls it, with the same arguments. One of them leads the election `schedule <name>`: it waits for the ticks, and
 * claims each in a cell before its work begins. The others wait for the lead.
 *
 * **Emits** on the leader, what happens to each tick: `claimed`, `done` with the last value of the work, `failed` with the error,
 * `skipped` since an earlier one goes on, `missed` since nobody led. `scheduleHistory` reads it from anywhere.
 * **Errors** as `withLeadership`, and with what an Observable of dates errors with. Never with what the work errors with: then
 * the tick has failed, and the next one comes. `InvalidName`, `InvalidOptions`, `NotSupported` where the backend has no cells
 * (thrown at the call).
 * **Completes** when no tick comes any more; after `release()` of the grant; when the backend is closed. A drain lets the work in progress come to its end.
 * **Teardown** unsubscribes from the work, then steps down; a promise settles first. That tick counts as one whose runner died.
 * **Guarantee** not: that ticks are done in time, since the leader may have to be elected, nor by a right clock: they are due by
 * that of the leader. Where it is set back, no tick is done again, and none comes until it is where it was. Where it is far
 * ahead, a later leader waits until that date has come. Nor that it holds where the store has lost its data. But: with
 * `at-most-once` the work of a tick begins at most once over all processes, whatever clocks and leaders do; with
 * `at-least-once` it is not begun again before the earlier runner has lost the lead, and no tick is lost within
 * `missedWithinMs` with `missed: 'all'`. Where clocks change by the season, a cron expression of one fixed time has one tick a day: at
 * the first of two such times, or at the end of the gap where that time is left out. One of several times an hour goes by what
 * clocks show: nothing in the gap, and all of it twice where the hour comes twice.
 * **Source** ShedLock (but no clock needs to be in step), Kubernetes `CronJob` (`concurrencyPolicy`, `startingDeadlineSeconds`).
 *
 * @example
 * schedule(backend, 'invoices', '0 3 * * *', ({ date }, { token }) => settle({ id: date.toISOString() }, token), {
 *   timeZone: 'Europe/Berlin',
 *   delivery: 'at-least-once',
 * }).subscribe((event) => console.log(event.kind, event.tick.date));
 */
export function schedule<R>(
  backend: Backend,
  name: string,
  when: When,
  work: (tick: Tick, grant: Grant) => ObservableInput<R>,
  options: ScheduleOptions = {},
): Observable<TickEvent<R>> {
  const key = keyOf(name);
  checkSchedule(backend, when, work, options);
  const { timeZone = 'UTC' } = options;
  const manners: Manners = {
    delivery: options.delivery ?? 'at-most-once',
    missed: options.missed ?? 'last',
    missedWithinMs: options.missedWithinMs ?? 3_600_000,
    overlap: options.overlap ?? 'skip',
  };
  return new Observable((subscriber) => {
    const dates = givenDates(() => dateMsOf(backend), manners.missedWithinMs);
    const occurrences = isObservable(when)
      ? dates
      : typeof when === 'string'
        ? cronOf(when, timeZone)
        : periodOf(when.everyMs);
    // Whoever does not lead yet may have to do what is missed then.
    if (isObservable(when))
      subscriber.add(
        when.subscribe({
          next: (date) => {
            try {
              dates.add(date);
            } catch (error) {
              subscriber.error(error);
            }
          },
          error: (error) => subscriber.error(error),
          complete: () => dates.end(),
        }),
      );
    if (subscriber.closed) return;
    const journal = new JournalCell(backend, name, key);
    subscriber.add(
      withLeadership(
        backend,
        key,
        (lead) => new Ticks(backend, name, lead, journal, occurrences, manners, work).events,
      ).subscribe(subscriber),
    );
  });
}

const KNOWN = {
  delivery: oneOf('at-most-once', 'at-least-once'),
  missed: oneOf('skip', 'last', 'all'),
  missedWithinMs: integer(0, Number.MAX_SAFE_INTEGER),
  overlap: oneOf('skip', 'queue', 'parallel'),
  timeZone: ANYTHING,
};

function checkSchedule(backend: Backend, when: unknown, work: unknown, options: ScheduleOptions): void {
  const given = { backend: objectWith('enter', 'swap'), work: FUNCTION };
  const violations = [
    ...violationsOf({ backend, work }, given, Object.keys(given)),
    ...violationsOf(options, KNOWN),
    ...unknownIn(options, KNOWN),
    ...violationsOfWhen(when, typeof options === 'object' && options !== null ? options.timeZone : undefined),
  ];
  if (violations.length > 0) throw new InvalidOptions(violations);
  if (!backend.characteristics.cells) throw new NotSupported(backend.name, 'schedules, which need cells');
}
