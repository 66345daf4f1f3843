import { isSome } from 'fp-ts/lib/Option.js';
import { map, type Observable } from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { Backend, Entry } from '../../src/backends/backend.js';
import { AuthenticationFailed } from '../../src/backends/errors.js';
import { campaign } from '../../src/observables/elections/campaign.js';
import { candidates } from '../../src/observables/elections/candidates.js';
import { leader } from '../../src/observables/elections/leader.js';
import { entryOf, scripted, shown, virtually } from '../support/virtual-time.js';

const one = entryOf('e1', 1n, 'one');
const two = entryOf('e2', 2n, 'two');
const again = entryOf('e1', 3n, 'one');
const lines: Record<string, readonly Entry[]> = { n: [], a: [one], b: [one, two], c: [two], d: [again] };
const refused = new AuthenticationFailed('scripted', 'nowhere');

const who = (backend: Backend): Observable<unknown> =>
  leader(backend, 'e').pipe(map((first) => (isSome(first) ? shown(first.value.data) : 'nobody')));
const names = { n: 'nobody', a: 'one', c: 'two', d: 'one' };

describe('leader', () => {
  it('is the first in line, told when it changes', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions, at }) => {
      const entries = cold('-n-n-a-b-a-b-c-n-', lines);
      const backend = scripted({ entries }, scheduler);
      expectObservable(who(backend), '^----------------!').toBe('-n---a-------c-n', names);
      expectSubscriptions(entries.subscriptions).toBe('^----------------!');
      at(20, () => expect(backend.calls).toEqual(['entries election e']));
    });
  });

  it('is another one when it has the same id and another token', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      expectObservable(who(scripted({ entries: cold('a-d-d|', lines) }, scheduler))).toBe('a-d--|', names);
    });
  });

  it('is another one when it has the same token and another id', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const entries = cold('a-b|', { a: [one], b: [entryOf('e9', 1n, 'two')] });
      expectObservable(who(scripted({ entries }, scheduler))).toBe('a-c|', names);
    });
  });

  it('is told with token, id and data', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const first = leader(scripted({ entries: cold('b|', lines) }, scheduler), 'e').pipe(map(shown));
      expectObservable(first.pipe(map((l) => (l === 'none' ? l : { ...l, data: shown(l.data) })))).toBe('b|', {
        b: { id: 'e1', token: 1n, mode: 'exclusive', data: 'one' },
      });
    });
  });

  it('is silent while the store is, completes and errors with it, and is looked for anew by each subscription', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const never = cold<readonly Entry[]>('-');
      const backend = scripted({ entries: never }, scheduler);
      expectObservable(who(backend), '^--!').toBe('');
      expectObservable(who(backend), '---^--!').toBe('');
      expectObservable(who(scripted({ entries: cold('-|') }, scheduler))).toBe('-|');
      expectObservable(who(scripted({ entries: cold('-#', undefined, refused) }, scheduler))).toBe(
        '-#',
        undefined,
        refused,
      );
      expectSubscriptions(never.subscriptions).toBe(['^--!', '---^--!']);
    });
  });

  it('refuses a name at the call', () => {
    virtually(({ scheduler }) => {
      expect(() => leader(scripted({}, scheduler), '')).toThrow(expect.objectContaining({ _tag: 'InvalidName' }));
    });
  });

  it('over a store: is whoever campaigns first, and looking never takes part', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second, watcher] = [process(), process(), process()];
      const standing = campaign(first, 'e', { data: 'one' }).subscribe();
      at(3, () => void campaign(second, 'e', { data: 'two' }).subscribe());
      at(6, () => standing.unsubscribe());
      expectObservable(who(watcher), '^--------!').toBe('a-----c', names);
      expectObservable(who(watcher), '-------^-!').toBe('-------c', names);
    });
  });
});

describe('candidates', () => {
  const line = (backend: Backend): Observable<string> =>
    candidates(backend, 'e').pipe(map((all) => all.map(({ data }) => shown(data)).join()));
  const shownAs = { n: '', a: 'one', b: 'one,two', c: 'two' };

  it('are all who stand, in the order in which they will lead', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions, at }) => {
      const entries = cold('-n-a-b-c-', lines);
      const backend = scripted({ entries }, scheduler);
      expectObservable(line(backend), '^--------!').toBe('-n-a-b-c', shownAs);
      expectSubscriptions(entries.subscriptions).toBe('^--------!');
      at(20, () => expect(backend.calls).toEqual(['entries election e']));
    });
  });

  it('have no data where none was given or it cannot be read', () => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const entries = cold('a|', { a: [entryOf('e1', 1n), { ...two, payload: new Uint8Array([0x7b]) }, again] });
      const backend = scripted({ entries }, scheduler);
      expectObservable(line(backend)).toBe('a|', { a: 'none,none,one' });
      at(9, () =>
        expect(backend.faults).toMatchObject([{ _tag: 'UndecodablePayload', subject: 'entry e2 of election "e"' }]),
      );
    });
  });

  it('are told as null where null was given', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const entries = cold('a|', { a: [entryOf('e1', 1n, null)] });
      const data = candidates(scripted({ entries }, scheduler), 'e').pipe(map((all) => all.map((c) => c.data)));
      expectObservable(data).toBe('a|', { a: [{ _tag: 'Some', value: null }] });
    });
  });

  it('are decoded anew when a payload of the same length changes', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const entries = cold('a-b|', { a: [one], b: [{ ...one, payload: two.payload }] });
      expectObservable(line(scripted({ entries }, scheduler))).toBe('a-c|', shownAs);
    });
  });

  it('are silent while the store is, complete and error with it, and are looked for anew by each subscription', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const never = cold<readonly Entry[]>('-');
      const backend = scripted({ entries: never }, scheduler);
      expectObservable(line(backend), '^--!').toBe('');
      expectObservable(line(backend), '---^--!').toBe('');
      expectObservable(line(scripted({ entries: cold('-|') }, scheduler))).toBe('-|');
      expectObservable(line(scripted({ entries: cold('-#', undefined, refused) }, scheduler))).toBe(
        '-#',
        undefined,
        refused,
      );
      expectSubscriptions(never.subscriptions).toBe(['^--!', '---^--!']);
    });
  });

  it('refuse a name at the call', () => {
    virtually(({ scheduler }) => {
      expect(() => candidates(scripted({}, scheduler), '')).toThrow(expect.objectContaining({ _tag: 'InvalidName' }));
    });
  });
});
