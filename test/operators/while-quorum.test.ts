import { NEVER, repeat } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { GateClosed } from '../../src/backends/errors.js';
import { join } from '../../src/observables/groups/join.js';
import { members } from '../../src/observables/groups/members.js';
import { whileQuorum } from '../../src/operators/while-quorum.js';
import { virtually } from '../support/virtual-time.js';

const sets = {
  n: new Set<string>(),
  a: new Set(['a']),
  b: new Set(['a', 'b']),
  m: new Map([
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ]),
};

describe('whileQuorum', () => {
  it('subscribes to the source while enough are there, whoever they are', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const members$ = cold('n-a-b-m----a---b--|', sets);
      const source = cold('      -a-b-c-d-e');
      expectObservable(source.pipe(whileQuorum(members$, 2))).toBe('-----a-b-c------a-|');
      expectSubscriptions(source.subscriptions).toBe(['----^------!', '---------------^--!']);
      expectSubscriptions(members$.subscriptions).toBe('^-----------------!');
    });
  });

  it('hands its options to the gate', () => {
    virtually(({ cold, expectObservable }) => {
      const members$ = cold('b--a', sets);
      const output = (onLoss: 'complete' | 'error') => cold('-a-b').pipe(whileQuorum(members$, 2, { onLoss }));
      expectObservable(output('complete')).toBe('-a-|');
      expectObservable(output('error')).toBe('-a-#', undefined, new GateClosed());
    });
  });

  it('never, empty, error, early unsubscribe, subscribe again', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const gated = (told: string) => cold('-a-|').pipe(whileQuorum(cold(told, sets), 1));
      expectObservable(gated('-'), '^--!').toBe('');
      expectObservable(gated('n|')).toBe('-|');
      expectObservable(gated('a-#')).toBe('-a#');
      const members$ = cold('-a', sets);
      expectObservable(cold('-a-|').pipe(whileQuorum(members$, 1), repeat(2))).toBe('--a---a-|');
      expectSubscriptions(members$.subscriptions).toBe(['^---!', '----^---!']);
    });
  });

  it('opens and closes with the members of a store', () => {
    virtually(({ process, cold, at, expectSubscriptions, expectObservable }) => {
      const backend = process();
      const source = cold('-');
      expectObservable(source.pipe(whileQuorum(members(backend, 'g'), 2)), '^ 39ms !').toBe('');
      join(backend, 'g', { create: true }).subscribe();
      const other = join(process(), 'g', { create: true });
      at(10, () => {
        const stay = other.subscribe();
        at(20, () => stay.unsubscribe());
      });
      expectSubscriptions(source.subscriptions).toBe('10ms ^ 19ms !');
    });
  });

  it.each([0, 1.5, Number.NaN, '2'])('refuses a quorum of %j at the call, naming it', (quorum) => {
    expect(() => whileQuorum(NEVER, quorum as number)).toThrow(
      expect.objectContaining({ violations: [expect.stringContaining('quorum must be an integer from 1')] }),
    );
  });

  it.each([[['a', 'b']], [null], [2]])(
    'NeverOpened: errors where it is given %j in place of a set or a map',
    (given) => {
      virtually(({ cold, expectObservable }) => {
        const gate$ = cold('g', { g: given as never });
        expectObservable(cold('-a').pipe(whileQuorum(gate$, 1))).toBe(
          '#',
          undefined,
          expect.objectContaining({ violations: [expect.stringMatching(/^members\$ must give sets or maps/)] }),
        );
      });
    },
  );

  it('refuses what is no Observable, and options that are none', () => {
    const invalid = expect.objectContaining({ _tag: 'InvalidOptions' });
    expect(() => whileQuorum(new Set() as never, 1)).toThrow(invalid);
    expect(() => whileQuorum(undefined as never, undefined as never)).toThrow(
      expect.objectContaining({
        violations: [expect.stringContaining('members$ '), expect.stringContaining('quorum ')],
      }),
    );
    expect(() => whileQuorum(NEVER, 1, { onLoss: 'retry' as never })).toThrow(invalid);
  });
});
