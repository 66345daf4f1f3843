/** From one instant to another, in nanoseconds. */
export interface Interval {
  readonly from: bigint;
  readonly to: bigint;
}

export const msToNs = (ms: number): bigint => BigInt(Math.round(ms * 1_000_000));
export const nsToMs = (ns: bigint): number => Number(ns) / 1_000_000;
export const later = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const earlier = (a: bigint, b: bigint): bigint => (a < b ? a : b);

export function overlap(a: Interval, b: Interval): Interval | undefined {
  const both = { from: later(a.from, b.from), to: earlier(a.to, b.to) };
  return both.from < both.to ? both : undefined;
}

/** The same instants, as few intervals as possible, in order. */
export function union(intervals: Iterable<Interval>): Interval[] {
  const merged: { from: bigint; to: bigint }[] = [];
  for (const { from, to } of [...intervals].sort((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0))) {
    const last = merged.at(-1);
    if (last !== undefined && from <= last.to) last.to = later(last.to, to);
    else merged.push({ from, to });
  }
  return merged;
}

/** What is left of `whole` without `holes`. */
export function without(whole: Interval, holes: Iterable<Interval>): Interval[] {
  const rest: Interval[] = [];
  let { from } = whole;
  for (const hole of union(holes)) {
    if (hole.to <= from || hole.from >= whole.to) continue;
    if (hole.from > from) rest.push({ from, to: hole.from });
    from = later(from, hole.to);
  }
  if (from < whole.to) rest.push({ from, to: whole.to });
  return rest;
}

export function total(intervals: Iterable<Interval>): bigint {
  let sum = 0n;
  for (const { from, to } of intervals) sum += to - from;
  return sum;
}
