import { isKind, type Roster } from '../history.js';
import { type Interval, nsToMs, overlap, total, without } from '../intervals.js';
import { compare, type Held, type Reading, type Violation } from './reading.js';

/** How often too many held at once: not excused, or because one of them did not run. */
export interface Exclusion {
  readonly violations: readonly Violation[];
  readonly overlaps: number;
  /** Overlaps of somebody who was stopped, or whose event loop was blocked, all along. */
  readonly excusedOverlaps: number;
  readonly longestOverlapMs: number;
}

/** At no instant more hold the same than each of them allows, except those that do not run. */
export function checkExclusion(reading: Reading): Exclusion {
  const violations: Violation[] = [];
  let excusedOverlaps = 0;
  let longest = 0n;
  for (const held of reading.held.values()) {
    let active: Held[] = [];
    for (const next of held) {
      active = active.filter(({ end }) => end.at > next.acquired.at);
      const all = crowded(next, active, () => []);
      const inexcusable = all.length === 0 ? [] : crowded(next, active, reading.stops);
      if (all.length > 0 && inexcusable.length === 0) excusedOverlaps += 1;
      if (inexcusable.length > 0) {
        const ns = total(inexcusable);
        if (ns > longest) longest = ns;
        violations.push({
          claim: 'exclusion',
          at: inexcusable[0]?.from ?? next.acquired.at,
          message:
            `${next.roster}: ${[...active, next].map(who).join(' and ')} held it together for ${nsToMs(ns)} ms ` +
            `(${nsToMs(total(all))} ms with what is excused)`,
        });
      }
      active.push(next);
    }
  }
  return { violations, overlaps: violations.length, excusedOverlaps, longestOverlapMs: nsToMs(longest) };
}

/** When `next` runs and holds beside more of the others, or others of another kind, than one of them allows. */
function crowded(next: Held, others: readonly Held[], stops: Reading['stops']): Interval[] {
  if (others.length < leastPermits([next, ...others])) return [];
  const running = (held: Held) => ({ held, spans: without(spanOf(held), stops(held.process)) });
  const beside = others.map(running);
  return running(next).spans.flatMap((mine) => {
    const inside = beside.flatMap(({ spans }) => spans.flatMap((span) => overlap(span, mine) ?? []));
    const bounds = [mine.from, mine.to, ...inside.flatMap(({ from, to }) => [from, to])].sort(compare);
    return bounds.flatMap((from, at): Interval[] => {
      const to = bounds[at + 1] ?? from;
      if (from === to) return [];
      const present = beside.filter(({ spans }) => spans.some((span) => span.from <= from && to <= span.to));
      const holding = [next, ...present.map(({ held }) => held)];
      return holding.length > leastPermits(holding) ? [{ from, to }] : [];
    });
  });
}

function leastPermits(holding: readonly Held[]): number {
  return Math.min(...holding.map(({ permits }) => permits));
}

/**
 * Tokens strictly grow in the order of admission. Those who hold it together may be told in any order, and one that was stopped
 * between being told and writing it down has written it down late.
 */
export function checkTokenOrder(reading: Reading): Violation[] {
  const violations: Violation[] = [];
  for (const held of reading.held.values()) {
    const greatest = new GreatestBefore();
    for (const next of held) {
      const before = greatest.of(next);
      const { at, token } = next.acquired;
      const isLate = reading.stops(next.process).some(({ from, to }) => from < at && at < to);
      if (before !== undefined && token <= before.acquired.token) {
        if (isLate && token < before.acquired.token) continue;
        violations.push({
          claim: 'token order',
          at: next.acquired.at,
          message: `${next.roster}: ${who(next)} was admitted after ${who(before)}`,
        });
      } else greatest.add(next);
    }
  }
  return violations;
}

/** Of those who were admitted by then, who has the greatest token: of all, and of those who hold alone. */
class GreatestBefore {
  #all: Held | undefined;
  #alone: Held | undefined;

  add(held: Held): void {
    this.#all = greater(this.#all, held);
    if (held.permits === 1) this.#alone = greater(this.#alone, held);
  }

  /** Of those beside whom it must not hold, however many permits there are. */
  of({ permits }: Pick<Held, 'permits'>): Held | undefined {
    return permits === 1 ? this.#all : this.#alone;
  }

  copy(): GreatestBefore {
    const copy = new GreatestBefore();
    copy.#all = this.#all;
    copy.#alone = this.#alone;
    return copy;
  }
}

function greater(before: Held | undefined, next: Held): Held {
  return before !== undefined && before.acquired.token > next.acquired.token ? before : next;
}

/**
 * Guarded work is done by who holds, and never by who held before somebody else: nothing excuses that. A process that
 * was stopped and goes on to work without having seen its loss is found here.
 */
export function checkWork(reading: Reading): Violation[] {
  const violations: Violation[] = [];
  const byHolding = new Map<string, Held>();
  const order = new Map<Roster, { readonly at: readonly bigint[]; readonly greatest: readonly GreatestBefore[] }>();
  for (const [roster, held] of reading.held) {
    const greatest: GreatestBefore[] = [];
    const soFar = new GreatestBefore();
    for (const next of held) {
      byHolding.set(next.holding, next);
      soFar.add(next);
      greatest.push(soFar.copy());
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
    const latest = line?.greatest[countUpTo(line.at, item.at) - 1]?.of(mine);
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
