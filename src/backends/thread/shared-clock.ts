/*
 * `performance.now` begins anew in each thread, and `process.hrtime` does not: it is one monotonic clock for the whole
 * process. Between the two lies what is measured here once, and what the measuring took counts against whoever relies on it.
 */

/** How far `process.hrtime` is ahead of `performance.now` in this thread: no less than the one, and no more than the other. */
const apart = closest();

function closest(): { readonly leastMs: number; readonly mostMs: number } {
  const tries = Array.from({ length: 8 }, () => {
    const before = performance.now();
    const shared = sharedNow();
    const after = performance.now();
    return { leastMs: shared - after, mostMs: shared - before };
  });
  return tries.reduce((best, each) => (each.mostMs - each.leastMs < best.mostMs - best.leastMs ? each : best));
}

/** Monotonic milliseconds, the same in all threads of the process. */
export function sharedNow(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** A moment of this thread's clock, for all threads: not later than it was. */
export function toShared(ms: number): number {
  return ms + apart.leastMs;
}

/** A moment that another thread has told, by this thread's clock: not later than it was. */
export function fromShared(ms: number): number {
  return ms - apart.mostMs;
}

/** By how much wall time is ahead of this thread's clock, for all threads: not more than it is. */
export function aheadToShared(ms: number): number {
  return ms - apart.mostMs;
}

/** By how much wall time is ahead of this thread's clock, as another has told: not more than it is. */
export function aheadFromShared(ms: number): number {
  return ms + apart.leastMs;
}
