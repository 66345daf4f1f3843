import { expect, test } from 'vitest';
import { KnownEntries, unchanged } from '../../../src/backends/redis/known-entries.js';

const entryOf = (id: string, token: string, payload: Uint8Array) =>
  id.includes('.s') ? [{ id, token: BigInt(token), mode: 'shared' as const, permits: Infinity, payload }] : [];

/** As it was read when the data had 10 changes. */
function known(...ids: string[]): KnownEntries {
  const entries = ids.flatMap((id, at) => entryOf(id, `${at}`, new Uint8Array()));
  return new KnownEntries('data', 10, entries, entryOf);
}

function change(count: number, before: number | string, ...list: string[][]): string {
  return JSON.stringify(['data', `${count}`, `${before}`, list]);
}

function idsOf({ value }: KnownEntries): readonly string[] {
  return value.map(({ id }) => id);
}

test('each change is taken in: who enters stands last, whose payload changes stays, who leaves is gone', () => {
  const roster = known('a.s', 'b.s');
  expect(roster.follow(change(12, 9, ['c.s', '5', 'ä']))).toBe(true);
  expect(roster.follow(change(15, 12, ['a.s', '0', 'x'], ['b.s']))).toBe(true);
  expect(idsOf(roster)).toEqual(['a.s', 'c.s']);
  expect(roster.value.map(({ payload }) => new TextDecoder().decode(payload))).toEqual(['x', 'ä']);
});

test('a change that the reading has already is no change', () => {
  const roster = known('a.s');
  expect(roster.follow(change(10, 4, ['a.s']))).toBe(false);
  expect(roster.follow(change(3, 'none', ['a.s']))).toBe(false);
  expect(idsOf(roster)).toEqual(['a.s']);
});

test('a change after one that was not heard is not taken in', () => {
  const roster = known('a.s');
  expect(roster.follow(change(13, 12, ['b.s', '5', '']))).toBeUndefined();
  expect(idsOf(roster)).toEqual(['a.s']);
});

test('the first change that is known of is taken in by whoever knows of nobody', () => {
  expect(known('a.s').follow(change(12, '', ['b.s', '5', '']))).toBeUndefined();
  const empty = known();
  expect(empty.follow(change(12, '', ['b.s', '5', '']))).toBe(true);
  expect(idsOf(empty)).toEqual(['b.s']);
});

test('where nobody stands any more, it does not matter what was missed', () => {
  const roster = known('a.s', 'b.s');
  expect(roster.follow(change(14, 'none', ['b.s']))).toBe(true);
  expect(idsOf(roster)).toEqual([]);
  expect(roster.follow(change(17, '', ['c.s', '5', '']))).toBe(true);
  expect(idsOf(roster)).toEqual(['c.s']);
});

test.each([
  ['what an older version publishes', ''],
  ['what others publish', 'nonsense'],
  ['half a change', '["data","11"'],
  ['what is another', '{}'],
  ['a change that cannot be said', change(11, 10).replace('[]', '[{}]')],
  ['no change', change(11, 10).replace('[]', '{}')],
  ['that of other data', change(11, 10, ['a.s']).replace('data', 'other')],
  ['a payload that is no text', change(11, 10, ['b.s', '5', '\uFFFD'])],
])('%s is not taken in: it must be read', (_, message) => {
  const roster = known('a.s');
  expect(roster.follow(message)).toBeUndefined();
  expect(idsOf(roster)).toEqual(['a.s']);
});

test('that nothing has changed holds only for whoever has heard all, and knows of as many', () => {
  expect(known('a.s').follow(unchanged('data', '10', 1))).toBe(false);
  expect(known('a.s').follow(unchanged('data', '11', 1))).toBeUndefined();
  expect(known('a.s').follow(unchanged('data', '10', 2))).toBeUndefined();
  expect(known('a.s').follow(unchanged('other', '10', 1))).toBeUndefined();
});

test('what is none of ours is not shown', () => {
  const roster = known('a.s');
  expect(roster.follow(change(11, 10, ['nonsense', '5', '']))).toBe(true);
  expect(idsOf(roster)).toEqual(['a.s']);
});
