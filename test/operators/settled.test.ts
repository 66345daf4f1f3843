import { repeat, Subject } from 'rxjs';
import { describe, expect, it, vi } from 'vitest';
import { settled } from '../../src/operators/settled.js';
import { virtually } from '../support/virtual-time.js';

describe('settled', () => {
  it('lets a state pass that has stayed the same for long enough', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-a-b-c-------d|');
      expectObservable(source.pipe(settled(3))).toBe('--------c-----(d|)');
      expectSubscriptions(source.subscriptions).toBe('^-------------!');
    });
  });

  it('refuses to be without a time', () => {
    expect(() => settled(undefined as never)).toThrow(
      expect.objectContaining({ violations: ['quietMs must be a number from 0 to 2147483647, but is undefined'] }),
    );
  });

  it('takes its time from the scheduler that is given', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const slow = {
        now: () => scheduler.now() / 2,
        schedule: ((work, delay = 0, state) => scheduler.schedule(work, delay * 2, state)) as typeof scheduler.schedule,
      };
      expectObservable(cold('-a-----------').pipe(settled(3, slow)), '^-----------!').toBe('-------a');
    });
  });

  it('waits no longer when the time of day is set back', () => {
    vi.useFakeTimers();
    try {
      const source = new Subject<string>();
      const log: string[] = [];
      source.pipe(settled(2_000)).subscribe((value) => log.push(value));
      source.next('a');
      vi.setSystemTime(Date.now() - 3_600_000);
      vi.advanceTimersByTime(2_000);
      expect(log).toEqual(['a']);
    } finally {
      vi.useRealTimers();
    }
  });

  it('never emits while the source keeps changing', () => {
    virtually(({ cold, expectObservable }) => {
      expectObservable(cold('a-b-a-b-a-b-a-b').pipe(settled(3)), '^--------------!').toBe('');
    });
  });

  it('is silent with a source that never emits, and ends it when unsubscribed from', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-');
      expectObservable(source.pipe(settled(3)), '^----!').toBe('');
      expectSubscriptions(source.subscriptions).toBe('^----!');
    });
  });

  it('completes with an empty source', () => {
    virtually(({ cold, expectObservable }) => {
      expectObservable(cold('--|').pipe(settled(3))).toBe('--|');
    });
  });

  it('errors with the source at once, without the state that had not settled', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('a-#');
      expectObservable(source.pipe(settled(3))).toBe('--#');
      expectSubscriptions(source.subscriptions).toBe('^-!');
    });
  });

  it('starts anew when subscribed to again', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-a---|');
      expectObservable(source.pipe(settled(3), repeat(2))).toBe('----a----a|');
      expectSubscriptions(source.subscriptions).toBe(['^----!', '-----^----!']);
    });
  });

  it.each([-1, Number.NaN, 2 ** 31, Number.POSITIVE_INFINITY])(
    'refuses %d ms at the call, naming quietMs',
    (quietMs) => {
      expect(() => settled(quietMs)).toThrow(
        expect.objectContaining({
          _tag: 'InvalidOptions',
          violations: [`quietMs must be a number from 0 to 2147483647, but is ${quietMs}`],
        }),
      );
    },
  );

  it.each([0, 2 ** 31 - 1])('takes %d ms', (quietMs) => {
    expect(() => settled(quietMs)).not.toThrow();
  });
});
