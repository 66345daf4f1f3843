import { describe, expect, it } from 'vitest';
import { monotonicScheduler, suspendWatch } from '../../src/backends/clock.js';
import { ManualTime } from '../support/virtual-time.js';

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

describe('suspendWatch', () => {
  it('tells by how much wall time has run ahead since the last look', () => {
    const time = new ManualTime();
    const aheadMs = suspendWatch(time);
    expect(aheadMs()).toBe(0);
    time.pass(50);
    expect(aheadMs()).toBe(0);
    time.sleep(70);
    time.pass(10);
    expect(aheadMs()).toBe(70);
    expect(aheadMs()).toBe(0);
    time.sleep(-30);
    expect(aheadMs()).toBe(-30);
  });

  it('begins when it is made', () => {
    const time = new ManualTime();
    time.sleep(70);
    expect(suspendWatch(time)()).toBe(0);
  });

  it('sees nothing where there is no wall clock', () => {
    const time = new ManualTime();
    const aheadMs = suspendWatch({ now: () => time.now(), schedule: time.schedule });
    time.pass(50);
    time.sleep(70);
    expect(aheadMs()).toBe(0);
  });
});
