import { isKind, type Roster } from '../history.js';
import { type Interval, nsToMs, overlap, total, without } from '../intervals.js';
import type { Held, Reading, Violation } from './reading.js';

/** How often two held at once: not excused, or because one of them did not run. */
export interface Exclusion {
  readonly violations: readonly Violation[];
  readonly overlaps: number;
  /** Overlaps of somebody who was stopped, or whose event loop was blocked, all along. */
  readonly excusedOverlaps: number;
  readonly longestOverlapMs: number;
}

/** At no instant two hold the same, except one that does not run. */
export function checkExclusion(reading: Reading): Exclusion {
  const violations: Violation[] = [];
  let excusedOverlaps = 0;
  let longest = 0n;
  for (const held of reading.held.values()) {
    let active: Held[] = [];
    for (const next of held) {
      active = active.filter(({ end }) => end.at > next.acquired.at);
      for (const earlier of active) {
        const both = overlap(spanOf(earlier), spanOf(next));
        if (both === undefined) continue;
        const inexcusable = without(both, [...reading.stops(earlier.process), ...reading.stops(next.process)]);
        if (inexcusable.length === 0) {
          excusedOverlaps += 1;
          continue;
        }
        const ns = total(inexcusable);
        if (ns > longest) longest = ns;
        violations.push({
          claim: 'exclusion',
          at: inexcusable[0]?.from ?? both.from,
          message:
            `${next.roster}: ${who(earlier)} and ${who(next)} both held it for ${nsToMs(ns)} ms ` +
            `(${nsToMs(total([both]))} ms with what is excused)`,
        });
      }
      active.push(next);
    }
  }
  return { violations, overlaps: violations.length, excusedOverlaps, longestOverlapMs: nsToMs(longest) };
}

/** Tokens strictly grow in the order of admission. */
export function checkTokenOrder(reading: Reading): Violation[] {
  const violations: Violation[] = [];
  for (const held of reading.held.values()) {
    let greatest: Held | undefined;
    for (const next of held) {
      if (greatest !== undefined && next.acquired.token <= greatest.acquired.token)
        violations.push({
          claim: 'token order',
          at: next.acquired.at,
          message: `${next.roster}: ${who(next)} was admitted after ${who(greatest)}`,
        });
      else greatest = next;
    }
  }
  return violations;
}

/**
 * Guarded work is done by who holds, and never by who held before somebody else: nothing excuses that. A process that
 * was stopped and goes on to work without having seen its loss is found here.
 */
export function checkWork(reading: Reading): Violation[] {
  const violations: Violation[] = [];
  const byHolding = new Map<string, Held>();
  const order = new Map<Roster, { readonly at: readonly bigint[]; readonly greatest: readonly Held[] }>();
  for (const [roster, held] of reading.held) {
    const greatest: Held[] = [];
    for (const next of held) {
      byHolding.set(next.holding, next);
      const before = greatest.at(-1);
      greatest.push(before !== undefined && before.acquired.token > next.acquired.token ? before : next);
    }
    order.set(roster, { at: held.map(({ acquired }) => acquired.at), greatest });
  }
  for (const item of reading.history.filter(isKind('worked'))) {
    const mine = byHolding.get(item.holding);
    const found = (why: string): void => {
      violations.push({
        claim: 'stale work',
        at: item.at,
        message: `${item.roster}: ${item.process} worked with token ${item.token} ${why}`,
      });
    };
    if (mine === undefined) {
      found('that it never acquired');
      continue;
    }
    if (item.at > mine.end.at) found(`${nsToMs(item.at - mine.end.at)} ms after it was ${mine.end.how}`);
    const line = order.get(item.roster);
    const latest = line?.greatest[countUpTo(line.at, item.at) - 1];
    if (latest !== undefined && latest.acquired.token > item.token)
      found(`${nsToMs(item.at - latest.acquired.at)} ms after ${who(latest)} had acquired it`);
  }
  return violations;
}

/** How many of the ordered instants are not later than `at`. */
function countUpTo(instants: readonly bigint[], at: bigint): number {
  let low = 0;
  let high = instants.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((instants[middle] ?? 0n) <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

function spanOf({ acquired, end }: Held): Interval {
  return { from: acquired.at, to: end.at };
}

function who({ process, holding, acquired }: Held): string {
  return `${process} (${holding}, token ${acquired.token})`;
}
