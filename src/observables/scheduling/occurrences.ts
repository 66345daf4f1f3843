import { Cron } from 'croner';
import { EMPTY, isObservable, type Observable, Subject } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { InvalidOptions } from '../../backends/errors.js';
import { shown } from '../../backends/shared/expectations.js';

/**
 * When something is to be done: a cron expression of five to seven fields (`'0 3 * * *'`, `'0/10 * * * * *'`); a period, counted
 * from the beginning of 1970 by all alike; or dates, each emitted before it comes, or as it comes. One that lies before a tick
 * that was done is not done any more.
 */
export type When = string | { readonly everyMs: number } | Observable<Date>;

/** The date by which ticks are due, in ms since 1970: it may be set, forward and back. */
export function dateMsOf({ scheduler }: Pick<Backend, 'scheduler'>): number {
  return scheduler.wallNow?.() ?? scheduler.now();
}

/** When ticks are due, in ms since 1970. */
export interface Occurrences {
  /** The first one after; `undefined` where none is known. */
  next(afterMs: number): number | undefined;
  /** The last one until then, itself included; `undefined` where none is known. */
  last(untilMs: number): number | undefined;
  /** Nobody asks for those until then any more. */
  forget(untilMs: number): void;
  /** Emits when there may be another next one; completes when there will be none but those that are known. */
  readonly added$: Observable<void>;
}

/** Dates that are given while others wait for them. */
export interface GivenDates extends Occurrences {
  add(date: unknown): void;
  end(): void;
}

const LONGEST_PERIOD_MS = 2 ** 42;

/** The beginning of 1970 is the epoch of all periods: so all processes have the same ticks, whenever they were started. */
export function periodOf(everyMs: number): Occurrences {
  return {
    next: (afterMs) => (Math.floor(afterMs / everyMs) + 1) * everyMs,
    last: (untilMs) => Math.floor(untilMs / everyMs) * everyMs,
    forget: () => undefined,
    added$: EMPTY,
  };
}

export function cronOf(expression: string, timeZone: string): Occurrences {
  const cron = new Cron(expression, { timezone: timeZone, paused: true });
  return {
    next: (afterMs) => cron.nextRun(new Date(afterMs))?.getTime(),
    // Those before the next full second: a cron expression knows no parts of one.
    last: (untilMs) => cron.previousRuns(1, new Date(Math.floor(untilMs / 1_000) * 1_000 + 1_000))[0]?.getTime(),
    forget: () => undefined,
    added$: EMPTY,
  };
}

/** Those that lie further back than `keptMs` are forgotten as others come, but for the latest. */
export function givenDates(nowMs: () => number, keptMs: number): GivenDates {
  /** In order. */
  const dates: number[] = [];
  const added = new Subject<void>();
  /** How many are not later than that. */
  const countUntil = (ms: number): number => {
    let [least, most] = [0, dates.length];
    while (least < most) {
      const middle = (least + most) >>> 1;
      if ((dates[middle] as number) > ms) most = middle;
      else least = middle + 1;
    }
    return least;
  };
  return {
    next: (afterMs) => dates[countUntil(afterMs)],
    last: (untilMs) => dates[countUntil(untilMs) - 1],
    forget: (untilMs) => {
      dates.splice(0, countUntil(untilMs));
    },
    add: (date) => {
      const at = date instanceof Date ? date.getTime() : Number.NaN;
      if (Number.isNaN(at)) throw new InvalidOptions([`when must emit dates, but emits ${shown(date)}`]);
      // One by one they may come by the thousand, so they are not sorted anew.
      dates.splice(0, countUntil(Math.min(nowMs() - keptMs, dates.at(-1) ?? at) - 1));
      const place = countUntil(at);
      if (dates[place - 1] !== at) dates.splice(place, 0, at);
      added.next();
    },
    end: () => added.complete(),
    added$: added,
  };
}

/** One sentence for each thing that is wrong with `when` and the zone it is read in. */
export function violationsOfWhen(when: unknown, timeZone: unknown): string[] {
  if (isObservable(when) || isPeriod(when))
    return timeZone === undefined ? [] : ['timeZone needs a cron expression: a period and dates have no zone'];
  if (typeof when !== 'string') {
    const period = `{ everyMs }, a whole number from 1 to ${LONGEST_PERIOD_MS}`;
    return [`when must be a cron expression, ${period}, or an Observable of dates, but is ${shownWhen(when)}`];
  }
  if (timeZone !== undefined && !isTimeZone(timeZone))
    return [`timeZone must be a zone of the IANA database, such as 'Europe/Berlin', but is ${shown(timeZone)}`];
  // The parser takes a date for an expression, too.
  if (/^\s*\d{4}-/.test(when)) return [`when must be a cron expression, but is a date: ${shown(when)}`];
  try {
    if (cronOf(when, 'UTC').next(0) !== undefined) return [];
    return [`when must be a cron expression with at least one date, but ${shown(when)} has none`];
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return [`when must be a cron expression, but is ${shown(when)}: ${reason}`];
  }
}

function isPeriod(when: unknown): when is { readonly everyMs: number } {
  if (typeof when !== 'object' || when === null || Object.keys(when).join() !== 'everyMs') return false;
  const { everyMs }: { everyMs?: unknown } = when;
  return Number.isInteger(everyMs) && Number(everyMs) >= 1 && Number(everyMs) <= LONGEST_PERIOD_MS;
}

function shownWhen(when: unknown): string {
  if (typeof when !== 'object' || when === null) return shown(when);
  const fields = Object.entries(when).map(([name, value]) => `${name}: ${shown(value)}`);
  return `{ ${fields.join(', ')} }`;
}

function isTimeZone(zone: unknown): zone is string {
  if (typeof zone !== 'string') return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}
