import { InvalidName, InvalidOptions } from '../../backends/errors.js';
import { shown } from '../../backends/shared/expectations.js';
import { checkName, encodeSegment } from '../../backends/shared/keys.js';
import { type ItemKey, itemKeyOf, MOST_ITEMS } from './plan.js';

/** What is shared: names that are all different, in their order, with the key that a plan has for each. */
export interface Items {
  readonly names: readonly string[];
  readonly keys: ReadonlyMap<string, ItemKey>;
}

/**
 * The name of the lock that is the ownership of `item` in `group`: `partition/<group>/<item>`, with `/` and `%` of the group written
 * as `%2F` and `%25`. For `holders`, which shows who owns it, by its id in the group; and for `breakLock`.
 *
 * **Throws** `InvalidName` where the whole is none.
 * **Guarantee** different groups and items have different names.
 *
 * @example
 * holders(backend, itemLockName('workers', 'tenant-7')).subscribe(([owner]) => console.log(owner?.data));
 */
export function itemLockName(group: string, item: string): string {
  checkName(item);
  return checkName(`partition/${encodeSegment(checkName(group))}/${item}`);
}

/** Throws `InvalidOptions`, which names the field. */
export function checkItems(group: string, items: unknown): Items {
  if (!Array.isArray(items)) throw new InvalidOptions([`items must be a list of names, but is ${shown(items)}`]);
  if (items.length > MOST_ITEMS)
    throw new InvalidOptions([
      `items must be at most ${MOST_ITEMS}, but are ${items.length}: share parts of them, each in a group of its own`,
    ]);
  const keys = new Map<string, ItemKey>();
  for (const name of items) {
    if (keys.has(name)) throw new InvalidOptions([`items must be different, but ${shown(name)} is there twice`]);
    const reason = reasonAgainst(group, name);
    if (reason !== undefined) throw new InvalidOptions([`items must be names of locks, but ${shown(name)}: ${reason}`]);
    keys.set(name, itemKeyOf(name));
  }
  return { names: [...keys.keys()].sort(), keys };
}

export function sameItems(a: Items, b: Items): boolean {
  return a.names.length === b.names.length && a.names.every((name, i) => name === b.names[i]);
}

function reasonAgainst(group: string, item: string): string | undefined {
  try {
    itemLockName(group, item);
    return undefined;
  } catch (error) {
    if (error instanceof InvalidName) return error.reason;
    throw error;
  }
}
