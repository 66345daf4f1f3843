import { asapScheduler, asyncScheduler, type SchedulerLike } from 'rxjs';
import { type Expectation, objectWith } from './expectations.js';

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

/** What `now` of RxJS's own schedulers is, except for the virtual ones: the time of day. A test kit may replace that of one. */
const timeOfDay = asapScheduler.now;

const [, isScheduler] = objectWith('now', 'schedule');

/** Where time may come from. A time of day that is set would move deadlines. */
export const CLOCK: Expectation = [
  "an object with the methods now and schedule whose time is monotonic or virtual, and not one of RxJS's schedulers that go by the time of day (leave it out for the monotonic clock of the process)",
  (value) => isScheduler(value) && (value as SchedulerLike).now !== timeOfDay,
];

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
