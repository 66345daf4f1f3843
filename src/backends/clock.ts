import { asyncScheduler, type SchedulerLike } from 'rxjs';

/** A scheduler that may also know the wall clock, which runs on while a suspended machine's monotonic clock stands. */
export interface ClockLike extends SchedulerLike {
  wallNow?(): number;
}

/** Monotonic time for everything that waits. */
export const monotonicScheduler: ClockLike = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  schedule: asyncScheduler.schedule.bind(asyncScheduler),
};

/** Sees when wall time has run ahead of monotonic time since the last look: a suspended machine, or a clock set forward. */
export function suspendWatch(clock: ClockLike): () => number {
  const wallNow = (): number => clock.wallNow?.() ?? clock.now();
  let wall = wallNow();
  let monotonic = clock.now();
  return () => {
    const wallThen = wall;
    const monotonicThen = monotonic;
    wall = wallNow();
    monotonic = clock.now();
    return wall - wallThen - (monotonic - monotonicThen);
  };
}
