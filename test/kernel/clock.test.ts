import { animationFrameScheduler, asapScheduler, asyncScheduler, queueScheduler, VirtualTimeScheduler } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { describe, expect, it } from 'vitest';
import { monotonicScheduler, SuspendWatch } from '../../src/backends/kernel/clock.js';
import { MemoryStore, memory } from '../../src/backends/memory/index.js';
import { connect } from '../../src/connect.js';
import { leadership } from '../../src/observables/elections/leadership.js';
import { ManualTime, sessionIdOf } from '../support/virtual-time.js';

describe('monotonicScheduler', () => {
  it('tells monotonic time, and wall time besides', () => {
    const [before, wallBefore] = [performance.now(), Date.now()];
    expect(monotonicScheduler.now()).toBeGreaterThanOrEqual(before);
    expect(monotonicScheduler.now()).toBeLessThanOrEqual(performance.now());
    expect(monotonicScheduler.wallNow?.()).toBeGreaterThanOrEqual(wallBefore);
    expect(monotonicScheduler.wallNow?.()).toBeLessThanOrEqual(Date.now());
  });

  it('schedules', async () => {
    await expect(new Promise((resolve) => monotonicScheduler.schedule(() => resolve('ran'), 0))).resolves.toBe('ran');
  });
});

describe('the scheduler of a backend', () => {
  it.each(Object.entries({ asyncScheduler, asapScheduler, queueScheduler, animationFrameScheduler }))(
    'is not %s, whose time of day may be set: deadlines would move with it',
    (_, scheduler) => {
      expect(() => memory({ scheduler })).toThrow(/scheduler must be .* monotonic or virtual/);
      expect(() => connect('redis://127.0.0.1', { scheduler })).toThrow(
        expect.objectContaining({ _tag: 'InvalidOptions' }),
      );
    },
  );

  it('may be virtual, in and outside of run', () => {
    const outside = new TestScheduler(() => undefined);
    const log: unknown[] = [];
    const backend = memory({ scheduler: outside, ttlMs: 100 });
    backend.session$.subscribe(({ state }) => log.push([outside.now(), state]));
    const store = new MemoryStore(outside);
    const cut = memory({ scheduler: outside, ttlMs: 100, store });
    leadership(cut, 'e').subscribe((leads) => log.push([outside.now(), leads]));
    store.partition(sessionIdOf(cut));
    outside.maxFrames = 200;
    outside.flush();
    expect(log).toContainEqual([94, false]);
    void backend.close();
    void cut.close();
    new TestScheduler((actual, expected) => expect(actual).toEqual(expected)).run(({ expectObservable }) => {
      const virtual = memory({ scheduler: new TestScheduler(() => undefined) });
      expectObservable(leadership(virtual, 'e'), '^ 5ms !').toBe('(ft)', { f: false, t: true });
    });
  });

  it('may be one of its own, which knows the wall clock or does not', () => {
    for (const scheduler of [monotonicScheduler, new ManualTime(), new VirtualTimeScheduler()])
      expect(() => memory({ scheduler })).not.toThrow();
  });
});

describe('SuspendWatch', () => {
  it('tells by how much wall time has run ahead since a moment, however often it is asked', () => {
    const time = new ManualTime();
    const watch = new SuspendWatch(time);
    time.pass(50);
    expect(watch.aheadMs(0)).toBe(0);
    for (let i = 1; i <= 3; i++) {
      time.sleep(4);
      expect(watch.aheadMs(0)).toBe(4 * i);
    }
  });

  it('counts from the last mark that is no later than the moment', () => {
    const time = new ManualTime();
    const watch = new SuspendWatch(time);
    time.sleep(70);
    time.pass(10);
    watch.mark();
    time.pass(10);
    time.sleep(5);
    expect([0, 9, 10, 15].map((sinceMs) => watch.aheadMs(sinceMs))).toEqual([75, 75, 5, 5]);
    watch.forgetBefore(12);
    expect(watch.aheadMs(0)).toBe(5);
  });

  it('is told nothing less by a wall clock that is set back before the machine is suspended', () => {
    const time = new ManualTime();
    const watch = new SuspendWatch(time);
    time.sleep(-1_000);
    expect(watch.aheadMs(0)).toBe(0);
    time.sleep(70);
    expect(watch.aheadMs(0)).toBe(70);
  });

  it('takes what somebody else has seen since a moment, before its own later marks', () => {
    const time = new ManualTime();
    const watch = new SuspendWatch(time);
    time.pass(50);
    watch.mark();
    time.sleep(70);
    expect(watch.leastAheadMs(50)).toBe(0);
    watch.learn(30, -20);
    expect([0, 30, 49, 50].map((sinceMs) => watch.aheadMs(sinceMs))).toEqual([90, 90, 90, 70]);
    // Set back, and suspended for as long, while nobody has looked here.
    watch.learn(60, 40);
    expect([50, 60].map((sinceMs) => watch.aheadMs(sinceMs))).toEqual([70, 30]);
    watch.forgetBefore(60);
    expect(watch.aheadMs(0)).toBe(30);
  });

  it('sees nothing where there is no wall clock', () => {
    const time = new ManualTime();
    const watch = new SuspendWatch({ now: () => time.now(), schedule: time.schedule });
    time.pass(50);
    time.sleep(70);
    expect(watch.aheadMs(0)).toBe(0);
  });
});
