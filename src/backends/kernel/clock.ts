import { asyncScheduler } from 'rxjs';
import type { ClockLike } from '../backend.js';

/** Monotonic time for everything that waits. */
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
    this.#marks.push({ atMs: this.clock.now(), leastAheadMs: this.#look() });
  }

  /** Since `sinceMs` by the monotonic clock, which lies at or after a mark; from that mark on. */
  aheadMs(sinceMs: number): number {
    const aheadMs = this.#look();
    return Math.max(0, aheadMs - this.#leastSince(sinceMs));
  }

  /** By how much wall time was ahead since then, at least: a clock that was set back meanwhile hides nothing that came later. */
  leastAheadMs(sinceMs: number): number {
    this.#look();
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
    return Math.min(...this.#marks.slice(this.#lastMarkBefore(sinceMs)).map(({ leastAheadMs }) => leastAheadMs));
  }

  #lastMarkBefore(sinceMs: number): number {
    return Math.max(
      0,
      this.#marks.findLastIndex(({ atMs }) => atMs <= sinceMs),
    );
  }

  #look(): number {
    const aheadMs = (this.clock.wallNow?.() ?? this.clock.now()) - this.clock.now();
    const last = this.#marks.at(-1);
    if (last !== undefined) last.leastAheadMs = Math.min(last.leastAheadMs, aheadMs);
    return aheadMs;
  }
}
