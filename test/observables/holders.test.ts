import { map, of } from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { Entry } from '../../src/backends/backend.js';
import { AuthenticationFailed } from '../../src/backends/errors.js';
import { enveloped } from '../../src/observables/holding/envelope.js';
import { holders } from '../../src/observables/locks/holders.js';
import { lock } from '../../src/observables/locks/lock.js';
import { entryOf, scripted, shown, virtually } from '../support/virtual-time.js';

const x1 = entryOf('x1', 1n);
const x2 = entryOf('x2', 2n);
const s1 = entryOf('s1', 1n, undefined, 'shared');
const s2 = entryOf('s2', 2n, undefined, 'shared');
const x3 = entryOf('x3', 3n);
const s4 = entryOf('s4', 4n, undefined, 'shared');
const lines: Record<string, readonly Entry[]> = {
  n: [],
  a: [x1],
  b: [x1, x2],
  c: [s1, s2],
  d: [s1, s2, x3, s4],
  e: [x3, s4],
};
const ids = { n: [], a: ['x1'], c: ['s1', 's2'], e: ['x3'] };

describe('holders', () => {
  it('is the first in line, or all who share it before the first who does not', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const entries = cold('-n-a-b-c-d-e-', lines);
      const backend = scripted({ entries }, scheduler);
      const held = holders(backend, 'l').pipe(map((all) => all.map(({ id }) => id)));
      expectObservable(held, '^------------!').toBe('-n-a---c---e-', ids);
      expectSubscriptions(entries.subscriptions).toBe('^------------!');
    });
  });

  it('shows a priority and an identity where they were given, and no such fields where not', () => {
    virtually(({ scheduler, expectObservable }) => {
      const given = { ...s2, payload: enveloped(new Uint8Array(), { priority: 7, identity: 'me' }) };
      const held$ = holders(scripted({ entries: of([s1, given]) }, scheduler), 'l');
      expectObservable(held$.pipe(map((all) => all.map((one) => Object.entries(one).slice(4))))).toBe('(a|)', {
        a: [
          [],
          [
            ['priority', 7],
            ['identity', 'me'],
          ],
        ],
      });
    });
  });

  it('tells another holder, mode or data, and never the same twice in a row', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const states: Record<string, readonly Entry[]> = {
        a: [entryOf('x', 1n, 'd')],
        b: [entryOf('y', 1n, 'd')],
        c: [entryOf('y', 2n, 'd')],
        d: [entryOf('y', 2n, 'd', 'shared')],
        e: [entryOf('y', 2n, 'e', 'shared')],
        f: [entryOf('y', 2n, undefined, 'shared')],
        g: [entryOf('y', 2n, undefined, 'shared'), s1],
      };
      const held = holders(scripted({ entries: cold('aabbccddeeffggffee|', states) }, scheduler), 'l').pipe(
        map((all) => all.map(({ id, token, mode, data }) => `${id} ${token} ${mode} ${shown(data)}`).join()),
      );
      expectObservable(held).toBe('a-b-c-d-e-f-g-f-e-|', {
        a: 'x 1 exclusive d',
        b: 'y 1 exclusive d',
        c: 'y 2 exclusive d',
        d: 'y 2 shared d',
        e: 'y 2 shared e',
        f: 'y 2 shared none',
        g: 'y 2 shared none,s1 1 shared none',
      });
    });
  });

  it('tells that one of several was replaced by another', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const s3 = entryOf('s3', 3n, undefined, 'shared');
      const entries = cold('a-b|', { a: [s1, s2], b: [s1, s3] });
      const held = holders(scripted({ entries }, scheduler), 'l').pipe(map((all) => all.map(({ id }) => id).join()));
      expectObservable(held).toBe('a-b|', { a: 's1,s2', b: 's1,s3' });
    });
  });

  it('tells token, mode and data of each', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const garbage: Entry = { ...s2, payload: new Uint8Array([0xff]) };
      const entries = cold('a|', { a: [entryOf('s1', 1n, { who: 'me' }, 'shared'), s2, garbage] });
      const backend = scripted({ entries }, scheduler);
      const held = holders(backend, 'l').pipe(map((all) => all.map((one) => ({ ...one, data: shown(one.data) }))));
      expectObservable(held).toBe('a|', {
        a: [
          { id: 's1', token: 1n, mode: 'shared', data: { who: 'me' } },
          { id: 's2', token: 2n, mode: 'shared', data: 'none' },
          { id: 's2', token: 2n, mode: 'shared', data: 'none' },
        ],
      });
    });
  });

  it('reports each payload that cannot be read once, however often it is seen, and never fails for it', () => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const garbage: Entry = { ...x1, payload: new Uint8Array([0xff]) };
      const other: Entry = { ...x1, payload: new Uint8Array([0xfe]) };
      const backend = scripted({ entries: cold('a-a-a-b-|', { a: [garbage], b: [other] }) }, scheduler);
      expectObservable(holders(backend, 'l').pipe(map((all) => `${all.length}`))).toBe('1-------|');
      at(20, () => {
        expect(backend.faults).toHaveLength(2);
        expect(backend.faults[0]).toMatchObject({ _tag: 'UndecodablePayload', subject: 'entry x1 of lock "l"' });
      });
    });
  });

  it('decodes again what has left and come back, and for each subscription on its own', () => {
    virtually(({ cold, scheduler, at }) => {
      const garbage: Entry = { ...x1, payload: new Uint8Array([0xff]) };
      const backend = scripted({ entries: cold('a-n-a|', { a: [garbage], n: [] }) }, scheduler);
      holders(backend, 'l').subscribe();
      at(9, () => expect(backend.faults).toHaveLength(2));
      at(10, () => void holders(backend, 'l').subscribe());
      at(20, () => expect(backend.faults).toHaveLength(4));
    });
  });

  it('is silent while the store is, completes and errors with it', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const never = cold<readonly Entry[]>('-');
      const error = new AuthenticationFailed('scripted', 'nowhere');
      expectObservable(holders(scripted({ entries: never }, scheduler), 'l'), '^--!').toBe('');
      expectObservable(holders(scripted({ entries: cold('-|') }, scheduler), 'l')).toBe('-|');
      expectObservable(holders(scripted({ entries: cold('-#', undefined, error) }, scheduler), 'l')).toBe(
        '-#',
        undefined,
        error,
      );
      expectSubscriptions(never.subscriptions).toBe('^--!');
    });
  });

  it('looks at locks only, anew for each subscription, and never takes part', () => {
    virtually(({ cold, scheduler, expectSubscriptions, expectObservable, at }) => {
      const entries = cold('n--', lines);
      const backend = scripted({ entries }, scheduler);
      expectObservable(holders(backend, 'l'), '^-!').toBe('n', { n: [] });
      expectObservable(holders(backend, 'l'), '---^-!').toBe('---n', { n: [] });
      expectSubscriptions(entries.subscriptions).toBe(['^-!', '---^-!']);
      at(9, () => expect(backend.calls).toEqual(['entries lock l', 'entries lock l']));
    });
  });

  it('refuses a name at the call', () => {
    virtually(({ scheduler }) => {
      expect(() => holders(scripted({}, scheduler), '')).toThrow(expect.objectContaining({ _tag: 'InvalidName' }));
    });
  });

  it('over a store: follows the lock from hand to hand, without a false empty set while disconnected', () => {
    virtually(({ process, partition, heal, at, expectObservable }) => {
      const [one, two, watcher] = [process(), process(), process()];
      const who = holders(watcher, 'l').pipe(map((all) => all.map(({ data }) => shown(data)).join()));
      expectObservable(lock(one, 'l', { data: 'one' }).pipe(map(() => 'g')), '--^-----!').toBe('--g');
      expectObservable(lock(two, 'l', { data: 'two' }).pipe(map(() => 'g')), '---^ 96ms !').toBe('--------g');
      at(50, () => partition(watcher));
      at(60, () => heal(watcher));
      expectObservable(who, '^ 98ms !').toBe('n-a-----b', { n: '', a: 'one', b: 'two' });
    });
  });
});
