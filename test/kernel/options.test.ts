import { isLeft, isRight } from 'fp-ts/lib/Either.js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  type BackendOptions,
  reconnectMs,
  reliableMs,
  type Timing,
  timingOf,
} from '../../src/backends/shared/options.js';

const violationsOf = (options: BackendOptions): readonly string[] => {
  const result = timingOf(options);
  return isLeft(result) ? result.left.violations : [];
};

describe('timingOf', () => {
  it('fills in what is not said', () => {
    expect(timingOf({})).toMatchObject({
      right: {
        ttlMs: 10_000,
        renewEveryMs: 2_000,
        guardMs: 500,
        drift: 0.01,
        requestTimeoutMs: 3_000,
        initialBackoffMs: 100,
        maxBackoffMs: 5_000,
        failFastMs: undefined,
        closeTimeoutMs: 5_000,
        giveUpAt: 'deadline',
      },
    });
  });

  it('fills in what depends on the ttl by the ttl', () => {
    expect(timingOf({ ttlMs: 1_000 })).toMatchObject({
      right: { ttlMs: 1_000, renewEveryMs: 200, guardMs: 50, requestTimeoutMs: 300 },
    });
  });

  it('never fills in a longest pause that is shorter than the first', () => {
    expect(timingOf({ initialBackoffMs: 7_000 })).toMatchObject({ right: { maxBackoffMs: 7_000 } });
  });

  it('takes what is said', () => {
    const said = {
      ttlMs: 900,
      renewEveryMs: 100,
      guardMs: 10,
      drift: 0.1,
      requestTimeoutMs: 50,
      initialBackoffMs: 5,
      maxBackoffMs: 6,
      failFastMs: 7,
      closeTimeoutMs: 8,
      giveUpAt: 'suspended',
    } as const;
    expect(timingOf(said)).toEqual({ _tag: 'Right', right: said });
  });

  const least: [keyof BackendOptions, number][] = [
    ['ttlMs', 1],
    ['renewEveryMs', 1],
    ['guardMs', 0],
    ['drift', 0],
    ['requestTimeoutMs', 1],
    ['initialBackoffMs', 1],
    ['maxBackoffMs', 1],
    ['failFastMs', 1],
    ['closeTimeoutMs', 1],
  ];

  it.each(least)('names %s when it is out of range or no number', (field, min) => {
    const most = field === 'drift' ? 0.5 : 2 ** 31 - 1;
    const above = field === 'drift' ? 0.500_001 : 2 ** 31;
    for (const value of [min - 0.001, -1, above, Number.NaN, Number.POSITIVE_INFINITY, '5' as unknown as number]) {
      expect(violationsOf({ [field]: value })).toContain(
        `${field} must be a number from ${min} to ${most}, but is ${typeof value === 'string' ? JSON.stringify(value) : value}`,
      );
    }
  });

  it.each(least)('takes the least and the greatest %s that may be', (field, min) => {
    const most = field === 'drift' ? 0.5 : 2 ** 31 - 1;
    const named = (value: number): string[] =>
      violationsOf({ [field]: value }).filter((violation) => violation.startsWith(`${field} must be`));
    expect(named(min)).toEqual([]);
    expect(named(most)).toEqual([]);
  });

  it('names giveUpAt when it is neither of the two', () => {
    expect(violationsOf({ giveUpAt: 'never' as 'deadline' })).toEqual([
      "giveUpAt must be 'deadline' or 'suspended', but is \"never\"",
    ]);
  });

  it('takes a base of tokens that 64 bits hold, and names any other', () => {
    for (const tokenBase of [0n, 1n, 2n ** 62n]) expect(violationsOf({ tokenBase })).toEqual([]);
    for (const tokenBase of [-1n, 2n ** 62n + 1n, 5 as unknown as bigint, 'x' as unknown as bigint])
      expect(violationsOf({ tokenBase })).toEqual([
        `tokenBase must be a bigint from 0n to 2n ** 62n, but is ${typeof tokenBase === 'string' ? '"x"' : tokenBase}`,
      ]);
  });

  it('names the relation that one slow renewal would violate', () => {
    expect(violationsOf({ ttlMs: 100, renewEveryMs: 64, requestTimeoutMs: 30, guardMs: 5 })).toEqual([
      'renewEveryMs (64) + requestTimeoutMs (30) must be less than ttlMs * (1 - drift) - guardMs (94), ' +
        'or one slow renewal loses the session',
    ]);
    expect(violationsOf({ ttlMs: 100, renewEveryMs: 63, requestTimeoutMs: 30, guardMs: 5 })).toEqual([]);
  });

  it('names the relation of the pauses', () => {
    expect(violationsOf({ initialBackoffMs: 10, maxBackoffMs: 9 })).toEqual([
      'maxBackoffMs (9) must not be less than initialBackoffMs (10)',
    ]);
    expect(violationsOf({ initialBackoffMs: 10, maxBackoffMs: 10 })).toEqual([]);
  });

  it('names both relations at once', () => {
    expect(violationsOf({ initialBackoffMs: 10, maxBackoffMs: 9, ttlMs: 100, guardMs: 60 })).toHaveLength(2);
  });

  it('names every field that is out of range at once, and no relation between fields that are', () => {
    const violations = violationsOf({ ttlMs: -5, closeTimeoutMs: 0, initialBackoffMs: 10, maxBackoffMs: 9 });
    expect(violations.filter((violation) => violation.includes('must not be less'))).toEqual([]);
    expect(violations).toEqual(
      expect.arrayContaining([expect.stringMatching(/^ttlMs must/), expect.stringMatching(/^closeTimeoutMs must/)]),
    );
  });

  it('names no relation between what is filled in and out of range', () => {
    expect(violationsOf({ ttlMs: 2, guardMs: 1 })).toEqual([
      'renewEveryMs must be a number from 1 to 2147483647, but is 0.4',
      'requestTimeoutMs must be a number from 1 to 2147483647, but is 0.6',
    ]);
  });

  it('takes undefined for not said', () => {
    expect(timingOf({ ttlMs: undefined, guardMs: undefined, giveUpAt: undefined })).toEqual(timingOf({}));
  });

  it('has defaults that hold for every ttl', () => {
    for (const ttlMs of [5, 10, 100, 1_000, 60_000, 2 ** 31 - 1]) expect(isRight(timingOf({ ttlMs }))).toBe(true);
  });
});

describe('reliableMs', () => {
  it('is the ttl less what the clocks may differ by, less the guard', () => {
    expect(reliableMs({ drift: 0.01, guardMs: 5 }, 100)).toBe(94);
    expect(reliableMs({ drift: 0, guardMs: 0 }, 100)).toBe(100);
    expect(reliableMs({ drift: 0.25, guardMs: 10 }, 1_000)).toBe(740);
  });
});

describe('reconnectMs', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });
  const timing = (options: BackendOptions): Timing => {
    const result = timingOf(options);
    if (isLeft(result)) throw result.left;
    return result.right;
  };
  /** The first pauses, the shortest and the longest that they may be. */
  const pauses = (options: BackendOptions): number[][] =>
    [0, 1].map((random) => {
      vi.spyOn(Math, 'random').mockReturnValue(random);
      return [0, 1, 2, 3, 4, 40, 2_000].map((attempt) => reconnectMs(timing(options), attempt));
    });

  it('doubles, with jitter, up to half of what lies between two renewals', () => {
    expect(pauses({ ttlMs: 10_000, initialBackoffMs: 100 })).toEqual([
      [50, 100, 200, 400, 500, 500, 500],
      [100, 200, 400, 800, 1_000, 1_000, 1_000],
    ]);
  });

  it('is never longer than it may be, nor shorter than it is to begin with', () => {
    expect(pauses({ ttlMs: 10_000, initialBackoffMs: 100, maxBackoffMs: 300 })[1]).toEqual([
      100, 200, 300, 300, 300, 300, 300,
    ]);
    expect(pauses({ ttlMs: 1_000, initialBackoffMs: 150 })[1]).toEqual([150, 150, 150, 150, 150, 150, 150]);
  });

  it('does not grow beyond what can be counted', () => {
    const longest = pauses({ ttlMs: 2 ** 31 - 1, initialBackoffMs: 1, maxBackoffMs: 2 ** 31 - 1 })[1];
    expect(longest?.slice(-2)).toEqual([(2 ** 31 - 1) / 10, (2 ** 31 - 1) / 10]);
  });
});
