import { describe, expect, it } from 'vitest';
import {
  ANYTHING,
  check,
  type Expectation,
  either,
  FLAG,
  FUNCTION,
  integer,
  listOf,
  number,
  objectOf,
  objectWith,
  shown,
  TEXT,
  unknownIn,
  violationsOf,
} from '../../src/backends/shared/expectations.js';

const nothing = (): undefined => undefined;
const bare: unknown = Object.create(null);

describe('an expectation', () => {
  it.each<[string, Expectation, unknown[], unknown[]]>([
    ['TEXT', TEXT, ['', 'a', '😀'], [1, undefined, null, ['a'], 'a\ud800', '\udc00']],
    ['FLAG', FLAG, [true, false], [0, 1, 'true', null, undefined]],
    ['FUNCTION', FUNCTION, [nothing, class {}], [{}, 'x', null, undefined]],
    ['number', number(1, 5), [1, 2.5, 5], [0.999, 5.001, Number.NaN, '2', 2n, null]],
    ['integer', integer(1, 5), [1, 5], [0, 6, 2.5, Number.NaN, '2', 2n]],
    ['objectWith()', objectWith(), [{}, [], bare], [null, undefined, nothing, 'x', 1]],
    [
      'objectWith(a, b)',
      objectWith('a', 'b'),
      [{ a: nothing, b: nothing, c: 1 }],
      [{ a: nothing }, { b: nothing }, { a: nothing, b: 1 }, {}, bare, null, Object.assign(nothing, { a: 1 })],
    ],
    [
      'objectOf({ a }, { b })',
      objectOf({ a: FLAG }, { b: number(1, 2) }),
      [{ a: true }, { a: false, b: 1 }, { a: true, b: undefined }, { a: true, c: undefined }],
      [{}, { b: 1 }, { a: 1 }, { a: undefined, b: 1 }, { a: true, b: 3 }, { a: true, c: 1 }, bare, null, nothing, 'x'],
    ],
    ['objectOf({ a })', objectOf({ a: FLAG }), [{ a: true }], [{}, { a: 1 }, { a: true, b: 1 }]],
    ['either', either(FLAG, number(1, 2)), [true, 1], ['x', 3, null]],
    ['listOf', listOf(FLAG), [[], [true], [true, false]], [true, [1], [true, 1], { length: 0 }, 'ab']],
  ])('%s is met by what fits, and by nothing else', (_, [, fits], those, others) => {
    for (const value of those) expect([value, fits(value)]).toEqual([value, true]);
    for (const value of others) expect([value, fits(value)]).toEqual([value, false]);
  });

  it.each<[Expectation, string]>([
    [integer(0, 9), 'an integer from 0 to 9'],
    [objectWith(), 'an object'],
    [objectWith('a'), 'an object with the methods a'],
    [objectWith('a', 'b'), 'an object with the methods a and b'],
    [objectOf({ a: FLAG }, { b: FLAG }), 'an object { a, b }, with no other fields'],
    [either(FLAG, FUNCTION), 'true or false, or a function'],
    [listOf(FUNCTION), 'a list, and each of it a function'],
  ])('says in words what it asks for: %#', ([words], expected) => {
    expect(words).toBe(expected);
  });
});

describe('violationsOf', () => {
  const expected = { flag: FLAG, size: number(1, 2) };

  it('has one sentence for each field that does not fit, in the order of what is expected', () => {
    expect(violationsOf({ size: 3, flag: 'x', other: 1 }, expected)).toEqual([
      'flag must be true or false, but is "x"',
      'size must be a number from 1 to 2, but is 3',
    ]);
  });

  it('has none where fields fit, are absent or undefined', () => {
    expect(violationsOf({ flag: true, size: 1 }, expected)).toEqual([]);
    expect(violationsOf({ flag: undefined }, expected)).toEqual([]);
    expect(violationsOf({}, expected)).toEqual([]);
  });

  it('takes null for a value', () => {
    expect(violationsOf({ flag: null }, expected)).toEqual(['flag must be true or false, but is null']);
  });

  it.each([
    [null, 'null'],
    [undefined, 'undefined'],
    ['x', '"x"'],
    [nothing, 'a function'],
  ])('refuses %o for options', (options, words) => {
    expect(violationsOf(options, expected)).toEqual([`options must be an object, but are ${words}`]);
  });
});

describe('check', () => {
  it('throws InvalidOptions with every violation, and does nothing where there is none', () => {
    expect(() => check({ a: 1, b: 2 }, { a: FLAG, b: FLAG })).toThrow(
      expect.objectContaining({
        _tag: 'InvalidOptions',
        violations: ['a must be true or false, but is 1', 'b must be true or false, but is 2'],
      }),
    );
    expect(() => check({ a: true }, { a: FLAG, b: FLAG })).not.toThrow();
  });
});

describe('shown', () => {
  const hostile = {
    toString: () => {
      throw new Error('not to be called');
    },
  };

  it.each([
    ['a "b"', '"a \\"b\\""'],
    [null, 'null'],
    [undefined, 'undefined'],
    [1.5, '1.5'],
    [Number.NaN, 'NaN'],
    [2n, '2'],
    [false, 'false'],
    [[1], 'a list'],
    [Symbol('x'), 'a symbol'],
    [nothing, 'a function'],
    [bare, 'an object'],
    [hostile, 'an object'],
  ])('is short and for people, and calls nothing of the value: %#', (value, expected) => {
    expect(shown(value)).toBe(expected);
  });
});

describe('an option that nobody knows', () => {
  const meantBy = (name: string, ...known: readonly string[]): string[] =>
    unknownIn({ [name]: 1 }, Object.fromEntries(known.map((one) => [one, ANYTHING])));

  it.each([
    ['in another case', 'TTLMS', 'ttlMs'],
    ['in another case, and short', 'DB', 'db'],
    ['without its unit', 'guard', 'guardMs'],
    ['with a unit too many', 'driftMs', 'drift'],
    ['with two letters at each other’s place', 'dirft', 'drift'],
    ['with a letter at another place', 'riftd', 'drift'],
    ['with another letter', 'drxft', 'drift'],
    ['with another letter at its beginning', 'xrift', 'drift'],
    ['with another letter, of three', 'tla', 'tls'],
    ['with a letter missing', 'drft', 'drift'],
    ['with a letter missing at its beginning', 'rift', 'drift'],
    ['with a letter too many', 'drxift', 'drift'],
    ['with a letter too many at its beginning', 'xdrift', 'drift'],
  ])('is told with the one that was probably meant: %s', (_, given, meant) => {
    expect(meantBy(given, 'codec', meant)).toEqual([`${given} is not an option (is ${meant} meant?)`]);
  });

  it.each([
    ['two other letters', 'dxyft', 'drift'],
    ['three letters missing', 'guar', 'guardMs'],
    ['another beginning, and a unit', 'xxxxx', 'guardMs'],
    ['another end, and as long', 'xyift', 'drift'],
    ['a letter missing, and another one', 'dxft', 'drift'],
    ['one that is short, with another letter', 'dx', 'db'],
    ['one that is short, with a letter too many', 'dbs', 'db'],
  ])('is told with those that are known where none is near: %s', (_, given, known) => {
    expect(meantBy(given, 'codec', known)).toEqual([`${given} is not an option (known are codec, ${known})`]);
  });

  it('is nothing where it is not said, or known', () => {
    expect(unknownIn({ other: undefined, ttlMs: 1 }, { ttlMs: ANYTHING })).toEqual([]);
    expect(unknownIn('ttlMs', { ttlMs: ANYTHING })).toEqual([]);
  });
});
