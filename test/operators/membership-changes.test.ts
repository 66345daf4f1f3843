import { map as map$, repeat } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { idsOf } from '../../src/observables/groups/incarnations.js';
import { join } from '../../src/observables/groups/join.js';
import { members } from '../../src/observables/groups/members.js';
import { membershipChanges } from '../../src/operators/membership-changes.js';
import { virtually } from '../support/virtual-time.js';

const set = (...ids: string[]): ReadonlySet<string> => new Set(ids);
const change = (joined: readonly string[], left: readonly string[]) => ({ joined: set(...joined), left: set(...left) });
const sets = { '0': set(), a: set('a'), b: set('b'), c: set('a', 'b'), d: set('b', 'a') };

describe('membershipChanges', () => {
  it('tells who came and who went', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('0-a-c-b-0-|', sets);
      expectObservable(source.pipe(membershipChanges())).toBe('--a-b-c-d-|', {
        a: change(['a'], []),
        b: change(['b'], []),
        c: change([], ['a']),
        d: change([], ['b']),
      });
      expectSubscriptions(source.subscriptions).toBe('^---------!');
    });
  });

  it('tells one who has joined again as gone and then as there, with whoever else comes and goes', () => {
    virtually(({ cold, expectObservable }) => {
      const map = (tokens: Readonly<Record<string, bigint>>) =>
        new Map(Object.entries(tokens).map(([id, token]) => [id, { id, token, capabilities: undefined }]));
      const source = cold('a---b---c---|', {
        a: map({ a: 1n, x: 2n }),
        b: map({ a: 3n, b: 4n }),
        c: map({ a: 3n, b: 4n }),
      });
      const changes = { x: change(['a', 'x'], []), y: change(['b'], ['x', 'a']), z: change(['a'], []) };
      expectObservable(source.pipe(membershipChanges())).toBe('x---(yz)----|', changes);
      expectObservable(source.pipe(map$(idsOf), membershipChanges())).toBe('x---(yz)----|', changes);
      const bare = source.pipe(map$((members) => new Set(members.keys())));
      expectObservable(bare.pipe(membershipChanges())).toBe('x---w-------|', { ...changes, w: change(['b'], ['x']) });
    });
  });

  it('takes a set without tokens for the same members', () => {
    virtually(({ cold, expectObservable }) => {
      const known = idsOf(new Map([['a', { id: 'a', token: 1n, capabilities: undefined }]]));
      const source = cold('a-k-a-|', { a: set('a'), k: known });
      expectObservable(source.pipe(membershipChanges())).toBe('x-----|', { x: change(['a'], []) });
    });
  });

  it('counts the first set as joined', () => {
    virtually(({ cold, expectObservable }) => {
      expectObservable(cold('c-|', sets).pipe(membershipChanges())).toBe('x-|', { x: change(['a', 'b'], []) });
    });
  });

  it('begins with what is there where the first set is not to count', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('c-b-0-|', sets);
      const changes = source.pipe(membershipChanges({ initial: false }));
      expectObservable(changes).toBe('--x-y-|', { x: change([], ['a']), y: change([], ['b']) });
      expectSubscriptions(source.subscriptions).toBe('^-----!');
      expectObservable(cold('a|', sets).pipe(membershipChanges({ initial: false }))).toBe('-|');
      expectObservable(cold('a|', sets).pipe(membershipChanges({ initial: true }))).toBe('x|', {
        x: change(['a'], []),
      });
    });
  });

  it('refuses options at the call', () => {
    for (const options of [{ initial: 'no' }, { first: false }, null])
      expect(() => membershipChanges(options as never)).toThrow(expect.objectContaining({ _tag: 'InvalidOptions' }));
  });

  it('tells one who goes as another comes in one change', () => {
    virtually(({ cold, expectObservable }) => {
      expectObservable(cold('a-b-|', sets).pipe(membershipChanges())).toBe('x-y-|', {
        x: change(['a'], []),
        y: change(['b'], ['a']),
      });
    });
  });

  it('is silent about sets that are equal', () => {
    virtually(({ cold, expectObservable }) => {
      expectObservable(cold('0-c-d-c-|', sets).pipe(membershipChanges())).toBe('--x-----|', {
        x: change(['a', 'b'], []),
      });
    });
  });

  it('is silent with a source that never emits, and ends it when unsubscribed from', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold<ReadonlySet<string>>('-');
      expectObservable(source.pipe(membershipChanges()), '^--!').toBe('');
      expectSubscriptions(source.subscriptions).toBe('^--!');
    });
  });

  it('completes with an empty source', () => {
    virtually(({ cold, expectObservable }) => {
      expectObservable(cold<ReadonlySet<string>>('|').pipe(membershipChanges())).toBe('|');
    });
  });

  it('errors with the source', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('a-#', sets);
      expectObservable(source.pipe(membershipChanges())).toBe('x-#', { x: change(['a'], []) });
      expectSubscriptions(source.subscriptions).toBe('^-!');
    });
  });

  it('starts from nobody again when subscribed to again', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('a-|', sets);
      expectObservable(source.pipe(membershipChanges(), repeat(2))).toBe('x-x-|', { x: change(['a'], []) });
      expectSubscriptions(source.subscriptions).toBe(['^-!', '--^-!']);
    });
  });

  it('sees one who left and joined again between two looks', () => {
    virtually(({ process, expire, at, expectObservable }) => {
      const [watcher, member] = [process(), process()];
      at(1, () => void join(member, 'g', { id: 'm', create: true }).subscribe());
      at(10, () => expire(member));
      expectObservable(members(watcher, 'g').pipe(membershipChanges()), '^ 20ms !').toBe('-a 8ms b 4ms a', {
        a: change(['m'], []),
        b: change([], ['m']),
      });
    });
  });
});
