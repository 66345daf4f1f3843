import { asyncScheduler, type SchedulerLike } from 'rxjs';
import type { World } from './simulated-process.js';

/**
 * While `act` runs, RxJS's default scheduler takes its time from the simulation: what a process starts belongs to that
 * process, and waits while it is paused. So `interval(1_000)` needs no scheduler.
 *
 * RxJS has one default scheduler, and replaces its time in the same way while a TestScheduler runs.
 */
export function withPlainTimers<T>(world: World, act: () => T): T {
  const { schedule, now } = asyncScheduler;
  const here = (): SchedulerLike => world.current?.clock ?? world.scheduler;
  asyncScheduler.schedule = (work, delay, state) => here().schedule(work, delay, state);
  asyncScheduler.now = () => here().now();
  try {
    return act();
  } finally {
    asyncScheduler.schedule = schedule;
    asyncScheduler.now = now;
  }
}
