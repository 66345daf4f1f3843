import { ANY, type Roster } from '../history.js';
import { type Interval, later, msToNs, nsToMs, total, without } from '../intervals.js';
import { compare, type Held, type Reading, type Violation } from './reading.js';

/** How long a line stood without a holder while somebody waited. */
export interface Gap {
  readonly roster: Roster;
  /** What became of the holder before. */
  readonly after: 'killed' | 'stopped' | 'lost' | 'released';
  /** The clock starts when the store can be reached again, by everybody and by whoever comes next. */
  readonly ms: number;
}

export interface Liveness {
  readonly violations: readonly Violation[];
  readonly gaps: readonly Gap[];
}

/** Shorter than that a stop costs no session: it delays whoever waits by no more than itself. */
const shortStop = msToNs(250);

/**
 * Whoever is next is admitted within `limitMs` of the end of the one before, or of the end of somebody between the two
 * in line who never came to hold: of each the store only learns when its session ends. After an outage the clock starts
 * when the store can be reached again, since then sessions end that it could not end before.
 */
export function checkLiveness(reading: Reading, limitMs: number): Liveness {
  const gaps: Gap[] = [];
  const violations: Violation[] = [];
  for (const [roster, held] of reading.held) {
    const { starts: obstacles, delays } = obstaclesIn(roster, reading);
    const isShared = held.some(({ permits }) => permits !== 1);
    for (const [index, next] of held.entries()) {
      const last = held[index - 1];
      if (last === undefined) continue;
      const end = isShared ? roomFor(next, held.slice(0, index), reading) : endOf(last, next, reading);
      const gone = (next.permits === ANY ? withdrawn(roster, reading) : []).filter((at) => at < next.acquired.at);
      const began = gone.reduce(later, later(end.at, next.contendingAt));
      if (began >= next.acquired.at) continue;
      const ms = inPeace(began, next.acquired.at, obstacles, (interval) => {
        const from = later(interval.from, outageEndBefore(interval.to, next.process, reading));
        return nsToMs(reachable({ ...interval, from }, next.process, reading, delays));
      });
      gaps.push({ roster, after: end.after, ms });
      if (ms <= limitMs) continue;
      violations.push({
        claim: 'liveness',
        at: next.acquired.at,
        message: `${roster}: ${next.process} was admitted ${ms} ms after ${end.of} was ${end.after}`,
      });
    }
  }
  return { violations: [...violations, ...forgotten(reading, limitMs)], gaps };
}

/** The longest time in which nothing of what excuses a wait began: what comes after the limit does not excuse it. */
function inPeace(from: bigint, to: bigint, excuses: readonly bigint[], msOf: (interval: Interval) => number): number {
  const bounds = [from, ...excuses.filter((at) => from < at && at < to).sort(compare), to];
  return bounds.slice(1).reduce((most, bound, i) => Math.max(most, msOf({ from: bounds[i] ?? from, to: bound })), 0);
}

/** The end, of those beside whom `next` cannot hold, since which there was room for it all along. */
function roomFor(next: Held, earlier: readonly Held[], reading: Reading): End {
  const limit = next.permits === ANY ? 1 : next.permits;
  const beside = earlier
    .filter(({ permits }) => next.permits !== ANY || permits === 1)
    .map((held) => ({ from: held.acquired.at, end: endOf(held, next, reading) }));
  const holding = (at: bigint): number => beside.filter(({ from, end }) => from < at && at <= end.at).length;
  const ended = beside.map(({ end }) => end).filter(({ at }) => next.contendingAt < at && at <= next.acquired.at);
  const made = ended.filter(({ at }) => holding(at) >= limit).sort((a, b) => compare(b.at, a.at));
  return made[0] ?? { of: next.process, at: next.contendingAt, after: 'released' };
}

/** When those went who wanted to hold it alone: readers behind them need not wait for them any more. */
function withdrawn(roster: Roster, { holdings }: Reading): bigint[] {
  return holdings
    .filter((one) => one.roster === roster && one.permits === 1 && one.end.how === 'withdrew')
    .map(({ end }) => end.at);
}

/** Whoever stands in a line without a holder when the history ends has not stood there for long. */
function forgotten(reading: Reading, limitMs: number): Violation[] {
  return [...new Set(reading.holdings.map(({ roster }) => roster))].flatMap((roster): Violation[] => {
    const held = reading.held.get(roster) ?? [];
    const waiting = reading.holdings.filter(
      (one) => one.roster === roster && one.acquired === undefined && isPatient(one.end.how),
    );
    // They may all have been told to go at the end: the first to go is where the waiting ended.
    const until = waiting.map(({ end }) => end.at).sort(compare)[0];
    if (until === undefined || held.some(({ end }) => end.how === 'open' && end.at >= until)) return [];
    const last = held.reduce((at, { end }) => later(at, end.at), 0n);
    const { starts: obstacles, delays } = obstaclesIn(roster, reading);
    const obstacle = obstacles.reduce(later, last);
    const waits = waiting
      .filter(({ contendingAt }) => contendingAt < until)
      .map((one) => {
        const from = later(later(obstacle, one.contendingAt), outageEndBefore(until, one.process, reading));
        return reachable({ from, to: until }, one.process, reading, delays);
      });
    const ms = nsToMs(waits.reduce(later, 0n));
    if (ms <= limitMs) return [];
    return [{ claim: 'liveness', at: until, message: `${roster}: nobody was admitted for ${ms} ms, and some waited` }];
  });
}

interface Obstacles {
  readonly starts: readonly bigint[];
  readonly delays: readonly Interval[];
}

/** When those who stood in this line and did not hold were stopped, cut off, or killed; and when they were stopped for a moment. */
function obstaclesIn(roster: Roster, { holdings, died, stops, cuts }: Reading): Obstacles {
  const forAll = new Set(cuts().map(({ from }) => from));
  const isShort = ({ from, to }: Interval): boolean => to - from < shortStop;
  const line = holdings.filter((one) => one.roster === roster);
  const starts = line.flatMap(({ process, contendingAt, acquired, end }) => {
    const until = acquired?.at ?? end.at;
    const long = stops(process).filter((stop) => !isShort(stop));
    const broken = [...long, ...cuts(process)].map(({ from }) => from).filter((at) => !forAll.has(at));
    const death = died.get(process);
    return [...broken, ...(death === undefined ? [] : [death])].filter((at) => contendingAt <= at && at <= until);
  });
  const waiting = new Set(line.map(({ process }) => process));
  return { starts, delays: [...waiting].flatMap((process) => stops(process).filter(isShort)) };
}

function isPatient(how: Held['end']['how']): boolean {
  return how === 'open' || how === 'withdrew';
}

interface End {
  readonly of: string;
  readonly at: bigint;
  readonly after: Gap['after'];
}

function endOf(before: Held, next: Held, { stops }: Reading): End {
  const of = before.process;
  const stop = stops(before.process).find(({ from, to }) => from <= next.acquired.at && next.acquired.at <= to);
  // Somebody who does not run learns of the end of its holding later than who comes next is admitted.
  if (before.end.at > next.acquired.at && stop !== undefined) return { of, at: stop.from, after: 'stopped' };
  const { at, how } = before.end;
  return { of, at, after: how === 'open' || how === 'withdrew' ? 'released' : how };
}

function outageEndBefore(at: bigint, process: string, { cuts }: Reading): bigint {
  return cuts(process).reduce((latest, { to }) => (to <= at ? later(latest, to) : latest), 0n);
}

function reachable(interval: Interval, process: string, { cuts, stops }: Reading, delays: readonly Interval[]): bigint {
  if (interval.from >= interval.to) return 0n;
  return total(without(interval, [...cuts(process), ...stops(process), ...delays]));
}
