import { map } from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { Entry } from '../../src/backends/backend.js';
import { AuthenticationFailed } from '../../src/backends/errors.js';
import { join } from '../../src/observables/groups/join.js';
import { members } from '../../src/observables/groups/members.js';
import { entryOf, scripted, virtually } from '../support/virtual-time.js';

const member = (id: string, token: bigint, capabilities = 0): Entry =>
  entryOf(`e${token}`, token, { id, owner: id, capabilities }, 'shared');
const set = (...ids: string[]): ReadonlySet<string> => new Set(ids);
const sets = { n: set(), a: set('a'), b: set('b'), c: set('a', 'b') };

describe('members', () => {
  it('tells the ids of those who are there', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const entries = cold('-n-a-c-b-', {
        n: [],
        a: [member('a', 1n)],
        c: [member('a', 1n), member('b', 2n)],
        b: [member('b', 2n)],
      });
      expectObservable(members(scripted({ entries }, scheduler), 'g'), '^--------!').toBe('-n-a-c-b', sets);
      expectSubscriptions(entries.subscriptions).toBe('^--------!');
    });
  });

  it('tells the first set even where it is empty', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      expectObservable(members(scripted({ entries: cold('n-', { n: [] }) }, scheduler), 'g'), '^-!').toBe('n', sets);
    });
  });

  it('is silent about new capabilities', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const entries = cold('a-b-c|', { a: [member('a', 1n)], b: [member('a', 1n, 2)], c: [member('a', 1n, 3)] });
      expectObservable(members(scripted({ entries }, scheduler), 'g')).toBe('a----|', sets);
    });
  });

  it('tells the same ids again where a member has left and joined again between two looks, and leaves nobody out', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const entries = cold('a---b---c---d---|', {
        a: [member('a', 1n), member('b', 2n)],
        b: [member('b', 2n), member('a', 3n)],
        c: [member('b', 4n), member('a', 5n)],
        d: [member('b', 4n), member('a', 5n, 1)],
      });
      expectObservable(members(scripted({ entries }, scheduler), 'g')).toBe('c---c---c-------|', sets);
    });
  });

  it('tells a newcomer and one who has joined again in one set, and not one who has left', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const entries = cold('a---(b|)', {
        a: [member('a', 1n), member('x', 2n)],
        b: [member('a', 3n), member('b', 4n)],
      });
      expectObservable(members(scripted({ entries }, scheduler), 'g')).toBe('d---(c|)', { ...sets, d: set('a', 'x') });
    });
  });

  it('tells a change of members of which there are as many as before', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const entries = cold('a-b|', { a: [member('a', 1n)], b: [member('b', 2n)] });
      expectObservable(members(scripted({ entries }, scheduler), 'g')).toBe('a-b|', sets);
    });
  });

  it('tells that one of several was replaced by another', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const entries = cold('a-b|', { a: [member('a', 1n), member('b', 2n)], b: [member('a', 1n), member('c', 3n)] });
      const ids = members(scripted({ entries }, scheduler), 'g').pipe(map((set) => [...set].join()));
      expectObservable(ids).toBe('a-b|', { a: 'a,b', b: 'a,c' });
    });
  });

  it('is silent while the store is, completes and errors with it', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const error = new AuthenticationFailed('scripted', 'nowhere');
      const never = cold<readonly Entry[]>('-');
      expectObservable(members(scripted({ entries: never }, scheduler), 'g'), '^--!').toBe('');
      expectObservable(members(scripted({ entries: cold('-|') }, scheduler), 'g')).toBe('-|');
      expectObservable(members(scripted({ entries: cold('-#', undefined, error) }, scheduler), 'g')).toBe(
        '-#',
        undefined,
        error,
      );
      expectSubscriptions(never.subscriptions).toBe('^--!');
    });
  });

  it('tells the current set to each new subscription', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const entries = cold('a', { a: [member('a', 1n)] });
      const ids$ = members(scripted({ entries }, scheduler), 'g');
      expectObservable(ids$, '^-!').toBe('a', sets);
      expectObservable(ids$, '---^-!').toBe('---a', sets);
      expectSubscriptions(entries.subscriptions).toBe(['^-!', '---^-!']);
    });
  });

  it('refuses a name at the call', () => {
    virtually(({ scheduler }) => {
      expect(() => members(scripted({}, scheduler), '')).toThrow(expect.objectContaining({ _tag: 'InvalidName' }));
    });
  });
});

describe('members over a store', () => {
  const joining = (id: string) => ({ id, create: true });

  it('is empty for a group that does not exist', () => {
    virtually(({ process, expectObservable }) => {
      expectObservable(members(process(), 'nobody'), '^----!').toBe('n', sets);
    });
  });

  it('shows a set without a member between its lost session and its next one', () => {
    virtually(({ process, expire, at, expectObservable }) => {
      const [member, watcher] = [process(), process()];
      const tokens = new Set<bigint>();
      const joined = join(member, 'g', joining('a')).pipe(map(({ token }) => tokens.add(token).size));
      expectObservable(joined, '^ 48ms !').toBe('1 14ms 2', { 1: 1, 2: 2 });
      expectObservable(members(watcher, 'g'), '^ 47ms !').toBe('a 9ms n 4ms a', sets);
      at(10, () => expire(member));
    });
  });

  it('shows a member all along that joins again before its lost session has expired', () => {
    virtually(({ process, partition, at, expectObservable }) => {
      const [member, watcher] = [process(), process()];
      at(0, () => void join(member, 'g', joining('a')).subscribe());
      // Given up at 134, joined again at 139, the old entry expires at 140.
      at(50, () => partition(member));
      expectObservable(members(watcher, 'g'), '^ 199ms !').toBe('a 138ms a', sets);
    });
  });

  it('has no false empty set through a partition, and heals afterwards', () => {
    virtually(({ process, partition, heal, at, expectObservable }) => {
      const [one, two, watcher] = [process(), process(), process()];
      at(0, () => void join(one, 'g', joining('a')).subscribe());
      const second = join(two, 'g', joining('b')).pipe(map(({ id }) => id));
      expectObservable(second, '55ms ^ 99ms !').toBe('55ms b');
      at(50, () => partition(watcher));
      at(60, () => heal(watcher));
      // The session is live again with its first renewal after the break, at 60; the watch begins anew then.
      expectObservable(members(watcher, 'g'), '^ 99ms !').toBe('a 59ms c', sets);
    });
  });

  it('completes when the backend is closed', () => {
    virtually(({ process, at, expectObservable }) => {
      const backend = process();
      expectObservable(members(backend, 'g')).toBe('n 8ms |', sets);
      at(9, () => void backend.close());
    });
  });
});
