import { createHash } from 'node:crypto';
import { firstValueFrom, map, of, repeat, toArray } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { type HashRingOptions, hashRing } from '../../src/observables/sharing/hash-ring.js';
import type { Ring } from '../../src/observables/sharing/ring.js';
import { virtually } from '../support/virtual-time.js';

const ringOf = (weights: Readonly<Record<string, number>>, partitions = 32): Promise<Ring> =>
  firstValueFrom(
    hashRing(of(new Map(Object.entries(weights))), { partitions, weights: (_, weight) => weight ?? Number.NaN }),
  );
const even = (...ids: readonly string[]): Promise<Ring> => ringOf(Object.fromEntries(ids.map((id) => [id, 1])));

const keys = Array.from({ length: 1_000 }, (_, i) => `key-${i}-é😀`);

describe('a ring and that of tooz', () => {
  const sets: Readonly<Record<string, Readonly<Record<string, number>>>> = {
    'three of weight 1': { foo: 1, bar: 1, baz: 1 },
    'weights 1, 2 and 3': { foo: 1, bar: 2, baz: 3 },
    'one alone': { 'w-1': 1 },
    'ids that repeat each other': { '1': 1, '11': 1, '111': 2, '1111': 3, '2': 1 },
    'ids beyond ASCII': { '\u0634\u0628\u06a9\u0647': 2, '😀': 1, é: 5 },
    fifty: Object.fromEntries(Array.from({ length: 50 }, (_, i) => [String(i), 1 + (i % 4)])),
  };

  // What tooz 2 says: the MD5 of a line for each key, with the owners in the order of their names. Members were added in that
  // order, and as many of the first of them ignored as the last number says.
  it.each([
    ['three of weight 1', 32, 1, 0, 'da59d422c62066730bcab94c3b5b698b'],
    ['three of weight 1', 7, 2, 0, '447c7bcd47b7ebe38139845e495dea61'],
    ['three of weight 1', 100, 3, 1, 'bcbc00de3fb3bf214ceb4ba28aea335c'],
    ['weights 1, 2 and 3', 32, 1, 0, 'afafeccfbbcd6be1fc8407376717b974'],
    ['weights 1, 2 and 3', 7, 2, 0, '604332b1a77b9ddb2acf8d3b1383c721'],
    ['weights 1, 2 and 3', 100, 3, 1, 'bcbc00de3fb3bf214ceb4ba28aea335c'],
    ['one alone', 32, 1, 0, '92c4293ed9037dbc54e49cea5bc4d6c9'],
    ['one alone', 7, 2, 0, '92c4293ed9037dbc54e49cea5bc4d6c9'],
    ['one alone', 100, 3, 1, '05ab8b50038bba302ea0301624cf5ff2'],
    ['ids that repeat each other', 32, 1, 0, 'a662a4320e5c6b4a89c0c3af862cf135'],
    ['ids that repeat each other', 7, 2, 0, 'edc3e700b9312773f6ce758c73726253'],
    ['ids that repeat each other', 100, 3, 1, '304dab190e16bea204e26644aa27af76'],
    ['ids beyond ASCII', 32, 1, 0, 'd967448dec8d26e5c2ae5285f2d1c7e7'],
    ['ids beyond ASCII', 7, 2, 0, 'd6a3ab974aa05da579af9353b8b520b2'],
    ['ids beyond ASCII', 100, 3, 1, 'b08b9285b7bddfedfceffa4e449de127'],
    ['fifty', 32, 1, 0, '25fe607ceebbdf1987606a4b819aab22'],
    ['fifty', 7, 2, 0, 'c9038529e9e33c3cdcc2cb45296c0bc6'],
    ['fifty', 100, 3, 1, 'bbd33bdea3acdfda297a753b59e2e50b'],
  ])('agree on 1,000 keys: %s, %i partitions, %i replicas, %i ignored', async (set, partitions, replicas, n, said) => {
    const weights = sets[set] ?? {};
    const ignore = Object.keys(weights).sort().slice(0, n);
    const ring = await ringOf(weights, partitions);
    const lines = keys.map((key) => [...ring.ownersOf(key, { replicas, ignore })].sort().join());
    expect(createHash('md5').update(lines.join('\n')).digest('hex')).toBe(said);
  });

  it('agree on the vectors of its own tests, clockwise', async () => {
    const ring = await even('foo', 'bar', 'baz');
    expect(ring.ownersOf('fake', { replicas: 3 })).toEqual(['foo', 'bar', 'baz']);
    expect(ring.ownersOf('fake-again', { replicas: 3 })).toEqual(['bar', 'baz', 'foo']);
    expect(ring.ownersOf('fake', { ignore: ['foo'] })).toEqual(['bar']);
    expect(ring.ownersOf('fake', { ignore: ['foo', 'bar'] })).toEqual(['baz']);
    expect(ring.ownersOf('fake', { ignore: ['foo', 'bar', 'baz'] })).toEqual([]);
    expect(ring.ownersOf('fake', { ignore: ['nobody'] })).toEqual(['foo']);
    const weighted = await ringOf({ foo: 1, bar: 2, baz: 3 });
    expect(Array.from({ length: 10 }, (_, i) => weighted.ownerOf(String(i))).join(' ')).toBe(
      'foo baz bar foo baz baz bar bar bar baz',
    );
  });

  it('agree on bytes that are no text', async () => {
    expect((await even('foo', 'bar', 'baz')).ownerOf(Uint8Array.of(0, 255, 128))).toBe('foo');
  });
});

describe('a ring', () => {
  it('has no owner without members, nor with members who take nothing', async () => {
    expect((await even()).ownerOf('k')).toBeUndefined();
    expect((await even()).ownersOf('k', { replicas: 3 })).toEqual([]);
    const idle = await ringOf({ a: 0, b: 0 });
    expect(idle.ownerOf('k')).toBeUndefined();
    expect([...idle.members]).toEqual([
      ['a', 0],
      ['b', 0],
    ]);
    expect((await ringOf({ a: 0, b: 1 })).ownersOf('k', { replicas: 2 })).toEqual(['b']);
  });

  it('names as many as are asked for, and no more than there are', async () => {
    const ring = await even('a', 'b');
    expect(ring.ownersOf('k', { replicas: 0 })).toEqual([]);
    expect(ring.ownersOf('k', { replicas: 9 })).toHaveLength(2);
    expect(ring.ownersOf('k')).toEqual([ring.ownerOf('k')]);
  });

  it('OrderOfComing: is the same whoever came first, even where ids have points in common', async () => {
    const [one, other] = [await even('1', '11', '2'), await even('2', '11', '1')];
    const fromSets = await firstValueFrom(hashRing(of(new Set(['11', '1', '2']))));
    for (const key of keys) {
      expect(other.ownerOf(key)).toBe(one.ownerOf(key));
      expect(fromSets.ownerOf(key)).toBe(one.ownerOf(key));
    }
  });

  it('moves to a member that comes what it takes, and nothing among the others; and back when it goes', async () => {
    const few = new Set(['1', '2', '3']);
    const sets$ = of(few, new Set([...few, '11']), few);
    const [before, with11, after] = (await firstValueFrom(hashRing(sets$).pipe(toArray()))) as [Ring, Ring, Ring];
    const moved = keys.filter((key) => before.ownerOf(key) !== with11.ownerOf(key));
    expect(new Set(moved.map((key) => with11.ownerOf(key)))).toEqual(new Set(['11']));
    expect(moved.length).toBeGreaterThan(100);
    expect(moved.length).toBeLessThan(400);
    expect(keys.filter((key) => before.ownerOf(key) !== after.ownerOf(key))).toEqual([]);
  });

  it.each([
    [1, {}, 'key must be'],
    ['\ud800', {}, 'key must be'],
    ['k', { replicas: 1.5 }, 'replicas must be an integer'],
    ['k', { replicas: -1 }, 'replicas must be an integer'],
    ['k', { ignore: 'foo' }, 'ignore must be ids'],
    ['k', { ignored: [] }, 'ignored is not an option'],
    ['k', null, 'options must be an object'],
  ])('refuses to look up %j with %j', async (key, options, violation) => {
    const ring = await even('a');
    expect(() => ring.ownersOf(key as never, options as never)).toThrow(
      expect.objectContaining({ _tag: 'InvalidOptions', violations: [expect.stringContaining(violation)] }),
    );
  });
});

describe('hashRing', () => {
  const sets = { a: new Set(['a']), b: new Set(['a', 'b']), c: new Set(['b', 'a']) };
  const told = (ring: Ring): string => [...ring.members.keys()].join('');
  const shown = { a: 'a', b: 'ab' };

  it('emits a ring for other members, and none for the same', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const members$ = cold('-a-a-b-c-a|', sets);
      expectObservable(hashRing(members$).pipe(map(told))).toBe('-a---b---a|', shown);
      expectSubscriptions(members$.subscriptions).toBe('^---------!');
    });
  });

  it('never, empty, error, early unsubscribe, subscribe again', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const never = cold<Set<string>>('-');
      expectObservable(hashRing(never), '^--!').toBe('');
      expectSubscriptions(never.subscriptions).toBe('^--!');
      expectObservable(hashRing(cold<Set<string>>('--|'))).toBe('--|');
      expectObservable(hashRing(cold<Set<string>>('--#'))).toBe('--#');
      const again = cold('-a|', sets);
      expectObservable(hashRing(again).pipe(repeat(2), map(told))).toBe('-a-a|', shown);
    });
  });

  it('emits another ring where a weight has changed, and none where only capabilities have', () => {
    virtually(({ cold, expectObservable }) => {
      const members$ = cold('a-b-c', {
        a: new Map([['w', { size: 1, zone: 'x' }]]),
        b: new Map([['w', { size: 1, zone: 'y' }]]),
        c: new Map([['w', { size: 2, zone: 'y' }]]),
      });
      const ring$ = hashRing(members$, { weights: (_, member) => member?.size ?? 0 });
      expectObservable(ring$.pipe(map((ring) => ring.members.get('w')))).toBe('a---c', { a: 1, c: 2 });
    });
  });

  it.each([
    [{ partitions: 0 }, 'partitions must be an integer from 1'],
    [{ partitions: 2.5 }, 'partitions must be an integer from 1'],
    [{ weights: 2 }, 'weights must be a function'],
    [{ partition: 3 }, 'partition is not an option (is partitions meant?)'],
    [null, 'options must be an object'],
  ])('refuses %j at the call', (options, violation) => {
    expect(() => hashRing(of(new Set(['a'])), options as HashRingOptions)).toThrow(
      expect.objectContaining({ _tag: 'InvalidOptions', violations: [expect.stringContaining(violation)] }),
    );
  });

  it('refuses what is no Observable at the call', () => {
    expect(() => hashRing(new Set(['a']) as never)).toThrow(expect.objectContaining({ _tag: 'InvalidOptions' }));
  });

  it.each<[unknown, () => number, string]>([
    [new Set(['a']), () => -1, 'weights must give an integer from 0 to 32768, but gives -1 for "a"'],
    [new Set(['a']), () => 32_769, 'weights must give an integer from 0 to 32768, but gives 32769 for "a"'],
    [new Set(['a']), () => Number.NaN, 'weights must give an integer from 0 to 32768, but gives NaN for "a"'],
    [new Set([7]), () => 1, 'members$ must give ids, each a string of well-formed Unicode, but gives 7'],
    [['a'], () => 1, 'members$ must give sets or maps, but gives a list'],
    [null, () => 1, 'members$ must give sets or maps, but gives null'],
  ])('errors where %j is given with a weight that is none, or nobody', async (members, weights, violation) => {
    await expect(firstValueFrom(hashRing(of(members as ReadonlySet<string>), { weights }))).rejects.toMatchObject({
      _tag: 'InvalidOptions',
      violations: [violation],
    });
  });
});
