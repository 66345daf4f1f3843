import { asyncScheduler } from 'rxjs';
import type { ClockLike } from '../backend.js';

/** Monotonic time for everything that waits. Looked up each time, since tests put another one in its place. */
export const monotonicScheduler: ClockLike = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  schedule: asyncScheduler.schedule.bind(asyncScheduler),
};

/**
 * Tells how far wall time has run ahead of monotonic time since a moment in the past: a suspended machine, or a clock set
 * forward. It knows the moments that were marked, and is told which of them are asked for no more.
 */
export class SuspendWatch {
  readonly #marks: { readonly atMs: number; leastAheadMs: number }[] = [];

  constructor(private readonly clock: ClockLike) {
    this.mark();
  }

  /** Something is sent now whose moment may be asked for. */
  mark(): void {
    const atMs = this.clock.now();
    this.#marks.push({ atMs, leastAheadMs: this.#look(atMs) });
  }

  /** Since `sinceMs` by the monotonic clock, which lies at or after a mark; from that mark on. */
  aheadMs(sinceMs: number, nowMs: number = this.clock.now()): number {
    const aheadMs = this.#look(nowMs);
    return Math.max(0, aheadMs - this.#leastSince(sinceMs));
  }

  /** By how much wall time was ahead since then, at least: a clock that was set back meanwhile hides nothing that came later. */
  leastAheadMs(sinceMs: number): number {
    this.#look(this.clock.now());
    return this.#leastSince(sinceMs);
  }

  /** Somebody else, by the same clock, has marked this moment, and looked since. */
  learn(atMs: number, leastAheadMs: number): void {
    const later = this.#marks.findIndex((mark) => mark.atMs > atMs);
    this.#marks.splice(later < 0 ? this.#marks.length : later, 0, { atMs, leastAheadMs });
  }

  /** Nothing before `sinceMs` is asked for any more. */
  forgetBefore(sinceMs: number): void {
    this.#marks.splice(0, this.#lastMarkBefore(sinceMs));
  }

  #leastSince(sinceMs: number): number {
    let leastMs = Number.POSITIVE_INFINITY;
    for (let at = this.#lastMarkBefore(sinceMs); at < this.#marks.length; at++)
      leastMs = Math.min(leastMs, this.#marks[at]?.leastAheadMs ?? leastMs);
    return leastMs;
  }

  /** A gate asks this for each item: it calls nothing. */
  #lastMarkBefore(sinceMs: number): number {
    let at = this.#marks.length - 1;
    while (at > 0 && (this.#marks[at]?.atMs ?? 0) > sinceMs) at--;
    return Math.max(0, at);
  }

  /** The wall clock is read after the other: what passes in between counts. */
  #look(nowMs: number): number {
    const aheadMs = (this.clock.wallNow?.() ?? nowMs) - nowMs;
    const last = this.#marks[this.#marks.length - 1];
    if (last !== undefined && aheadMs < last.leastAheadMs) last.leastAheadMs = aheadMs;
    return aheadMs;
  }
}
