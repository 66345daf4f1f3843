import type { Observable } from 'rxjs';
import { InvalidOptions } from '../../backends/errors.js';
import {
  ANYTHING,
  checkAll,
  checkGiven,
  FLAG,
  FUNCTION,
  integer,
  number,
  objectWith,
  oneOf,
  shown,
} from '../../backends/shared/expectations.js';
import { checkName } from '../../backends/shared/keys.js';
import type { JoinOptions } from '../groups/join.js';
import type { Member } from '../groups/member-map.js';
import { checkItems } from './items.js';
import { PARTITIONS, STRATEGIES } from './strategies.js';

/** Options of `partition` and `withPartition`. */
export interface PartitionOptions extends JoinOptions {
  /** Create the group where it does not exist. Default `true`. With `false`, it errors with `GroupNotFound`. */
  readonly create?: boolean;
  /**
   * Who gets what. `sticky`, the default: each has its due by its weight, to within one item, and no item moves that need not
   * move for that. `round-robin`: dealt out in the order of the names; most items move when a member comes. `hash`: as
   * `hashRing` has it; few items move, and the shares are less even.
   */
  readonly strategy?: keyof typeof STRATEGIES;
  /**
   * How much a member takes, compared with the others: a whole number. One of 0 takes nothing. It is given the id, and what the
   * group has of the member, such as its capabilities. Default: 1 for each.
   */
  readonly weights?: (id: string, member: Member) => number;
  /**
   * For how long members and items must be unchanged before items move; and how long an item waits for another owner whose owner
   * has gone, since one that is started anew comes back. Default 1,000.
   */
  readonly settledMs?: number;
}

/** What is shared: names, at most 15,000, all different, that are good for locks; as an Observable, each list replaces the last. */
export type SharedItems = readonly string[] | Observable<readonly string[]>;

const MAX_MS = 2 ** 31 - 1;
const WEIGHT = integer(0, Math.floor(2 ** 20 / PARTITIONS));

/** Throws `InvalidName` or `InvalidOptions`. */
export function checkPartition(group: string, items: SharedItems, options: PartitionOptions): void {
  checkName(planCell(checkName(group)));
  checkAll(options, {
    id: ANYTHING,
    capabilities: ANYTHING,
    create: FLAG,
    ifTaken: oneOf('fail', 'wait', 'takeOver'),
    strategy: [
      oneOf(...Object.keys(STRATEGIES))[0].replace(' or ', ', '),
      (value) => Object.hasOwn(STRATEGIES, String(value)),
    ],
    weights: FUNCTION,
    settledMs: number(0, MAX_MS),
  });
  if (options.id !== undefined) checkName(options.id);
  if (isStream(items)) return;
  if (!Array.isArray(items))
    throw new InvalidOptions([`items must be a list of names, or an Observable of such lists, but is ${shown(items)}`]);
  checkItems(group, items);
}

export function isStream(items: SharedItems): items is Observable<readonly string[]> {
  return objectWith('subscribe')[1](items);
}

/** Where the plan of a group stands. */
export function planCell(group: string): string {
  return `partitions/${group}`;
}

/** Throws `InvalidOptions` where it is no weight. */
export function weightOf(weights: NonNullable<PartitionOptions['weights']>, id: string, member: Member): number {
  const weight = weights(id, member);
  checkGiven('weights', WEIGHT, weight, id);
  return weight;
}
