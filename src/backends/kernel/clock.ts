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
    const from = this.#lastMarkBefore(sinceMs);
    // From where it was least: a clock that was set back meanwhile hides nothing that came later.
    const leastMs = Math.min(...this.#marks.slice(from).map(({ leastAheadMs }) => leastAheadMs));
    return Math.max(0, aheadMs - leastMs);
  }

  /** Nothing before `sinceMs` is asked for any more. */
  forgetBefore(sinceMs: number): void {
    this.#marks.splice(0, this.#lastMarkBefore(sinceMs));
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
