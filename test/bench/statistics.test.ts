import { expect, test } from 'vitest';
import { spreadOf } from '../../bench/comparison/statistics.js';

test('quartiles lie between values, in proportion, whatever the order', () => {
  expect(spreadOf([4, 1, 3, 2])).toEqual({ median: 2.5, low: 1.75, high: 3.25 });
  expect(spreadOf([10, 9, 1])).toEqual({ median: 9, low: 5, high: 9.5 });
  expect(spreadOf([7])).toEqual({ median: 7, low: 7, high: 7 });
});

test('nothing measured is no figure', () => {
  expect(spreadOf([])).toBeUndefined();
});
