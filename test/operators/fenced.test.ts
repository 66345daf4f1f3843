import { repeat } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { withLock } from '../../src/observables/locks/with-lock.js';
import { fenced } from '../../src/operators/fenced.js';
import { virtually } from '../support/virtual-time.js';

const grantUntil = (isValid: () => boolean = () => true) => ({ token: 7n, isValid });
const stamped = (...values: string[]) =>
  Object.fromEntries(values.map((value) => [value.toUpperCase(), { value, token: 7n }]));

describe('fenced', () => {
  it('stamps items, and drops those that come after the end of the grant', () => {
    virtually(({ cold, at, expectObservable, expectSubscriptions }) => {
      let isValid = true;
      at(8, () => {
        isValid = false;
      });
      const source = cold('-a--b-c---d-|');
      expectObservable(source.pipe(fenced(grantUntil(() => isValid)))).toBe('-A--B-C-----|', stamped('a', 'b', 'c'));
      expectSubscriptions(source.subscriptions).toBe('^-----------!');
    });
  });

  it('is silent, empty, or errors as its source does, also after the end of the grant', () => {
    virtually(({ cold, expectObservable }) => {
      for (const isValid of [true, false]) {
        const grant = grantUntil(() => isValid);
        expectObservable(cold('---').pipe(fenced(grant)), '^----!').toBe('');
        expectObservable(cold('--|').pipe(fenced(grant))).toBe('--|');
        expectObservable(cold('--#').pipe(fenced(grant))).toBe('--#');
      }
    });
  });

  it('unsubscribes from its source when it is unsubscribed from early', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-a-b-c');
      expectObservable(source.pipe(fenced(grantUntil())), '^--!').toBe('-A--', stamped('a'));
      expectSubscriptions(source.subscriptions).toBe('^--!');
    });
  });

  it('starts anew when subscribed to again', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-a|');
      expectObservable(source.pipe(fenced(grantUntil()), repeat(2))).toBe('-A-A|', stamped('a'));
      expectSubscriptions(source.subscriptions).toBe(['^-!', '--^-!']);
    });
  });

  it('asks a grant that is an object with a state of its own', () => {
    class OwnGrant {
      token = 7n;
      held = true;
      isValid(): boolean {
        return this.held;
      }
    }
    virtually(({ cold, expectObservable }) => {
      expectObservable(cold('a|').pipe(fenced(new OwnGrant()))).toBe('A|', stamped('a'));
    });
  });

  it('LateTimersDoNotLetAnItemPass: drops an item of a blocked event loop, whose lock is due to be lost', () => {
    virtually(({ process, block, at, cold, expectObservable }) => {
      const backend = process();
      const log: unknown[] = [];
      at(41, () => block(100));
      const output = withLock(backend, 'l', (grant) => {
        cold('5ms a 39ms b')
          .pipe(fenced(grant))
          .subscribe(({ value }) => log.push(value));
        return cold('-');
      });
      expectObservable(output, '^ 60ms !').toBe('45ms #', undefined, expect.anything());
      at(900, () => expect(log).toEqual(['a']));
    });
  });

  it.each([undefined, null, {}, { token: 1, isValid: () => true }, { token: 1n }, { token: 1n, isValid: true }])(
    'refuses %o at the call',
    (grant) => {
      expect(() => fenced(grant as never)).toThrow(
        expect.objectContaining({ violations: [expect.stringMatching(/^grant must be a grant, with a token/)] }),
      );
    },
  );
});
