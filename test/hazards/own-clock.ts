import type { SchedulerLike } from 'rxjs';
import type { ClockLike } from '../../src/backends/backend.js';

/** One process's view of the time that all of them share. */
export class OwnClock implements ClockLike {
  /** How far this one's monotonic clock is ahead: raised, the loop was blocked for so long. */
  aheadMs = 0;
  /** How far its wall clock is ahead of that. */
  wallAheadMs = 0;
  readonly schedule: SchedulerLike['schedule'];

  constructor(private readonly time: SchedulerLike) {
    this.schedule = time.schedule.bind(time);
  }

  now(): number {
    return this.time.now() + this.aheadMs;
  }

  wallNow(): number {
    return this.now() + this.wallAheadMs;
  }
}
