import { type SchedulerAction, type SchedulerLike, type Subscription, VirtualTimeScheduler } from 'rxjs';
import { expect, test } from 'vitest';
import { memory } from '../../src/backends/memory/index.js';
import { MemoryStore } from '../../src/backends/memory/memory-store.js';
import { lock } from '../../src/observables/locks/lock.js';

/** Timers of the platform may fire before the clock shows what they were set to. */
class EarlyTimers implements SchedulerLike {
  readonly time = new VirtualTimeScheduler();

  now(): number {
    return this.time.now();
  }

  schedule<T>(work: (this: SchedulerAction<T>, state?: T) => void, delayMs = 0, state?: T): Subscription {
    return this.time.schedule(work, Math.max(0, delayMs - (delayMs > 1 ? 0.4 : 0)), state);
  }
}

test('EarlyTimer: who waits for a store that lost its data is admitted, though the timer for that is early', () => {
  const scheduler = new EarlyTimers();
  const store = new MemoryStore(scheduler);
  const backend = memory({ store, scheduler, ttlMs: 1_000 });
  const admitted: number[] = [];
  lock(backend, 'first')
    .subscribe({ error: () => undefined })
    .unsubscribe();
  store.start({ keepData: false });
  const waiting = lock(memory({ store, scheduler, ttlMs: 1_000 }), 'second').subscribe(() => {
    admitted.push(scheduler.now());
  });
  scheduler.time.maxFrames = 3_000;
  scheduler.time.flush();
  waiting.unsubscribe();
  expect(admitted).toHaveLength(1);
  expect(admitted[0]).toBeGreaterThanOrEqual(1_000);
});
