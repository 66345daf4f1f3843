import { catchError, NEVER, type Observable, of, repeat, tap } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { GateClosed, GroupNotFound, MembershipLost } from '../../src/backends/errors.js';
import { evictMember } from '../../src/observables/groups/evict-member.js';
import { join } from '../../src/observables/groups/join.js';
import type { Membership } from '../../src/observables/groups/membership.js';
import { whileMember } from '../../src/operators/while-member.js';
import { virtually } from '../support/virtual-time.js';

const stay = (isValid = true) => ({ isValid: () => isValid, signal: new AbortController().signal });
const stays = { m: stay(), x: stay(false) };

describe('whileMember', () => {
  it('subscribes to the source while one is a member', () => {
    virtually(({ cold, at, expectObservable, expectSubscriptions }) => {
      const first = new AbortController();
      const membership$ = cold('--a------b---|', {
        a: { isValid: () => !first.signal.aborted, signal: first.signal },
        b: stay(),
      });
      const source = cold('-a-b-c-');
      at(6, () => first.abort(new MembershipLost('g', 1n, 'session lost')));
      expectObservable(source.pipe(whileMember(membership$))).toBe('---a-b----a-b|');
      expectSubscriptions(source.subscriptions).toBe(['--^---!', '---------^---!']);
      expectSubscriptions(membership$.subscriptions).toBe('^------------!');
    });
  });

  it('never subscribes to the source of one whose membership has ended already', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('a');
      expectObservable(source.pipe(whileMember(cold('-x-', stays))), '^--!').toBe('');
      expectObservable(source.pipe(whileMember(cold('-x-', stays), { onLoss: 'error' }))).toBe(
        '-#',
        undefined,
        new GateClosed(),
      );
      expectSubscriptions(source.subscriptions).toBe([]);
    });
  });

  it('asks before each item', () => {
    virtually(({ cold, at, expectObservable }) => {
      let isValid = true;
      const membership$ = cold('m', { m: { isValid: () => isValid, signal: new AbortController().signal } });
      at(2, () => {
        isValid = false;
      });
      expectObservable(cold('-a-b-').pipe(whileMember(membership$, { onLoss: 'complete' }))).toBe('-a-|');
    });
  });

  it('never, empty, error, early unsubscribe, subscribe again', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const gated = (told: string) => cold('-a-|').pipe(whileMember(cold(told, stays)));
      expectObservable(gated('-'), '^--!').toBe('');
      expectObservable(gated('-|')).toBe('-|');
      expectObservable(gated('m-#')).toBe('-a#');
      const membership$ = cold('-m', stays);
      expectObservable(cold('-a-|').pipe(whileMember(membership$), repeat(2))).toBe('--a---a-|');
      expectSubscriptions(membership$.subscriptions).toBe(['^---!', '----^---!']);
    });
  });

  it('refuses at the call what is none', () => {
    const invalid = expect.objectContaining({ _tag: 'InvalidOptions' });
    expect(() => whileMember('g' as never)).toThrow(invalid);
    expect(() => whileMember(undefined as never)).toThrow(invalid);
    for (const options of [{ onLoss: 'retry' }, { onloss: 'error' }, null])
      expect(() => whileMember(NEVER, options as never)).toThrow(invalid);
  });
});

describe('whileMember over a store', () => {
  it('CutOff: closes before the store has let the member go, and opens in the next session', () => {
    virtually(({ process, partition, at, cold, expectObservable, expectSubscriptions }) => {
      const backend = process();
      const source = cold('-');
      expectObservable(source.pipe(whileMember(join(backend, 'g', { id: 'me', create: true }))), '^ 299ms !').toBe('');
      at(50, () => partition(backend));
      // Proved at 40: given up at 134, expired by the store at 140.
      expectSubscriptions(source.subscriptions).toBe(['^ 133ms !', '139ms ^ 160ms !']);
    });
  });

  it('LateTimersDoNotLetAnItemPass: a due loss is told before the item', () => {
    virtually(({ process, block, at, cold, expectObservable, expectSubscriptions }) => {
      // Proved at 40. The loop is blocked for 100 ms at 41: the item at 45 comes before the timers of the session.
      const source = cold('5ms a 39ms b 4ms c');
      at(41, () => block(100));
      const membership$ = join(process(), 'g', { create: true });
      expectObservable(source.pipe(whileMember(membership$, { onLoss: 'complete' }))).toBe('5ms a 39ms |');
      expectSubscriptions(source.subscriptions).toBe('^ 44ms !');
    });
  });

  it('errors with MembershipLost where one is removed, and at each loss if so wanted', () => {
    virtually(({ process, expire, at, cold, expectObservable, expectSubscriptions }) => {
      const [evicted, expired, other] = [process(), process(), process()];
      const source = cold('-');
      const told = (membership$: Observable<Membership>, options = {}) =>
        source.pipe(
          whileMember(membership$, options),
          catchError(({ _tag, reason }) => of(`${_tag}: ${reason}`)),
        );
      expectObservable(told(join(evicted, 'g', { id: 'a', create: true }))).toBe('10ms (x|)', {
        x: 'MembershipLost: evicted',
      });
      expectObservable(told(join(expired, 'g', { id: 'b', create: true }), { onLoss: 'error' })).toBe('20ms (x|)', {
        x: 'MembershipLost: session lost',
      });
      at(10, () => evictMember(other, 'g', 'a').subscribe());
      at(20, () => expire(expired));
      expectSubscriptions(source.subscriptions).toBe(['^ 9ms !', '^ 19ms !']);
    });
  });

  it('completes when the member leaves, whatever is to come of a loss, and when the backend is closed', () => {
    virtually(({ process, at, cold, expectObservable }) => {
      const joining = (onLoss: 'error' | 'resubscribe') =>
        cold('-a').pipe(
          whileMember(join(process(), 'g', { create: true }).pipe(tap((mine) => at(5, () => mine.leave()))), {
            onLoss,
          }),
        );
      expectObservable(joining('error')).toBe('-a---|');
      expectObservable(joining('resubscribe')).toBe('-a---|');
      expectObservable(cold('-a').pipe(whileMember(join(process(), 'h', { create: true }), { onLoss: 'error' }))).toBe(
        '-a 28ms |',
      );
      expectObservable(cold('-a').pipe(whileMember(join(process(), 'nowhere')))).toBe(
        '#',
        undefined,
        new GroupNotFound('nowhere'),
      );
    }, 30);
  });

  it.each([null, 1, { isValid: () => true }])('NotAMembership: errors where it is given %j', (given) => {
    virtually(({ cold, expectObservable }) => {
      expectObservable(cold('a').pipe(whileMember(cold('-m', { m: given as never })))).toBe(
        '-#',
        undefined,
        expect.objectContaining({ violations: [expect.stringMatching(/^membership\$ must give memberships/)] }),
      );
    });
  });
});
