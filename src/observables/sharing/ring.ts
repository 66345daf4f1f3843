import { checkAll, type Expectation, either, integer, objectWith, TEXT } from '../../backends/shared/expectations.js';
import { toUtf8 } from '../../backends/shared/utf8.js';
import { Md5, md5 } from './md5.js';

/** What is looked up in a ring: text counts as its UTF-8. */
export type RingKey = string | Uint8Array;

/** Options of `ownersOf`. */
export interface OwnersOptions {
  /** How many owners to name. Where the ring has fewer, all of them. Default 1. */
  readonly replicas?: number;
  /** Who is passed over, as if nobody stood there. Who is no member is not missed. */
  readonly ignore?: Iterable<string>;
}

/** Who owns which key, as long as the members are these. Immutable: other members make another ring. */
export interface Ring {
  /** The ids of the members, with the weight of each. */
  readonly members: ReadonlyMap<string, number>;
  /** The member who owns the key; `undefined` where there is nobody to own anything. */
  ownerOf(key: RingKey): string | undefined;
  /** The first owner of the key, then those who would be next without the ones before them. */
  ownersOf(key: RingKey, options?: OwnersOptions): readonly string[];
}

/** Where a member stands: the hash, as hexadecimal digits of one length, so that texts are ordered as the numbers are. */
type Point = readonly [hash: string, member: string];

export const RING_KEY: Expectation = either(TEXT, ['a Uint8Array', (value) => value instanceof Uint8Array]);

/** What `ring$` of an operator must give. */
export const RINGS: Expectation = ['rings, as hashRing does', objectWith('ownerOf')[1]];

const OWNERS_OPTIONS: Readonly<Record<string, Expectation>> = {
  replicas: integer(0, Number.MAX_SAFE_INTEGER),
  ignore: [
    'ids to iterate over, and no single one',
    (value) => typeof value === 'object' && value !== null && Symbol.iterator in value,
  ],
};

/** The ring of the members, given with their weights, and `partitions` points for each weight of 1. */
export function ringOf(members: ReadonlyMap<string, number>, partitions: number, hashes: Hashes): Ring {
  const points = pointsOf(members, partitions, hashes);
  const ownersOf = (key: RingKey, { replicas = 1, ignore = [] }: OwnersOptions = {}): readonly string[] => {
    checkAll({ key, replicas, ignore }, { key: RING_KEY, ...OWNERS_OPTIONS }, ['key']);
    const ignored = new Set(ignore);
    const owners = new Set<string>();
    const first = firstAfter(points, hashOf(key));
    for (let i = 0; i < points.length && owners.size < replicas; i++) {
      const [, member] = points[(first + i) % points.length] as Point;
      if (!ignored.has(member)) owners.add(member);
    }
    return [...owners];
  };
  return {
    members,
    ownerOf: (key) => ownersOf(key)[0],
    ownersOf: (key, options = {}) => {
      checkAll(options, OWNERS_OPTIONS);
      return ownersOf(key, options);
    },
  };
}

/** Whether the same members have the same weights. */
export function sameWeights(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean {
  return a.size === b.size && [...a].every(([id, weight]) => b.get(id) === weight);
}

/** The points of members, as long as they are wanted: a ring that differs by one member hashes that one only. */
export class Hashes {
  #known = new Map<string, readonly string[]>();

  /** The first `count` points of each of these; all others are forgotten. */
  of(counts: ReadonlyMap<string, number>): ReadonlyMap<string, readonly string[]> {
    this.#known = new Map(
      [...counts].map(([member, count]) => {
        const known = this.#known.get(member);
        return [member, known?.length === count ? known : hashesOf(member, count)];
      }),
    );
    return this.#known;
  }
}

/** Point r is the MD5 of the id, r + 2 times one after the other. */
function hashesOf(member: string, count: number): readonly string[] {
  const id = toUtf8(member);
  const hash = new Md5().update(id);
  return Array.from({ length: count }, () => hash.update(id).toHex());
}

/**
 * The points of all, in order. `a` twice is `aa` once, so two members may have a point in common: it belongs to the longer
 * id, as it does in tooz where members are added in their order. So it does not matter who came first.
 */
function pointsOf(members: ReadonlyMap<string, number>, partitions: number, hashes: Hashes): readonly Point[] {
  const counts = new Map([...members].map(([member, weight]) => [member, weight * partitions]));
  const shortestFirst = [...hashes.of(counts)].sort(([a], [b]) => a.length - b.length);
  const owners = new Map(shortestFirst.flatMap(([member, all]) => all.map((hash): Point => [hash, member])));
  return [...owners].sort(([a], [b]) => (a < b ? -1 : 1));
}

function hashOf(key: RingKey): string {
  return md5(typeof key === 'string' ? toUtf8(key) : key);
}

/** The place of the first point whose hash is greater; that of the end where there is none. */
function firstAfter(points: readonly Point[], hash: string): number {
  let [least, most] = [0, points.length];
  while (least < most) {
    const middle = (least + most) >>> 1;
    if ((points[middle] as Point)[0] > hash) most = middle;
    else least = middle + 1;
  }
  return least;
}
