import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Mode } from '../../src/backends/backend.js';
import { conflicts, conflictsAhead } from '../../src/backends/shared/admission.js';

const one = (token: bigint, mode: Mode) => ({ token, mode });

describe('conflicts', () => {
  it.each([
    ['exclusive', 'exclusive', true],
    ['exclusive', 'shared', true],
    ['shared', 'exclusive', true],
    ['shared', 'shared', false],
  ] as const)('%s and %s: %s', (a, b, expected) => {
    expect(conflicts(a, b)).toBe(expected);
  });
});

describe('conflictsAhead', () => {
  const line = [one(1n, 'shared'), one(2n, 'shared'), one(3n, 'exclusive'), one(4n, 'shared'), one(5n, 'exclusive')];

  it.each([
    [1n, 'shared', 0],
    [2n, 'shared', 0],
    [3n, 'exclusive', 2],
    [4n, 'shared', 1],
    [5n, 'exclusive', 4],
  ] as const)('of token %s, %s: %d', (token, mode, expected) => {
    expect(conflictsAhead(line, one(token, mode), Number.POSITIVE_INFINITY)).toBe(expected);
  });

  it('does not count itself, nor who comes after, in whatever order they are given', () => {
    expect(conflictsAhead([...line].reverse(), one(3n, 'exclusive'), 9)).toBe(2);
    expect(conflictsAhead([one(3n, 'exclusive')], one(3n, 'exclusive'), 9)).toBe(0);
  });

  it('counts no further than permits', () => {
    expect(conflictsAhead(line, one(5n, 'exclusive'), 3)).toBe(3);
    expect(conflictsAhead(line, one(5n, 'exclusive'), 1)).toBe(1);
  });

  it('looks at no more of the line than it needs', () => {
    let seen = 0;
    const counting = (function* () {
      for (const entry of line) {
        seen++;
        yield entry;
      }
    })();
    conflictsAhead(counting, one(9n, 'exclusive'), 1);
    expect(seen).toBeLessThanOrEqual(2);
  });

  it('compares tokens as numbers of any size', () => {
    expect(
      conflictsAhead([one(9_007_199_254_740_992n, 'exclusive')], one(9_007_199_254_740_993n, 'exclusive'), 1),
    ).toBe(1);
    expect(conflictsAhead([one(10n, 'exclusive')], one(9n, 'exclusive'), 1)).toBe(0);
  });

  it('admits one exclusive entry at a time, or only shared ones, or up to permits', () => {
    const lines = fc.array(fc.constantFrom<Mode>('exclusive', 'shared'), { maxLength: 12 });
    fc.assert(
      fc.property(lines, (modes) => {
        const entries = modes.map((mode, i) => one(BigInt(i), mode));
        const admitted = entries.filter((entry) => conflictsAhead(entries, entry, 1) < 1);
        expect(admitted.length === 1 || admitted.every(({ mode }) => mode === 'shared')).toBe(true);
        expect(admitted.length > 0).toBe(entries.length > 0);
      }),
    );
  });
});
