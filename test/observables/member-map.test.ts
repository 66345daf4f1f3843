import { map } from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { Entry } from '../../src/backends/backend.js';
import { AuthenticationFailed, GroupNotFound } from '../../src/backends/errors.js';
import { deleteGroup } from '../../src/observables/groups/delete-group.js';
import { join } from '../../src/observables/groups/join.js';
import { type Member, memberMap } from '../../src/observables/groups/member-map.js';
import { members } from '../../src/observables/groups/members.js';
import { entryOf, scripted, virtually } from '../support/virtual-time.js';

const member = (id: string, token: bigint, owner: string, capabilities?: unknown): Entry =>
  entryOf(`e${token}`, token, { id, owner, ...(capabilities !== undefined && { capabilities }) }, 'shared');
const is = (id: string, token: bigint, capabilities?: unknown): [string, Member] => [id, { id, capabilities, token }];
const error = new AuthenticationFailed('scripted', 'nowhere');

describe('memberMap', () => {
  it('tells who is there, with token and capabilities', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions, at }) => {
      const entries = cold('-n-a-b-c-', {
        n: [],
        a: [member('a', 1n, 'A', { zone: 1 })],
        b: [member('a', 1n, 'A', { zone: 1 }), member('b', 2n, 'B')],
        c: [member('b', 2n, 'B')],
      });
      const backend = scripted({ entries }, scheduler);
      expectObservable(memberMap(backend, 'g'), '^--------!').toBe('-n-a-b-c', {
        n: new Map(),
        a: new Map([is('a', 1n, { zone: 1 })]),
        b: new Map([is('a', 1n, { zone: 1 }), is('b', 2n)]),
        c: new Map([is('b', 2n)]),
      });
      expectSubscriptions(entries.subscriptions).toBe('^--------!');
      at(20, () => expect(backend.calls).toEqual(['entries group g']));
    });
  });

  it('tells a change of capabilities, and nothing where none has changed', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const entries = cold('a-a-b-c-c|', {
        a: [member('a', 1n, 'A', [1])],
        b: [member('a', 1n, 'A', [2])],
        c: [member('a', 2n, 'A', [2])],
      });
      expectObservable(memberMap(scripted({ entries }, scheduler), 'g')).toBe('a---b-c--|', {
        a: new Map([is('a', 1n, [1])]),
        b: new Map([is('a', 1n, [2])]),
        c: new Map([is('a', 2n, [2])]),
      });
    });
  });

  it('gives an id to whoever has stood under it longest', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const entries = cold('a-b|', {
        a: [member('a', 1n, 'A', 'first'), member('a', 2n, 'B', 'second')],
        b: [member('a', 2n, 'B', 'second')],
      });
      expectObservable(memberMap(scripted({ entries }, scheduler), 'g')).toBe('a-b|', {
        a: new Map([is('a', 1n, 'first')]),
        b: new Map([is('a', 2n, 'second')]),
      });
    });
  });

  it('counts one who has joined again, while its lost session is still in the store, by its latest entry', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const entries = cold('a|', {
        a: [member('a', 1n, 'A', 'before'), member('a', 2n, 'B', 'other'), member('a', 3n, 'A', 'after')],
      });
      expectObservable(memberMap(scripted({ entries }, scheduler), 'g')).toBe('a|', {
        a: new Map([is('a', 3n, 'after')]),
      });
    });
  });

  it.each([
    ['not of the codec', new Uint8Array([0xff])],
    ['empty', new Uint8Array()],
    ['null', new TextEncoder().encode('null')],
    ['a string', new TextEncoder().encode('"a"')],
    ['without an owner', new TextEncoder().encode('{"id":"a"}')],
    ['without an id', new TextEncoder().encode('{"owner":"A"}')],
    ['with an id that is no string', new TextEncoder().encode('{"id":1,"owner":"A"}')],
    ['with an owner that is no string', new TextEncoder().encode('{"id":"a","owner":null}')],
  ])('skips and reports, once, a payload that is %s', (_, payload) => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const garbage: Entry = { id: 'foreign', token: 1n, mode: 'shared', permits: 1, payload };
      const entries = cold('a-b|', { a: [garbage], b: [garbage, member('b', 2n, 'B')] });
      const backend = scripted({ entries }, scheduler);
      expectObservable(memberMap(backend, 'g')).toBe('a-b|', { a: new Map(), b: new Map([is('b', 2n)]) });
      at(9, () =>
        expect(backend.faults).toMatchObject([{ _tag: 'UndecodablePayload', subject: 'entry foreign of group "g"' }]),
      );
    });
  });

  it('is silent while the store is, completes and errors with it', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const never = cold<readonly Entry[]>('-');
      expectObservable(memberMap(scripted({ entries: never }, scheduler), 'g'), '^--!').toBe('');
      expectObservable(memberMap(scripted({ entries: cold('-|') }, scheduler), 'g')).toBe('-|');
      expectObservable(memberMap(scripted({ entries: cold('-#', undefined, error) }, scheduler), 'g')).toBe(
        '-#',
        undefined,
        error,
      );
      expectSubscriptions(never.subscriptions).toBe('^--!');
    });
  });

  it('tells the current map to each new subscription', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const entries = cold('a', { a: [member('a', 1n, 'A')] });
      const backend = scripted({ entries }, scheduler);
      const all$ = memberMap(backend, 'g').pipe(map((all) => [...all.keys()].join()));
      expectObservable(all$, '^-!').toBe('a');
      expectObservable(all$, '---^-!').toBe('---a');
      expectSubscriptions(entries.subscriptions).toBe(['^-!', '---^-!']);
    });
  });

  it('refuses a name at the call', () => {
    virtually(({ scheduler }) => {
      expect(() => memberMap(scripted({}, scheduler), '')).toThrow(expect.objectContaining({ _tag: 'InvalidName' }));
    });
  });

  it('over a store: a member that died is gone with its session, one that is cut off is there until then', () => {
    virtually(({ process, partition, at, expectObservable }) => {
      const [one, watcher] = [process(), process()];
      at(2, () => void join(one, 'g', { id: 'm', create: true }).subscribe());
      at(50, () => partition(one));
      const ids = memberMap(watcher, 'g').pipe(map((all) => [...all.keys()].join()));
      // Given up by its owner at 136, which cannot tell; expired by the store at 142; joined again at 141.
      expectObservable(ids, '^ 135ms !').toBe('n-m', { n: '', m: 'm' });
    });
  });

  it('errors where a group that is required does not exist, or no longer, and asks nothing of one that is not', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions, at }) => {
      const there = { n: new Set<string>(), g: new Set(['g']), h: new Set(['g', 'h']) };
      const entries = cold('-n--a---', { n: [], a: [member('a', 1n, 'A')] });
      const seen = { n: new Map(), a: new Map([is('a', 1n)]) };
      const required = (registered: string) =>
        memberMap(scripted({ entries, registered: cold(registered, there) }, scheduler), 'g', { required: true });
      expectObservable(required('-n')).toBe('-#', undefined, new GroupNotFound('g'));
      expectObservable(required('--g-h--n')).toBe('--n-a--#', seen, new GroupNotFound('g'));
      expectObservable(required('-----g'), '^------!').toBe('-----a', seen);
      const failing = scripted({ entries: cold('-'), registered: cold('-#', undefined, error) }, scheduler);
      expectObservable(memberMap(failing, 'g', { required: true })).toBe('-#', undefined, error);
      const free = scripted({ entries }, scheduler);
      expectObservable(memberMap(free, 'g', { required: false }), '^------!').toBe('-n--a', seen);
      expectSubscriptions(entries.subscriptions).toBe(['^!', '^------!', '^------!', '^------!']);
      at(20, () => expect(free.calls).toEqual(['entries group g']));
    });
  });

  it('completes with the backend where the group is required', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const closing = scripted(
        { entries: cold('-n-|', { n: [] }), registered: cold('-g-|', { g: new Set(['g']) }) },
        scheduler,
      );
      expectObservable(memberMap(closing, 'g', { required: true })).toBe('-n-|', { n: new Map() });
    });
  });

  it('over a store: a group that is required is followed until it is deleted', () => {
    virtually(({ process, expectObservable }) => {
      const [one, two] = [process(), process()];
      const sizes = (required: boolean) => members(two, 'g', { required }).pipe(map((ids) => `${ids.size}`));
      const missing = expect.objectContaining({ _tag: 'GroupNotFound', group: 'g' });
      expectObservable(sizes(true)).toBe('#', undefined, missing);
      expectObservable(sizes(false), '^---------!').toBe('0-1--0');
      expectObservable(join(one, 'g', { id: 'm', create: true }).pipe(map(({ id }) => id)), '--^--!').toBe('--m');
      expectObservable(sizes(true), '---^').toBe('---1-0-#', undefined, missing);
      expectObservable(deleteGroup(one, 'g'), '-------^').toBe('-------(u|)', { u: undefined });
    });
  });

  it('refuses options at the call', () => {
    virtually(({ scheduler }) => {
      const refusal = expect.objectContaining({ _tag: 'InvalidOptions' });
      for (const options of [{ required: 'yes' }, { require: true }, null])
        for (const look of [memberMap, members])
          expect(() => look(scripted({}, scheduler), 'g', options as never)).toThrow(refusal);
    });
  });
});
