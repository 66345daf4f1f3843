import { defer, distinctUntilChanged, map, type Observable } from 'rxjs';
import {
  check,
  checkAll,
  checkGiven,
  type Expectation,
  FUNCTION,
  integer,
  objectWith,
  SETS_OR_MAPS,
  TEXT,
} from '../../backends/shared/expectations.js';
import { Hashes, type Ring, ringOf, sameWeights } from './ring.js';

/** Who shares the keys: ids, or what is known of each under its id. */
type Sharers<M> = ReadonlySet<string> | ReadonlyMap<string, M>;

/** Options of `hashRing`. */
export interface HashRingOptions<M = unknown> {
  /** At how many points of the ring a member of weight 1 stands: more share more evenly. The same for all. Default 32. */
  readonly partitions?: number;
  /**
   * How much a member takes, compared with the others: a whole number. One of 0 takes nothing. It is given the id and, where
   * `members$` emits maps, what the map has of it, such as its capabilities. Default: 1 for each.
   */
  readonly weights?: (id: string, member: M | undefined) => number;
}

const IDS: Expectation = [`ids, each ${TEXT[0]}`, TEXT[1]];

/** More would take seconds to compute, for each member that comes. */
const MOST_POINTS = 2 ** 20;

/**
 * Divides keys among the members by consistent hashing: who asks a ring of the same members gets the same owner, in any process
 * and any language.
 *
 *     members   {}--{a,b}----{a,b,c}--
 *     output    R0--R1-------R2-------       of three keys of which each has one, two stay where they are
 *
 * **Emits** a `Ring` for each set of members, unless ids and weights are those of the ring before. `ring.ownerOf(key)` is who owns the
 * key, `ring.ownersOf(key, { replicas, ignore })` is who does and who comes next, `ring.members` are the ids with their weights.
 * **Errors** what `members$` and `weights` error with; `InvalidOptions`, at the call, and where an id or a weight is none.
 * **Completes** when `members$` completes.
 * **Teardown** that of `members$`.
 * **Guarantee** not: that a key has one owner at any moment. Processes learn of a member one after the other, and one that is
 * cut off keeps its last ring; whoever must be alone takes `withLock` or `exclusiveMap`. Nor that all get equally many keys. But:
 * a member that comes takes keys from others, who exchange none among themselves; one that goes leaves its keys to them, and
 * nothing else moves.
 * **Source** tooz `HashRing`, byte for byte: `partitions` and weights are the same, and so are the owners. But where one id is
 * another one repeated, as `11` is of `1`, they have points in common: in tooz these belong to the one that was added last, here
 * to the longer id.
 *
 * @example
 * hashRing(members(backend, 'workers')).subscribe((ring) => console.log(ring.ownerOf('invoice-42')));
 */
export function hashRing<M>(members$: Observable<Sharers<M>>, options: HashRingOptions<M> = {}): Observable<Ring> {
  check({ members$ }, { members$: objectWith('subscribe') }, ['members$']);
  checkAll(options, { partitions: integer(1, MOST_POINTS), weights: FUNCTION });
  const { partitions = 32, weights = () => 1 } = options;
  const weightExpected = integer(0, Math.floor(MOST_POINTS / partitions));
  const weightsOf = (members: Sharers<M>): ReadonlyMap<string, number> => {
    checkGiven('members$', SETS_OR_MAPS, members);
    const known = 'get' in members ? members : new Map<string, M>();
    return new Map(
      [...members.keys()].map((id) => {
        checkGiven('members$', IDS, id);
        const weight = weights(id, known.get(id));
        checkGiven('weights', weightExpected, weight, id);
        return [id, weight];
      }),
    );
  };
  return defer(() => {
    const hashes = new Hashes();
    return members$.pipe(
      map(weightsOf),
      distinctUntilChanged(sameWeights),
      map((members) => ringOf(members, partitions, hashes)),
    );
  });
}
