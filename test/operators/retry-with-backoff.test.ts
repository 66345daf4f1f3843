import { concat, defer, map, type Observable, repeat, take, throwError } from 'rxjs';
import { describe, expect, it } from 'vitest';
import {
  AuthenticationFailed,
  BackendClosed,
  ConnectionRefused,
  GroupNotFound,
  InvalidName,
  InvalidOptions,
  InvalidPayload,
  InvalidUrl,
  LockLost,
  LockNotAcquired,
  MissingPackage,
  NotSupported,
  PermissionDenied,
  UnknownScheme,
} from '../../src/backends/errors.js';
import { lock } from '../../src/observables/locks/lock.js';
import { type RetryOptions, retryWithBackoff } from '../../src/operators/retry-with-backoff.js';
import { virtually } from '../support/virtual-time.js';

/** Pauses of 2, 4, 8, 16… ms. */
const certain: RetryOptions = { delayMs: 2, jitter: 0 };

describe('retryWithBackoff', () => {
  it('subscribes again after pauses that double', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-#');
      expectObservable(source.pipe(retryWithBackoff(certain)), '^ 29ms !').toBe('');
      expectSubscriptions(source.subscriptions).toBe(['^!', '---^!', '--------^!', '-----------------^!']);
    });
  });

  it('takes Infinity for a number of tries, which is what it is without one', () => {
    virtually(({ cold, expectSubscriptions, expectObservable }) => {
      const source = cold('-#');
      expectObservable(source.pipe(retryWithBackoff({ ...certain, tries: Number.POSITIVE_INFINITY })), '^----!').toBe(
        '',
      );
      expectSubscriptions(source.subscriptions).toBe(['^!', '---^!']);
    });
  });

  it('does not try again what cannot heal, unless `when` says so', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const lasting: readonly Error[] = [
        new BackendClosed('memory'),
        new AuthenticationFailed('redis', 'nowhere'),
        new PermissionDenied('etcd', 'write'),
        new NotSupported('redis', 'that'),
        new MissingPackage('ioredis', 'redis'),
        new InvalidName('', 'it is empty'),
        new InvalidOptions(['ttlMs']),
        new InvalidUrl('x', 'it is none'),
        new InvalidPayload('lock "l"', 'it is too large'),
        new UnknownScheme('x', []),
        Object.assign(new Error('of another copy of this library'), { canHeal: false }),
      ];
      for (const error of lasting) {
        const source = cold('-#', undefined, error);
        expectObservable(source.pipe(retryWithBackoff(certain))).toBe('-#', undefined, error);
        expectSubscriptions(source.subscriptions).toBe('^!');
        const insisting = cold('-#', undefined, error);
        expectObservable(insisting.pipe(retryWithBackoff({ ...certain, when: () => true, tries: 2 }))).toBe(
          '----#',
          undefined,
          error,
        );
      }
    });
  });

  it('tries again what may heal, and what it does not know', () => {
    virtually(({ cold, expectObservable }) => {
      const passing: readonly unknown[] = [
        new LockLost('l', 1n, 'session lost'),
        new LockNotAcquired('l', 5),
        new ConnectionRefused('redis', 'nowhere', 5),
        new GroupNotFound('g'),
        new Error('who knows'),
        'text',
        null,
        undefined,
      ];
      for (const error of passing) {
        const source = cold('-#', undefined, error);
        expectObservable(source.pipe(retryWithBackoff({ ...certain, tries: 2 }))).toBe('----#', undefined, error);
      }
    });
  });

  it('pauses no longer than maxDelayMs', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-#');
      expectObservable(source.pipe(retryWithBackoff({ ...certain, maxDelayMs: 3 })), '^ 11ms !').toBe('');
      expectSubscriptions(source.subscriptions).toBe(['^!', '---^!', '-------^!', '-----------^!']);
    });
  });

  it('subscribes as often as tries says in all, then errors with the last error', () => {
    virtually(({ expectObservable }) => {
      let round = 0;
      const source = defer(() => throwError(() => `error ${++round}`));
      expectObservable(source.pipe(retryWithBackoff({ ...certain, tries: 3 }))).toBe('------#', undefined, 'error 3');
    });
  });

  it('does not try again with tries: 1', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-a-#');
      expectObservable(source.pipe(retryWithBackoff({ ...certain, tries: 1 }))).toBe('-a-#');
      expectSubscriptions(source.subscriptions).toBe('^--!');
    });
  });

  it('starts tries and pauses anew after an item', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const rounds: Observable<string>[] = [cold('#'), cold('#'), cold('-a#'), cold('#'), cold('#'), cold('#')];
      let round = 0;
      const source = defer(() => rounds[round++] ?? cold('z'));
      expectObservable(source.pipe(retryWithBackoff({ ...certain, tries: 3 }))).toBe('-------a 6ms #');
      const [third, fourth, fifth] = [2, 3, 4].map((i) => rounds[i] as ReturnType<typeof cold>);
      expectSubscriptions(third?.subscriptions ?? []).toBe('------^-!');
      expectSubscriptions(fourth?.subscriptions ?? []).toBe('10ms (^!)');
      expectSubscriptions(fifth?.subscriptions ?? []).toBe('14ms (^!)');
    });
  });

  it('gives up rather than try later than deadlineMs after the first failure', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-#');
      // Failures at 1, 4 and 9; the fourth try would be at 17.
      expectObservable(source.pipe(retryWithBackoff({ ...certain, deadlineMs: 15 }))).toBe('---------#');
      expectObservable(source.pipe(retryWithBackoff({ ...certain, deadlineMs: 16 }))).toBe('18ms #');
      expectSubscriptions(source.subscriptions).toBe([
        '^!',
        '^!',
        '---^!',
        '---^!',
        '--------^!',
        '--------^!',
        '17ms ^!',
      ]);
    });
  });

  it('counts the deadline anew from the first failure after an item', () => {
    virtually(({ cold, expectObservable }) => {
      const rounds: Observable<string>[] = [cold('-#'), cold('20ms (a#)'), cold('-b')];
      let round = 0;
      const source = defer(() => rounds[round++] ?? cold('z'));
      expectObservable(source.pipe(retryWithBackoff({ ...certain, deadlineMs: 5 })), '^ 28ms !').toBe('23ms a--b');
    });
  });

  it('does not try again after an error that when refuses', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-#', undefined, 'fatal');
      expectObservable(source.pipe(retryWithBackoff({ ...certain, when: (e) => e !== 'fatal' }))).toBe(
        '-#',
        undefined,
        'fatal',
      );
      expectSubscriptions(source.subscriptions).toBe('^!');
    });
  });

  it('tries again after an error that when allows', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-#', undefined, 'passing');
      const output = source.pipe(retryWithBackoff({ ...certain, when: (e) => e !== 'fatal' }));
      expectObservable(output, '^---!').toBe('');
      expectSubscriptions(source.subscriptions).toBe(['^!', '---^!']);
    });
  });

  it('leaves the part of a pause to chance that jitter says', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const subscriptions = (jitter: number, chance: number) => {
        const source = cold('#');
        const output = source.pipe(retryWithBackoff({ delayMs: 20, jitter, random: () => chance, tries: 2 }));
        return { source, output };
      };
      const least = subscriptions(0.25, 0.999_999);
      const most = subscriptions(0.25, 0);
      const middle = subscriptions(1, 0.5);
      expectObservable(least.output.pipe(take(0))).toBe('|');
      expectObservable(most.output).toBe('20ms #');
      expectObservable(middle.output).toBe('10ms #');
      expectSubscriptions(most.source.subscriptions).toBe(['(^!)', '20ms (^!)']);
      expectSubscriptions(middle.source.subscriptions).toBe(['(^!)', '10ms (^!)']);
    });
  });

  it('pauses from half of delayMs to all of it, 100 ms, unless told otherwise', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const [most, least] = [cold('#'), cold('#')];
      expectObservable(most.pipe(retryWithBackoff({ random: () => 0 })), '^ 300ms !').toBe('');
      expectObservable(least.pipe(retryWithBackoff({ random: () => 1 })), '^ 150ms !').toBe('');
      expectSubscriptions(most.subscriptions).toBe(['(^!)', '100ms (^!)', '300ms (^!)']);
      expectSubscriptions(least.subscriptions).toBe(['(^!)', '50ms (^!)', '150ms (^!)']);
    });
  });

  it('pauses no longer than a minute unless told otherwise', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('#');
      const output = source.pipe(retryWithBackoff({ delayMs: 50_000, jitter: 0, tries: 3 }));
      expectObservable(output).toBe('110s #');
      expectSubscriptions(source.subscriptions).toBe(['(^!)', '50s (^!)', '110s (^!)']);
    });
  });

  it('takes its time from the scheduler that is given', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      let asked = 0;
      const counting = {
        now: () => {
          asked++;
          return scheduler.now();
        },
        schedule: ((work, delay = 0, state) => scheduler.schedule(work, delay * 2, state)) as typeof scheduler.schedule,
      };
      const source = cold('#');
      expectObservable(source.pipe(retryWithBackoff({ ...certain, tries: 2, scheduler: counting }))).toBe('----#');
      expectSubscriptions(source.subscriptions).toBe(['(^!)', '----(^!)']);
      expectObservable(
        defer(() => [asked > 0]),
        '--------^',
      ).toBe('--------(t|)', { t: true });
    });
  });

  it('passes items and completion, and is silent with a source that never emits', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const never = cold('-');
      expectObservable(cold('a-b-|').pipe(retryWithBackoff(certain))).toBe('a-b-|');
      expectObservable(cold('|').pipe(retryWithBackoff(certain))).toBe('|');
      expectObservable(never.pipe(retryWithBackoff(certain)), '^--!').toBe('');
      expectSubscriptions(never.subscriptions).toBe('^--!');
    });
  });

  it('ends the pause when unsubscribed from in it', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-#');
      expectObservable(source.pipe(retryWithBackoff(certain)), '^-!').toBe('');
      expectSubscriptions(source.subscriptions).toBe('^!');
    });
  });

  it('counts for each subscription on its own', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-#');
      const output = source.pipe(retryWithBackoff({ ...certain, tries: 2 }));
      expectObservable(output).toBe('----#');
      expectObservable(output, '-----^').toBe('---------#');
      expectSubscriptions(source.subscriptions).toBe(['^!', '---^!', '-----^!', '--------^!']);
    });
  });

  it('starts anew when its own completion is repeated', () => {
    virtually(({ cold, expectObservable }) => {
      const rounds: Observable<string>[] = [cold('#'), cold('|'), cold('#'), cold('|')];
      let round = 0;
      const source = defer(() => rounds[round++] ?? cold('z'));
      expectObservable(source.pipe(retryWithBackoff({ ...certain, tries: 2 }), repeat(2))).toBe('----|');
    });
  });

  it('keeps to the deadline after thousands of failures without a pause', () => {
    virtually(({ cold, expectObservable }) => {
      const source = cold('-#');
      expectObservable(source.pipe(retryWithBackoff({ delayMs: 0, deadlineMs: 1_500 }))).toBe('1502ms #');
    });
  });

  it('has a pause that is a number however many failures came before', () => {
    virtually(({ cold, expectObservable }) => {
      let failures = 0;
      const source = defer(() => (++failures > 1_100 ? concat(cold('a|')) : throwError(() => 'again')));
      expectObservable(source.pipe(retryWithBackoff({ delayMs: 0 }))).toBe('a|');
    });
  });

  it.each<[RetryOptions, string]>([
    [{ tries: 0 }, 'tries must be an integer of at least 1, or Infinity, but is 0'],
    [{ tries: 1.5 }, 'tries must be an integer of at least 1, or Infinity, but is 1.5'],
    [null as never, 'options must be an object, but are null'],
    [{ tries: Number.NaN }, 'tries must be an integer of at least 1, or Infinity, but is NaN'],
    [{ delayMs: -1 }, 'delayMs must be a number from 0 to 2147483647, but is -1'],
    [{ delayMs: 5, maxDelayMs: 4 }, 'maxDelayMs (4) must not be less than delayMs (5)'],
    [{ maxDelayMs: -1 }, 'maxDelayMs must be a number from 0 to 2147483647, but is -1'],
    [{ maxDelayMs: 2 ** 31 }, 'maxDelayMs must be a number from 0 to 2147483647, but is 2147483648'],
    [{ jitter: -0.1 }, 'jitter must be a number from 0 to 1, but is -0.1'],
    [{ jitter: 1.1 }, 'jitter must be a number from 0 to 1, but is 1.1'],
    [{ deadlineMs: -1 }, 'deadlineMs must be a number from 0 to Infinity, but is -1'],
  ])('refuses %o at the call', (options, violation) => {
    expect(() => retryWithBackoff(options)).toThrow(
      expect.objectContaining({ _tag: 'InvalidOptions', violations: [violation] }),
    );
  });

  it('names every violated relation at once', () => {
    expect(() => retryWithBackoff({ tries: 0, jitter: 2, deadlineMs: Number.NaN })).toThrow(
      expect.objectContaining({
        violations: [
          'tries must be an integer of at least 1, or Infinity, but is 0',
          'jitter must be a number from 0 to 1, but is 2',
          'deadlineMs must be a number from 0 to Infinity, but is NaN',
        ],
      }),
    );
  });

  it.each<RetryOptions>([
    { tries: 1 },
    { delayMs: 0 },
    { delayMs: 5, maxDelayMs: 5 },
    { maxDelayMs: 2 ** 31 - 1 },
    { jitter: 0 },
    { jitter: 1 },
    { deadlineMs: 0 },
  ])('takes %o', (options) => {
    expect(() => retryWithBackoff(options)).not.toThrow();
  });

  it('comes to its end when the backend is closed, however often it has acquired a lock again', () => {
    virtually(({ process, expire, at, expectObservable }) => {
      const backend = process();
      const again = lock(backend, 'l').pipe(
        map((_, index) => index),
        repeat(),
        retryWithBackoff(certain),
      );
      at(10, () => expire(backend));
      at(30, () => void backend.close());
      expectObservable(again).toBe('0 14ms 0 14ms #', { 0: 0 }, expect.objectContaining({ _tag: 'BackendClosed' }));
    });
  });
});
