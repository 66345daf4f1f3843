import { type EventOf, isKind } from '../history.js';
import { nsToMs, total, without } from '../intervals.js';
import { compare, type Reading, type Violation } from './reading.js';

/** What became of the ticks of one schedule. */
export interface Ticking {
  readonly schedule: string;
  readonly ticks: number;
  readonly begunTwice: number;
  readonly neverDone: number;
  /** From the beginning of one to that of the next, whichever it was, while the store could be reached. */
  readonly longestGapMs: number;
}

/**
 * Each tick is begun once, or, where it is repeated, again with a greater token; and none is lost then, but for the last ones. One
 * begins within `limitMs` of when the first one is due that has not begun, and as much later as the store could not be reached.
 */
export function checkTicks(reading: Reading, limitMs: number): { violations: Violation[]; ticking: Ticking[] } {
  const violations: Violation[] = [];
  const ticking: Ticking[] = [];
  const schedules = new Map(reading.history.filter(isKind('scheduled')).map((event) => [event.schedule, event]));
  for (const { schedule, everyMs, isRepeated } of schedules.values()) {
    const begun = new Map<number, EventOf<'tick began'>[]>();
    for (const event of reading.history.filter(isKind('tick began')))
      if (event.schedule === schedule) begun.set(event.tick, [...(begun.get(event.tick) ?? []), event]);
    const done = new Set(
      reading.history.flatMap((event) =>
        event.kind === 'tick ended' && event.schedule === schedule ? [event.tick] : [],
      ),
    );
    const found: Violation[] = [];
    for (const events of begun.values()) found.push(...again(events, isRepeated));
    const all = [...begun.values()].flat().sort((a, b) => compare(a.at, b.at));
    const gaps = all.slice(1).map((event, i) => ({ event, ms: gapBefore(event, all[i] ?? event, reading) }));
    for (const { event, ms } of gaps)
      if (ms > limitMs + everyMs) {
        const message = `${schedule}: ${event.process} began tick ${event.tick} ${ms} ms after the one before`;
        found.push({ claim: 'late tick', at: event.at, message });
      }
    const ticks = [...begun.keys()].sort((a, b) => a - b);
    const [first = 0, last = 0] = [ticks[0], ticks.at(-1)];
    const due = Array.from({ length: Math.max(0, (last - first) / everyMs) }, (_, i) => first + i * everyMs);
    const lost = isRepeated ? due.filter((tick) => !done.has(tick)) : [];
    for (const tick of lost)
      found.push({ claim: 'lost tick', at: reading.endAt, message: `${schedule}: tick ${tick} was never done` });
    violations.push(...found);
    ticking.push({
      schedule,
      ticks: ticks.length,
      begunTwice: [...begun.values()].filter(({ length }) => length > 1).length,
      neverDone: due.filter((tick) => !done.has(tick)).length,
      longestGapMs: Math.round(gaps.reduce((most, { ms }) => Math.max(most, ms), 0)),
    });
  }
  return { violations, ticking };
}

function again(events: readonly EventOf<'tick began'>[], isRepeated: boolean): Violation[] {
  return events.flatMap(({ schedule, tick, process, token, at }, i): Violation[] => {
    const before = events[i - 1];
    if (before === undefined) return [];
    const what = `${schedule}: ${process} began tick ${tick}, which ${before.process} had begun`;
    if (!isRepeated) return [{ claim: 'tick begun twice', at, message: what }];
    if (token > before.token) return [];
    return [{ claim: 'tick begun twice', at, message: `${what} with token ${before.token}, with ${token}` }];
  });
}

/** Without the time in which nobody could reach the store. */
function gapBefore({ at }: EventOf<'tick began'>, before: EventOf<'tick began'>, reading: Reading): number {
  const gap = { from: before.at, to: at };
  return nsToMs(total(without(gap, reading.cuts())));
}
