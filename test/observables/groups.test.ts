import { defer, map, of } from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { AuthenticationFailed, GroupAlreadyExists, GroupNotEmpty, GroupNotFound } from '../../src/backends/errors.js';
import { createGroup } from '../../src/observables/groups/create-group.js';
import { deleteGroup } from '../../src/observables/groups/delete-group.js';
import { evictMember } from '../../src/observables/groups/evict-member.js';
import { groups } from '../../src/observables/groups/groups.js';
import { type JoinOptions, join } from '../../src/observables/groups/join.js';
import { entryOf, scripted, virtually } from '../support/virtual-time.js';

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

  it('with force removes everybody who stands in the group, then deletes it', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions, at }) => {
      const look = cold('-(x|)', { x: [entryOf('e1', 1n, 'no member'), entryOf('e2', 2n)] });
      const evict = cold('--(t|)', { t: true });
      const backend = scripted({ look, evict, unregister: cold('-(o|)', { o: 'removed' }) }, scheduler);
      expectObservable(deleteGroup(backend, 'g', { force: true })).toBe('----(u|)', told);
      expectSubscriptions(evict.subscriptions).toBe(['-^-!', '-^-!']);
      at(9, () =>
        expect(backend.calls).toEqual(['look group g', 'evict group g e1', 'evict group g e2', 'unregister group g']),
      );
    });
  });

  it('with force begins anew for as long as others join meanwhile', () => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const looks = [[entryOf('e1', 1n)], [], [entryOf('e2', 2n)], [entryOf('e3', 3n)], []];
      const outcomes = (['occupied', 'occupied', 'occupied', 'occupied', 'removed'] as const).values();
      const backend = scripted(
        {
          look: defer(() => of(looks.shift() ?? [])),
          evict: cold('-(t|)', { t: true }),
          unregister: defer(() => of(outcomes.next().value ?? 'removed')),
        },
        scheduler,
      );
      expectObservable(deleteGroup(backend, 'g', { force: true })).toBe('---(u|)', told);
      at(9, () => expect(backend.calls.filter((call) => call.startsWith('evict'))).toHaveLength(3));
    });
  });

  it('with force fails with GroupNotEmpty where the group is occupied, and twice nobody is seen in it', () => {
    virtually(({ scheduler, expectObservable, at }) => {
      const backend = scripted({ look: of([]), unregister: of('occupied') }, scheduler);
      const forced$ = deleteGroup(backend, 'g', { force: true });
      expectObservable(forced$).toBe('#', undefined, new GroupNotEmpty('g'));
      expectObservable(forced$, '--^').toBe('--#', undefined, new GroupNotEmpty('g'));
      at(9, () => expect(backend.calls).toHaveLength(8));
    });
  });

  it('with force fails with GroupNotFound where there is none, and passes any error', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const forced = (script: Parameters<typeof scripted>[0]) =>
        deleteGroup(scripted({ look: of([entryOf('e1', 1n)]), evict: of(true), ...script }, scheduler), 'g', {
          force: true,
        });
      const failing = cold<never>('-#', undefined, refused);
      expectObservable(forced({ unregister: of('absent') })).toBe('#', undefined, new GroupNotFound('g'));
      expectObservable(forced({ look: failing })).toBe('-#', undefined, refused);
      expectObservable(forced({ evict: failing })).toBe('-#', undefined, refused);
      expectObservable(forced({ unregister: failing })).toBe('-#', undefined, refused);
    });
  });

  it('with force over a store: the members are told, and do not come back; who creates the group again, does', () => {
    virtually(({ process, expectObservable }) => {
      const [one, two, three] = [process(), process(), process()];
      const error = expect.objectContaining({ _tag: 'MembershipLost', reason: 'evicted' });
      const joined = join(one, 'g', { id: 'm', create: true }).pipe(map(({ id }) => id));
      expectObservable(joined).toBe('m--#', undefined, error);
      expectObservable(deleteGroup(two, 'g', { force: true }), '---^').toBe('---(u|)', told);
      const ids = groups(three).pipe(map((all) => [...all].join()));
      expectObservable(ids, '-^------!').toBe('-g-n', { g: 'g', n: '' });
    });
  });

  it('refuses options at the call', () => {
    virtually(({ scheduler }) => {
      const refusal = expect.objectContaining({ _tag: 'InvalidOptions' });
      for (const options of [{ force: 'yes' }, { forced: true }, null, 1])
        expect(() => deleteGroup(scripted({}, scheduler), 'g', options as never)).toThrow(refusal);
    });
  });
});

describe('evictMember', () => {
  const record = (id: string, owner: string) => ({ id, owner });

  it('removes the member, with each entry that it has, and not who waits for its id', () => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const look = cold('-(x|)', {
        x: [
          entryOf('e1', 1n, record('n', 'x')),
          entryOf('e2', 2n, record('m', 'y')),
          entryOf('e3', 3n, record('m', 'z')),
          entryOf('e4', 4n, record('m', 'y')),
        ],
      });
      const backend = scripted({ look, evict: cold('--(t|)', { t: true }) }, scheduler);
      expectObservable(evictMember(backend, 'g', 'm')).toBe('---(t|)', { t: true });
      at(9, () => expect(backend.calls).toEqual(['look group g', 'evict group g e2', 'evict group g e4']));
    });
  });

  it('tells that it was not there, or went by itself', () => {
    virtually(({ scheduler, expectObservable }) => {
      const nobody = scripted({ look: of([entryOf('e1', 1n, record('n', 'x'))]) }, scheduler);
      const gone = scripted({ look: of([entryOf('e1', 1n, record('m', 'x'))]), evict: of(false) }, scheduler);
      expectObservable(evictMember(nobody, 'g', 'm')).toBe('(f|)', { f: false });
      expectObservable(evictMember(gone, 'g', 'm')).toBe('(f|)', { f: false });
    });
  });

  it('is silent while the store is, passes its errors, and tries once for each subscription', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const look = cold<never>('-');
      const backend = scripted({ look }, scheduler);
      expectObservable(evictMember(backend, 'g', 'm'), '^--!').toBe('');
      expectObservable(evictMember(backend, 'g', 'm'), '---^--!').toBe('');
      const failing = scripted({ look: cold('-#', undefined, refused) }, scheduler);
      expectObservable(evictMember(failing, 'g', 'm')).toBe('-#', undefined, refused);
      expectSubscriptions(look.subscriptions).toBe(['^--!', '---^--!']);
    });
  });

  it('refuses names at the call', () => {
    virtually(({ scheduler }) => {
      const refusal = expect.objectContaining({ _tag: 'InvalidName' });
      expect(() => evictMember(scripted({}, scheduler), '', 'm')).toThrow(refusal);
      for (const id of ['', 'x'.repeat(513), 7, undefined, null])
        expect(() => evictMember(scripted({}, scheduler), 'g', id as never)).toThrow(refusal);
    });
  });

  it('over a store: who waits for the id is the member from then on', () => {
    virtually(({ process, expectObservable }) => {
      const [one, two, three] = [process(), process(), process()];
      const error = expect.objectContaining({ _tag: 'MembershipLost', reason: 'evicted' });
      const ids = (options: JoinOptions) => ({
        from: (backend: Backend) => join(backend, 'g', options).pipe(map(({ id }) => id)),
      });
      expectObservable(ids({ id: 'm', create: true }).from(one)).toBe('m---#', undefined, error);
      expectObservable(ids({ id: 'm', ifTaken: 'wait' }).from(two), '-^------!').toBe('----m');
      expectObservable(evictMember(three, 'g', 'm'), '----^').toBe('----(t|)', { t: true });
      expectObservable(evictMember(three, 'g', 'nobody'), '-----^').toBe('-----(f|)', { f: false });
      expectObservable(evictMember(three, 'nowhere', 'm'), '-----^').toBe('-----(f|)', { f: false });
    });
  });
});
