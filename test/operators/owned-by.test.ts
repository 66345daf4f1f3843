import { repeat, throwError } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { GateClosed } from '../../src/backends/errors.js';
import type { Ring } from '../../src/observables/sharing/ring.js';
import { ownedBy } from '../../src/operators/owned-by.js';
import { whileOwner } from '../../src/operators/while-owner.js';
import { virtually } from '../support/virtual-time.js';

/** Rings in which `me` owns these keys. */
const owning = (mine: string): Ring => ({
  members: new Map(),
  ownerOf: (key) => (mine.includes(String(key)) ? 'me' : 'another'),
  ownersOf: () => [],
});
const rings = { R: owning('bc'), S: owning('c'), N: owning('') };
const keyOf = (item: string): string => item;
const invalid = (...violations: readonly string[]) =>
  expect.objectContaining({ _tag: 'InvalidOptions', violations: violations.map((it) => expect.stringContaining(it)) });

describe('ownedBy', () => {
  it('lets pass what is one’s own by the ring told last, and waits for the first ring', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const ring$ = cold('---R--------S----', rings);
      const source = cold('  -a-b-c----b-c|');
      expectObservable(source.pipe(ownedBy(ring$, 'me', keyOf))).toBe('------b-c------c|');
      expectSubscriptions(source.subscriptions).toBe('---^------------!');
      expectSubscriptions(ring$.subscriptions).toBe('^---------------!');
    });
  });

  it('never subscribes to the source without a ring', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('b');
      expectObservable(source.pipe(ownedBy(cold<Ring>('-'), 'me', keyOf)), '^---!').toBe('');
      expectObservable(source.pipe(ownedBy(cold<Ring>('--|'), 'me', keyOf))).toBe('--|');
      expectSubscriptions(source.subscriptions).toBe([]);
    });
  });

  it('ends with the ring, with its error, and with that of the source', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('-b-b-b');
      expectObservable(source.pipe(ownedBy(cold('R---|', rings), 'me', keyOf))).toBe('-b-b|');
      expectObservable(source.pipe(ownedBy(cold('R---#', rings), 'me', keyOf))).toBe('-b-b#');
      expectSubscriptions(source.subscriptions).toBe(['^---!', '^---!']);
      const ring$ = cold('R', rings);
      expectObservable(throwError(() => 'error').pipe(ownedBy(ring$, 'me', keyOf))).toBe('#');
      expectObservable(cold('|').pipe(ownedBy(ring$, 'me', keyOf))).toBe('|');
      expectSubscriptions(ring$.subscriptions).toBe(['(^!)', '(^!)']);
    });
  });

  it('forgets the ring when subscribed to again', () => {
    virtually(({ cold, expectObservable }) => {
      const ring$ = cold('-R-', rings);
      expectObservable(cold('b-|').pipe(ownedBy(ring$, 'me', keyOf), repeat(2))).toBe('-b--b-|');
    });
  });

  it('errors with what keyOf throws', () => {
    virtually(({ cold, expectObservable }) => {
      const broken = (): never => {
        throw 'error';
      };
      expectObservable(cold('-b').pipe(ownedBy(cold('R', rings), 'me', broken))).toBe('-#');
    });
  });

  it('refuses at the call what is none, naming it', () => {
    const ring$ = throwError(() => 'unused');
    expect(() => ownedBy(rings.R as never, 1 as never, 'id' as never)).toThrow(invalid('ring$ ', 'id ', 'keyOf '));
    expect(() => ownedBy(ring$, '\ud800', keyOf)).toThrow(invalid('id '));
    const nothing = undefined as never;
    expect(() => ownedBy(nothing, nothing, nothing)).toThrow(invalid('ring$ ', 'id ', 'keyOf '));
  });
});

describe('whileOwner', () => {
  it('subscribes to the source while the key is one’s own', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const ring$ = cold('N--R-S----N---R--|', rings);
      const source = cold('   -a-b-c-d-e');
      expectObservable(source.pipe(whileOwner(ring$, 'me', 'c'))).toBe('----a-b-c------a-|');
      expectSubscriptions(source.subscriptions).toBe(['---^------!', '--------------^--!']);
      expectSubscriptions(ring$.subscriptions).toBe('^----------------!');
    });
  });

  it('hands its options to the gate', () => {
    virtually(({ cold, expectObservable }) => {
      const ring$ = cold('R--N', rings);
      const output = (onLoss: 'complete' | 'error') => cold('-a-b').pipe(whileOwner(ring$, 'me', 'b', { onLoss }));
      expectObservable(output('complete')).toBe('-a-|');
      expectObservable(output('error')).toBe('-a-#', undefined, new GateClosed());
    });
  });

  it('never, empty, error, early unsubscribe, subscribe again', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const gated = (ring: string) => cold('-a-|').pipe(whileOwner(cold(ring, rings), 'me', 'b'));
      expectObservable(gated('-'), '^--!').toBe('');
      expectObservable(gated('-|')).toBe('-|');
      expectObservable(gated('R-#')).toBe('-a#');
      const ring$ = cold('-R', rings);
      expectObservable(cold('-a-|').pipe(whileOwner(ring$, 'me', 'b'), repeat(2))).toBe('--a---a-|');
      expectSubscriptions(ring$.subscriptions).toBe(['^---!', '----^---!']);
    });
  });

  it('refuses at the call what is none, naming it', () => {
    const ring$ = throwError(() => 'unused');
    expect(() => whileOwner(1 as never, 1 as never, 1 as never)).toThrow(invalid('ring$ ', 'id ', 'key '));
    const nothing = undefined as never;
    expect(() => whileOwner(nothing, nothing, nothing)).toThrow(invalid('ring$ ', 'id ', 'key '));
    expect(() => whileOwner(ring$, 'me', 'k', { onLoss: 'retry' as never })).toThrow(invalid('onLoss '));
  });
});

describe.each([null, 1, { members: new Map() }])('NotARing: a ring$ that gives %j', (given) => {
  it('errors, naming it', () => {
    virtually(({ cold, expectObservable }) => {
      const ring$ = cold('-R', { R: given as never });
      const error = invalid('ring$ must give rings');
      expectObservable(cold('b').pipe(whileOwner(ring$, 'me', 'b'))).toBe('-#', undefined, error);
      expectObservable(cold('b').pipe(ownedBy(ring$, 'me', keyOf))).toBe('-#', undefined, error);
    });
  });
});
