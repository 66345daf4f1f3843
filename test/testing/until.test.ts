import { concat, EMPTY, NEVER, of, throwError } from 'rxjs';
import { expect, test } from 'vitest';
import { firstWithin } from '../../src/testing/processes/until.js';

const isThree = (value: number): boolean => value === 3;

test('the first value that fits', async () => {
  expect(await firstWithin(of(1, 3, 5), isThree, 100, 'three')).toBe(3);
});

test('the limit names what was seen instead', async () => {
  await expect(firstWithin(concat(of(1, 2), NEVER), isThree, 20, 'three')).rejects.toThrow(
    'three did not come within 20 ms; seen instead: 1, 2',
  );
});

test('a source that never emits', async () => {
  await expect(firstWithin(NEVER, isThree, 20, 'three')).rejects.toThrow('within 20 ms; nothing was seen instead');
});

test('a source that completes before', async () => {
  await expect(firstWithin(EMPTY, isThree, 100, 'three')).rejects.toThrow('before the source completed');
  await expect(firstWithin(of(1), isThree, 100, 'three')).rejects.toThrow('seen instead: 1');
});

test('a source that fails before', async () => {
  const cause = new RangeError('broken');
  await expect(
    firstWithin(
      throwError(() => cause),
      isThree,
      100,
      'three',
    ),
  ).rejects.toMatchObject({ message: expect.stringContaining('failed (RangeError: broken)'), cause });
});

test('only the last of many values are shown', async () => {
  const many = Array.from({ length: 100 }, () => 0);
  await expect(firstWithin(of(...many), isThree, 100, 'three')).rejects.toThrow('seen instead: (80 more) 0, 0');
});
