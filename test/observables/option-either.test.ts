import * as E from 'fp-ts/lib/Either.js';
import * as O from 'fp-ts/lib/Option.js';
import { describe, expect, it } from 'vitest';
import * as either from '../../src/backends/shared/either.js';
import * as option from '../../src/backends/shared/option.js';

describe('options and eithers are those of fp-ts', () => {
  const inc = (n: number): number => n + 1;

  it('has the same options', () => {
    expect(option.none).toStrictEqual(O.none);
    expect(option.some(1)).toStrictEqual(O.some(1));
    for (const value of [undefined, null, 0, '', 1])
      expect(option.fromNullable(value)).toStrictEqual(O.fromNullable(value));
    expect(O.map(inc)(option.some(1))).toStrictEqual(option.some(2));
    for (const each of [O.none, O.some(0)]) {
      expect([option.isSome(each), option.isNone(each), option.toUndefined(each)]).toEqual([
        O.isSome(each),
        O.isNone(each),
        O.toUndefined(each),
      ]);
    }
  });

  it('has the same eithers', () => {
    expect(either.left('no')).toStrictEqual(E.left('no'));
    expect(either.right(1)).toStrictEqual(E.right(1));
    for (const each of [E.left('no'), E.right(1)]) {
      expect([either.isLeft(each), either.isRight(each)]).toEqual([E.isLeft(each), E.isRight(each)]);
      expect(either.mapRight(each, inc)).toStrictEqual(E.map(inc)(each));
    }
  });
});
