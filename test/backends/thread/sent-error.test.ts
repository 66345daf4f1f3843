import { expect, it } from 'vitest';
import {
  AuthenticationFailed,
  canHeal,
  GroupNotFound,
  InvalidOptions,
  PlaceLost,
  SessionLost,
  Unavailable,
} from '../../../src/backends/errors.js';
import { receivedError, sentError } from '../../../src/backends/thread/sent-error.js';

/** As it is after the way from one thread to another. */
const sent = (thrown: unknown): Error => receivedError(structuredClone(sentError(thrown)));

const store = { name: 'redis', address: 'there:6379' };

it.each([
  new GroupNotFound('crew'),
  new SessionLost('s1', 'the store has ended it', true),
  new PlaceLost('lock "a"', 'evicted'),
  new InvalidOptions(['one', 'two']),
  new Unavailable(store, 'renew', new Error('no answer')),
  new AuthenticationFailed('redis', 'there:6379', new Error('WRONGPASS')),
])('$name is the same error on the other side: its class, its fields, its words', (error) => {
  const there = sent(error);
  expect(there).toBeInstanceOf(error.constructor);
  expect({ ...there }).toEqual({ ...error });
  expect([there.name, there.message, there.stack]).toEqual([error.name, error.message, error.stack]);
  expect(canHeal(there)).toBe(canHeal(error));
});

it('a cause comes along, and its own', () => {
  const root = Object.assign(new TypeError('refused'), { code: 'ECONNREFUSED', port: 6379 });
  const there = sent(new Unavailable(store, 'renew', new SessionLost('s1', 'why', false, root)));
  const cause = there.cause as SessionLost;
  expect(cause).toBeInstanceOf(SessionLost);
  expect(cause.cause).toMatchObject({ name: 'TypeError', message: 'refused', code: 'ECONNREFUSED', port: 6379 });
});

it('what cannot be copied keeps nothing from arriving', () => {
  const circular: { self?: unknown } = {};
  circular.self = circular;
  const odd = Object.assign(new Error('odd'), {
    call: () => 1,
    at: Symbol('here'),
    circular,
    all: [new Error('in it')],
  });
  const there = sent(Object.assign(odd, { cause: odd })) as Error & { call: unknown; all: readonly unknown[] };
  expect([there.message, there.call, there.all[0]]).toEqual(['odd', 'a function', new Error('in it')]);
  expect(sent('no error').message).toBe('no error');
});
