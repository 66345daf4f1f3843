import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Contended, LockLost } from '../../src/backends/errors.js';
import { deepEqual } from '../../src/testing/deep-equal.js';

const circular = (): object => {
  const loop: { self?: object; n: number } = { n: 1 };
  loop.self = loop;
  return loop;
};

it('marbles are compared as Node compares, though browsers have nothing of that kind', () => {
  const anything = fc.anything({
    maxDepth: 3,
    // No -0, which is 0 here.
    values: [
      fc.string(),
      fc.integer(),
      fc.double().map((x) => (x === 0 ? 0 : x)),
      fc.boolean(),
      fc.constant(undefined),
    ],
    withBigInt: true,
    withBoxedValues: true,
    withDate: true,
    withMap: true,
    withNullPrototype: true,
    withSet: true,
    withSparseArray: true,
    withTypedArray: true,
  });
  const asNode = (a: unknown, b: unknown): boolean => deepEqual(a, b) === isDeepStrictEqual(a, b);
  fc.assert(
    fc.property(anything, anything, (a, b) => asNode(a, b)),
    { numRuns: 5_000 },
  );
  fc.assert(
    fc.property(fc.clone(anything, 2), ([a, b]) => asNode(a, b) && deepEqual([a], [b])),
    { numRuns: 5_000 },
  );
});

it.each([
  ['the same error made twice', new Error('a'), new Error('a')],
  ['another message', new Error('a'), new Error('b')],
  ['another kind', new Error('a'), new TypeError('a')],
  ['the same fields', new Contended('x', 'held'), new Contended('x', 'held')],
  ['other fields', Object.assign(new Error('a'), { at: 1 }), Object.assign(new Error('a'), { at: 2 })],
  ['another error of ours', new Contended('x', 'held'), new LockLost('x', 1n, 'evicted')],
  ['an error and what looks like it', new Error('a'), { name: 'Error', message: 'a' }],
  ['NaN', Number.NaN, Number.NaN],
  ['a bigint and its number', 1n, 1],
  ['what leads back to itself', circular(), circular()],
  ['members', new Map([['a', { token: 1n }]]), new Map([['a', { token: 1n }]])],
  ['objects of two classes', new (class A {})(), new (class B {})()],
])('of errors, numbers and objects too: %s', (_, a, b) => {
  expect(deepEqual(a, b)).toBe(isDeepStrictEqual(a, b));
});
