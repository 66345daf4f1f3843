import fc from 'fast-check';
import { firstValueFrom, of } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { hashRing } from '../../src/observables/sharing/hash-ring.js';
import { checkItems } from '../../src/observables/sharing/items.js';
import { filled, nextPlan, orphans } from '../../src/observables/sharing/next-plan.js';
import {
  decodePlan,
  encodePlan,
  fitsCell,
  itemKeyOf,
  memberKeyOf,
  NO_PLAN,
  type Plan,
} from '../../src/observables/sharing/plan.js';
import { STRATEGIES } from '../../src/observables/sharing/strategies.js';

const itemsOf = (count: number) =>
  checkItems(
    'g',
    Array.from({ length: count }, (_, i) => `tenant-${String(i).padStart(13, '0')}`),
  );
const even = (...ids: readonly string[]): ReadonlyMap<string, number> => new Map(ids.map((id) => [id, 1]));
const many = (count: number) => even(...Array.from({ length: count }, (_, i) => `member-${i}`));
const ownerIn = (plan: Plan, item: string) => plan.get(itemKeyOf(item));
const countsIn = (plan: Plan, ids: Iterable<string>): readonly number[] =>
  [...ids].map((id) => [...plan.values()].filter((owner) => owner === memberKeyOf(id)).length);
const movesFrom = (before: Plan, after: Plan): number =>
  [...after].filter(([item, owner]) => before.get(item) !== owner).length;

/** Members with weights, some of whom may be there before, and some after. */
const weights = fc
  .dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), fc.integer({ min: 1, max: 5 }), { minKeys: 1 })
  .map((all) => new Map(Object.entries(all)));

describe('a sticky plan', () => {
  it('gives each its due by its weight, to within less than one item, and moves no more than that takes', () => {
    fc.assert(
      fc.property(weights, weights, fc.nat(40), fc.nat(40), (then, now, few, more) => {
        const before = nextPlan(STRATEGIES.sticky, NO_PLAN, then, itemsOf(few));
        const items = itemsOf(more);
        const after = nextPlan(STRATEGIES.sticky, before, now, items);
        const total = [...now.values()].reduce((sum, weight) => sum + weight, 0);
        const counts = countsIn(after, now.keys());
        expect(after.size).toBe(more);
        const dues = [...now.values()].map((weight) => (more * weight) / total);
        for (const [i, due] of dues.entries()) expect(Math.abs((counts[i] ?? 0) - due)).toBeLessThan(1);
        // The least that moves: what nobody has who is there, and what is beyond the most that one may have; of those who may
        // have one more than their due in whole items, as many as there are items left over keep it.
        const kept = [...now.keys()].map(
          (id) => items.names.filter((item) => ownerIn(before, item) === memberKeyOf(id)).length,
        );
        const left = more - dues.reduce((sum, due) => sum + Math.floor(due), 0);
        const beyond = kept.filter((count, i) => count > (dues[i] ?? 0) && (dues[i] ?? 0) % 1 > 0).length;
        const stay = kept.reduce((sum, count, i) => sum + Math.min(count, Math.floor(dues[i] ?? 0)), 0);
        expect(movesFrom(before, after)).toBe(more - stay - Math.min(left, beyond));
      }),
    );
  });

  it('moves nothing where nothing has changed', () => {
    fc.assert(
      fc.property(weights, fc.nat(40), fc.constantFrom(...Object.values(STRATEGIES)), (members, count, strategy) => {
        const plan = nextPlan(strategy, NO_PLAN, members, itemsOf(count));
        expect(nextPlan(strategy, plan, members, itemsOf(count))).toEqual(plan);
      }),
    );
  });

  it('moves a tenth when a tenth member comes, and as little when it goes', () => {
    const items = itemsOf(100);
    const nine = nextPlan(STRATEGIES.sticky, NO_PLAN, many(9), items);
    const ten = nextPlan(STRATEGIES.sticky, nine, many(10), items);
    expect(movesFrom(nine, ten)).toBe(10);
    expect(movesFrom(ten, nextPlan(STRATEGIES.sticky, ten, many(9), items))).toBe(10);
  });
});

describe('other strategies', () => {
  it('round-robin deals in the order of the names, by weight', () => {
    const items = checkItems('g', ['1', '2', '3', '4', '5', '6', '7', '8']);
    const plan = nextPlan(STRATEGIES['round-robin'], NO_PLAN, new Map(Object.entries({ a: 2, b: 1, c: 1 })), items);
    const ids = new Map(['a', 'b', 'c'].map((id) => [memberKeyOf(id), id]));
    expect(items.names.map((item) => ids.get(ownerIn(plan, item) ?? '')).join('')).toBe('abcaabca');
  });

  it('hash is the ring of hashRing', async () => {
    const items = itemsOf(200);
    const members = new Map(Object.entries({ a: 1, b: 2, c: 3 }));
    const plan = nextPlan(STRATEGIES.hash, NO_PLAN, members, items);
    const ring = await firstValueFrom(hashRing(of(members), { weights: (_, weight) => weight ?? 0 }));
    for (const item of items.names) expect(ownerIn(plan, item)).toBe(memberKeyOf(ring.ownerOf(item) ?? ''));
  });
});

describe('any plan', () => {
  it('is empty where nobody may own anything', () => {
    for (const strategy of Object.values(STRATEGIES)) {
      expect(nextPlan(strategy, NO_PLAN, new Map(), itemsOf(3)).size).toBe(0);
      expect(nextPlan(strategy, NO_PLAN, new Map([['a', 0]]), itemsOf(3)).size).toBe(0);
    }
  });

  it('items whose keys are the same have one owner, and stay with it', () => {
    const seen = new Map<number, string>();
    let twins: readonly [string, string] | undefined;
    for (let i = 0; twins === undefined; i++) {
      const key = itemKeyOf(`n${i}`);
      const other = seen.get(key);
      if (other !== undefined) twins = [other, `n${i}`];
      seen.set(key, `n${i}`);
    }
    const items = checkItems('g', [...twins, 'x', 'y']);
    const members = even('a', 'b');
    let plan = nextPlan(STRATEGIES.sticky, NO_PLAN, members, items);
    for (let round = 0; round < 5; round++) {
      const next = nextPlan(STRATEGIES.sticky, decodePlan(encodePlan(plan)), members, items);
      expect(next).toEqual(plan);
      plan = next;
    }
    expect(plan.size).toBe(3);
  });

  it('orphans are those of members who are gone, and new items; filled in, nothing else moves', () => {
    const before = nextPlan(STRATEGIES.sticky, NO_PLAN, even('a', 'b', 'c'), itemsOf(9));
    const items = itemsOf(10);
    const waiting = new Set(orphans(before, ['a', 'b'], items));
    expect(waiting.size).toBe(4);
    const next = nextPlan(STRATEGIES['round-robin'], before, even('a', 'b'), items);
    const plan = filled(before, next, waiting, items);
    expect(plan.size).toBe(10);
    expect(movesFrom(before, plan)).toBe(4);
    // An item that is gone has no place in it.
    expect(filled(before, next, waiting, itemsOf(2)).size).toBe(2);
  });

  it('is the same when it is read again, and equal plans are equal bytes', () => {
    fc.assert(
      fc.property(weights, fc.nat(60), (members, count) => {
        const plan = nextPlan(STRATEGIES.sticky, NO_PLAN, members, itemsOf(count));
        const bytes = encodePlan(plan);
        expect(decodePlan(bytes)).toEqual(plan);
        expect(encodePlan(new Map([...plan].reverse()))).toEqual(bytes);
      }),
    );
  });

  it('of 15,000 items and 400 members goes into a cell; of twice as many items it does not', () => {
    const bytes = encodePlan(nextPlan(STRATEGIES.sticky, NO_PLAN, many(400), itemsOf(15_000)));
    expect(fitsCell(bytes)).toBe(true);
    expect(bytes.length).toBe(1 + 400 * 12 + 15_000 * 4);
    expect(fitsCell(new Uint8Array(2 * bytes.length))).toBe(false);
  });

  it.each([
    ['nothing', []],
    ['another version', [2]],
    ['an owner that is cut off', [1, 0, 0]],
    ['items that are cut off', [1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0, 1]],
    ['text', [...'{"plan":1}'].map((char) => char.charCodeAt(0))],
  ])('is not made of %s', (_, bytes) => {
    expect(() => decodePlan(Uint8Array.from(bytes))).toThrow();
  });
});
