import { expect, it } from 'vitest';
import { LockLost, PlaceLost } from '../../src/backends/errors.js';
import { toldBy } from '../../src/observables/holding/grant.js';
import { placeOf } from '../support/virtual-time.js';

const lost = new LockLost('l', 1n, 'session lost');

it('the signal of a place that is lost already has aborted, and with the word of what was held', () => {
  const signal = AbortSignal.abort(new PlaceLost('lock "l"', 'session lost'));
  const told = toldBy({ ...placeOf(1n), signal }, () => lost).signal;
  expect([told.aborted, told.reason]).toEqual([true, lost]);
});
