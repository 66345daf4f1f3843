import { Hashes, ringOf } from './ring.js';

/**
 * Divides items among members, at least one, each of a weight greater than 0. Pure: the same plan, wherever it is made. `before` tells
 * who owned an item until now; `undefined` where nobody did who is still there. Members and items come in the order of their names.
 */
export type Strategy = (
  before: (item: string) => string | undefined,
  members: ReadonlyMap<string, number>,
  items: readonly string[],
) => ReadonlyMap<string, string>;

/** At how many points of its ring a member of weight 1 stands, as in `hashRing`. */
export const PARTITIONS = 32;

/** The names that users give them. */
export const STRATEGIES: Readonly<Record<'sticky' | 'round-robin' | 'hash', Strategy>> = {
  sticky,
  'round-robin': roundRobin,
  hash: consistentHash,
};

/** Each member has its due by its weight, to within less than one item, and no item moves that need not move for that. */
function sticky(...[before, members, items]: Parameters<Strategy>): ReadonlyMap<string, string> {
  const kept = new Map<string, string[]>([...members.keys()].map((id) => [id, []]));
  const free: string[] = [];
  for (const item of items) (kept.get(before(item) ?? '') ?? free).push(item);
  const dues = duesOf(members, items.length, (id) => kept.get(id)?.length ?? 0);
  for (const [id, mine] of kept) free.push(...mine.splice(dues.get(id) ?? 0));
  const owners = new Map([...kept].flatMap(([id, mine]) => mine.map((item) => [item, id])));
  // Dealt in turns, so that items of similar names, which may be alike in other things, do not all come to one member.
  const lacking = [...kept.keys()];
  for (const item of free.sort()) {
    let id = lacking.shift() as string;
    while (lack(id) === 0) id = lacking.shift() as string;
    owners.set(item, id);
    kept.get(id)?.push(item);
    lacking.push(id);
  }
  return owners;

  function lack(id: string): number {
    return (dues.get(id) ?? 0) - (kept.get(id)?.length ?? 0);
  }
}

/** How many items each is to have. What does not come out even goes to those who have it already. */
function duesOf(
  members: ReadonlyMap<string, number>,
  count: number,
  has: (id: string) => number,
): ReadonlyMap<string, number> {
  const total = [...members.values()].reduce((sum, weight) => sum + weight, 0);
  const dues = new Map([...members].map(([id, weight]) => [id, Math.floor((count * weight) / total)]));
  const rest = count - [...dues.values()].reduce((sum, due) => sum + due, 0);
  const isUneven = ([, weight]: readonly [string, number]): boolean => (count * weight) % total > 0;
  const hasMore = (id: string): number => (has(id) > (dues.get(id) ?? 0) ? 1 : 0);
  const first = [...members].filter(isUneven).sort(([a], [b]) => hasMore(b) - hasMore(a));
  for (const [id] of first.slice(0, rest)) dues.set(id, (dues.get(id) ?? 0) + 1);
  return dues;
}

/** Dealt out in the order of the names; a member of twice the weight gets two where others get one, spread over the round. */
function roundRobin(...[, members, items]: Parameters<Strategy>): ReadonlyMap<string, string> {
  const round = roundOf(members, items.length);
  return new Map(items.map((item, i) => [item, round[i % round.length] as string]));
}

/** Who gets one after the other, until it begins anew, or `most` times. */
function roundOf(members: ReadonlyMap<string, number>, most: number): readonly string[] {
  const total = [...members.values()].reduce((sum, weight) => sum + weight, 0);
  const credits = new Map<string, number>();
  const round: string[] = [];
  do {
    let next = '';
    for (const [id, weight] of members) {
      credits.set(id, (credits.get(id) ?? 0) + weight);
      if (next === '' || (credits.get(id) ?? 0) > (credits.get(next) ?? 0)) next = id;
    }
    credits.set(next, (credits.get(next) ?? 0) - total);
    round.push(next);
  } while (round.length < most && [...credits.values()].some((credit) => credit !== 0));
  return round;
}

/** By the ring of `hashRing`: who knows the members knows the owner, without any plan. */
function consistentHash(...[, members, items]: Parameters<Strategy>): ReadonlyMap<string, string> {
  const ring = ringOf(members, PARTITIONS, new Hashes());
  return new Map(
    items.flatMap((item) => {
      const owner = ring.ownerOf(item);
      return owner === undefined ? [] : [[item, owner] as const];
    }),
  );
}
