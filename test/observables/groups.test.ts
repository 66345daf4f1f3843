import { map } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { AuthenticationFailed, GroupAlreadyExists, GroupNotEmpty, GroupNotFound } from '../../src/backends/errors.js';
import { createGroup } from '../../src/observables/groups/create-group.js';
import { deleteGroup } from '../../src/observables/groups/delete-group.js';
import { groups } from '../../src/observables/groups/groups.js';
import { join } from '../../src/observables/groups/join.js';
import { scripted, virtually } from '../support/virtual-time.js';

const refused = new AuthenticationFailed('scripted', 'nowhere');
const told = { u: undefined };

describe('groups', () => {
  it('tells the ids of all groups', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions, at }) => {
      const sets = { n: new Set<string>(), a: new Set(['a']) };
      const registered = cold('-n-a-n', sets);
      const backend = scripted({ registered }, scheduler);
      expectObservable(groups(backend), '^------!').toBe('-n-a-n', sets);
      expectObservable(groups(backend), '-------^-!').toBe('--------n', sets);
      expectSubscriptions(registered.subscriptions).toBe(['^------!', '-------^-!']);
      at(20, () => expect(backend.calls).toEqual(['registered group', 'registered group']));
    });
  });

  it('is silent while the store is, completes and errors with it', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const never = cold<ReadonlySet<string>>('-');
      expectObservable(groups(scripted({ registered: never }, scheduler)), '^--!').toBe('');
      expectObservable(groups(scripted({ registered: cold('|') }, scheduler))).toBe('|');
      expectObservable(groups(scripted({ registered: cold('-#', undefined, refused) }, scheduler))).toBe(
        '-#',
        undefined,
        refused,
      );
      expectSubscriptions(never.subscriptions).toBe('^--!');
    });
  });

  it('over a store: follows creation and deletion, not joining, and never the same set twice', () => {
    virtually(({ process, at, expectObservable }) => {
      const [backend, other] = [process(), process({ namespace: 'other' })];
      at(2, () => void createGroup(backend, 'a').subscribe());
      at(3, () => void createGroup(other, 'z').subscribe());
      at(4, () => void createGroup(backend, 'b').subscribe());
      at(6, () => void join(backend, 'a').subscribe());
      at(8, () => void deleteGroup(backend, 'b').subscribe());
      const ids = groups(backend).pipe(map((all) => [...all].sort().join('')));
      expectObservable(ids, '^ 29ms !').toBe('n-a-c---a', { n: '', a: 'a', c: 'ab' });
    });
  });
});

describe('createGroup', () => {
  it('emits once and completes when the group is created', () => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const backend = scripted({ register: cold('--(t|)', { t: true }) }, scheduler);
      expectObservable(createGroup(backend, 'g')).toBe('--(u|)', told);
      at(9, () => expect(backend.calls).toEqual(['register group g']));
    });
  });

  it('fails with GroupAlreadyExists', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const backend = scripted({ register: cold('--(f|)', { f: false }) }, scheduler);
      expectObservable(createGroup(backend, 'g')).toBe('--#', undefined, new GroupAlreadyExists('g'));
    });
  });

  it('is silent while the store is, passes its errors, and tries once for each subscription', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions, at }) => {
      const register = cold<boolean>('-');
      const backend = scripted({ register }, scheduler);
      const failing = scripted({ register: cold('-#', undefined, refused) }, scheduler);
      expectObservable(createGroup(backend, 'g'), '^--!').toBe('');
      expectObservable(createGroup(backend, 'g'), '---^--!').toBe('');
      expectObservable(createGroup(failing, 'g')).toBe('-#', undefined, refused);
      expectObservable(createGroup(scripted({ register: cold('|') }, scheduler), 'g')).toBe('|');
      expectSubscriptions(register.subscriptions).toBe(['^--!', '---^--!']);
      at(9, () => expect(backend.calls).toHaveLength(2));
    });
  });

  it('refuses a name at the call', () => {
    virtually(({ scheduler }) => {
      expect(() => createGroup(scripted({}, scheduler), '')).toThrow(expect.objectContaining({ _tag: 'InvalidName' }));
    });
  });

  it('over a store: of two who create the same group at once, one succeeds', () => {
    virtually(({ process, expectObservable }) => {
      const [one, two] = [process(), process()];
      expectObservable(createGroup(one, 'g')).toBe('(u|)', told);
      expectObservable(createGroup(two, 'g')).toBe('#', undefined, new GroupAlreadyExists('g'));
    });
  });

  it('waits, and does not error, while no session is open', () => {
    virtually(({ process, expire, at, expectObservable }) => {
      const backend = process();
      backend.session$.subscribe();
      at(10, () => expire(backend));
      expectObservable(createGroup(backend, 'g'), '11ms ^').toBe('15ms (u|)', told);
    });
  });

  it('errors with BackendClosed when the backend is closed before the store has answered', () => {
    virtually(({ process, expire, at, expectObservable }) => {
      const backend = process();
      backend.session$.subscribe();
      at(10, () => expire(backend));
      at(12, () => void backend.close());
      const error = expect.objectContaining({ _tag: 'BackendClosed' });
      expectObservable(createGroup(backend, 'g'), '11ms ^').toBe('12ms #', undefined, error);
      expectObservable(createGroup(backend, 'g'), '20ms ^').toBe('20ms #', undefined, error);
    });
  });
});

describe('deleteGroup', () => {
  it.each([
    ['removed', '--(u|)', undefined],
    ['absent', '--#', new GroupNotFound('g')],
    ['occupied', '--#', new GroupNotEmpty('g')],
  ] as const)('tells that the group was %s', (outcome, marbles, error) => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const backend = scripted({ unregister: cold('--(o|)', { o: outcome }) }, scheduler);
      expectObservable(deleteGroup(backend, 'g')).toBe(marbles, told, error);
      at(9, () => expect(backend.calls).toEqual(['unregister group g']));
    });
  });

  it('is silent while the store is, passes its errors, and tries once for each subscription', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const unregister = cold<'removed'>('-');
      const backend = scripted({ unregister }, scheduler);
      const failing = scripted({ unregister: cold('-#', undefined, refused) }, scheduler);
      expectObservable(deleteGroup(backend, 'g'), '^--!').toBe('');
      expectObservable(deleteGroup(backend, 'g'), '---^--!').toBe('');
      expectObservable(deleteGroup(failing, 'g')).toBe('-#', undefined, refused);
      expectObservable(deleteGroup(scripted({ unregister: cold('|') }, scheduler), 'g')).toBe('|');
      expectSubscriptions(unregister.subscriptions).toBe(['^--!', '---^--!']);
    });
  });

  it('refuses a name at the call', () => {
    virtually(({ scheduler }) => {
      expect(() => deleteGroup(scripted({}, scheduler), '')).toThrow(expect.objectContaining({ _tag: 'InvalidName' }));
    });
  });

  it('over a store: only an empty group is deleted, and nobody joins one that is', () => {
    virtually(({ process, expectObservable }) => {
      const backend = process();
      expectObservable(deleteGroup(backend, 'g')).toBe('#', undefined, new GroupNotFound('g'));
      const joined = join(backend, 'g', { id: 'm', create: true }).pipe(map(({ id }) => id));
      expectObservable(joined, '-^----!').toBe('-m');
      expectObservable(deleteGroup(backend, 'g'), '--^').toBe('--#', undefined, new GroupNotEmpty('g'));
      expectObservable(deleteGroup(backend, 'g'), '------^').toBe('------(u|)', told);
      expectObservable(join(backend, 'g'), '-------^').toBe('-------#', undefined, new GroupNotFound('g'));
    });
  });
});
