import { describe, expect, it } from 'vitest';
import {
  Contended,
  CoordinationError,
  canHeal,
  InvalidName,
  LockLost,
  OutcomeUnknown,
  PermissionDenied,
  ReleaseFailed,
  SessionLost,
  Unavailable,
  UnknownScheme,
} from '../../src/backends/errors.js';
import { isError } from '../../src/backends/shared/is-error.js';

describe('an error', () => {
  it('is told from others by class, name and tag', () => {
    const error = new SessionLost('s1', 'expired', true);
    expect(error).toBeInstanceOf(CoordinationError);
    expect(error).toMatchObject({ name: 'SessionLost', _tag: 'SessionLost', sessionId: 's1', byStore: true });
  });

  it('has a cause where there is one, though it be null, and no such property where there is none', () => {
    const cause = new Error('refused');
    expect(new Unavailable('store', 'write', cause).cause).toBe(cause);
    expect(new Unavailable('store', 'write', null)).toHaveProperty('cause', null);
    expect('cause' in new Unavailable('store', 'write')).toBe(false);
  });
});

describe('the message', () => {
  const hostile = {
    toString: () => {
      throw new Error('not to be called');
    },
  };

  it.each([
    [new Error('refused'), 'refused'],
    [new TypeError(''), 'TypeError'],
    ['text', 'text'],
    [7, '7'],
    [Symbol('x'), 'Symbol(x)'],
    [null, 'no reason given'],
    [undefined, 'no reason given'],
    [hostile, 'a object'],
    [hostile.toString, 'a function'],
  ])('gives the reason, whatever was thrown: %#', (cause, reason) => {
    expect(new ReleaseFailed('store', 'lock "l"', cause).message).toBe(
      `store has not confirmed the release of lock "l" (${reason}). It ends with the session at the latest; others may wait for it until then.`,
    );
  });

  it('names the store and its address where they are known, and never an empty place for them', () => {
    const store = { name: 'redis', address: '10.0.0.1:6379' };
    expect(new Unavailable(store, 'renew', 'cut').message).toBe(
      'redis at 10.0.0.1:6379 did not carry out "renew" (cut). It is retried.',
    );
    expect(new Unavailable(store, 'renew')).toMatchObject({ backend: 'redis', address: '10.0.0.1:6379' });
    expect(new Unavailable('redis', 'renew')).toMatchObject({ backend: 'redis', address: undefined });
  });

  it('says what was not permitted and what to do, and of what the outcome is not known', () => {
    const store = { name: 'etcd', address: '10.0.0.1:2379' };
    expect(new PermissionDenied(store, 'enter', 'no role').message).toBe(
      'etcd at 10.0.0.1:2379 does not permit "enter" (no role). Extend the user\'s rights.',
    );
    expect(new PermissionDenied('etcd', 'enter', 'no role', 'Ask Bob').message).toBe(
      'etcd does not permit "enter" (no role). Ask Bob.',
    );
    expect(new OutcomeUnknown(store, 'create group "g"', 'cut').message).toBe(
      'Whether etcd at 10.0.0.1:2379 has carried out "create group "g"" is not known (cut). Look, then decide whether to do it again.',
    );
  });

  it('says why a lock was lost, and leaves out a cause that is not there', () => {
    const message = (cause?: unknown): string => new LockLost('l', 3n, 'session lost', cause).message;
    expect(message()).toBe('Lock "l" (token 3) was lost: session lost. Stop the work under it.');
    expect(message(new Error('expired'))).toBe(
      'Lock "l" (token 3) was lost: session lost (expired). Stop the work under it.',
    );
  });

  it('shows a name that is text, and nothing of one that is not', () => {
    expect(new InvalidName('', 'it is empty').message).toBe('Invalid name "": it is empty.');
    expect(new InvalidName(hostile, 'it is no string').message).toBe('Invalid name: it is no string.');
  });

  it('lists the schemes that are known', () => {
    expect(new UnknownScheme('x', ['memory', 'redis']).message).toBe('Unknown scheme "x:". Known are memory:, redis:.');
  });

  it('says whether a lock is held, or the store admits nobody', () => {
    expect(new Contended('l').message).toBe('Lock "l" is held by another.');
    expect(new Contended('l', 'barred').message).toContain('admits nobody for up to the ttl');
  });

  it('can heal unless it says that it cannot, whatever was thrown', () => {
    expect(new Unavailable('redis', 'renew').canHeal).toBe(true);
    expect(canHeal(new InvalidName('', 'it is empty'))).toBe(false);
    for (const thrown of [new Unavailable('redis', 'renew'), new Error('x'), {}, null, undefined, 'x'])
      expect(canHeal(thrown)).toBe(true);
  });

  it('is told by its tag, and whatever else may have been thrown is none', () => {
    expect(isError(new Contended('l'), 'Contended')).toBe(true);
    for (const thrown of [new Unavailable('redis', 'renew'), {}, null, undefined, 'x'])
      expect(isError(thrown, 'Contended')).toBe(false);
  });
});
