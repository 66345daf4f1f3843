import type { Items } from './items.js';
import { type ItemKey, type MemberKey, memberKeyOf, type Plan } from './plan.js';
import type { Strategy } from './strategies.js';

/** Who shall own what from now on. Pure. Of members with weight 0 nobody owns anything. */
export function nextPlan(
  strategy: Strategy,
  before: Plan,
  weights: ReadonlyMap<string, number>,
  { names, keys }: Items,
): Plan {
  const members = new Map([...weights].filter(([, weight]) => weight > 0).sort(([a], [b]) => (a < b ? -1 : 1)));
  if (members.size === 0) return new Map();
  const keyOf = new Map([...members.keys()].map((id) => [id, memberKeyOf(id)]));
  const idOf = new Map([...keyOf].map(([id, key]) => [key, id]));
  // Items with the same key are divided as one, or each plan would move them again.
  const ofKey = new Map<ItemKey, string>();
  for (const name of names) {
    const key = keys.get(name) as ItemKey;
    if (!ofKey.has(key)) ofKey.set(key, name);
  }
  const ownerBefore = (name: string): string | undefined => {
    const owner = before.get(keys.get(name) as ItemKey);
    return owner === undefined ? undefined : idOf.get(owner);
  };
  const owners = strategy(ownerBefore, members, [...ofKey.values()]);
  return new Map(
    [...ofKey].flatMap(([key, name]) => {
      const owner = keyOf.get(owners.get(name) ?? '');
      return owner === undefined ? [] : [[key, owner] as const];
    }),
  );
}

/** Items whose owner is not there, or that have none. */
export function orphans(plan: Plan, members: Iterable<string>, { keys }: Items): readonly ItemKey[] {
  const present = new Set<MemberKey | undefined>([...members].map(memberKeyOf));
  return [...new Set(keys.values())].filter((key) => !present.has(plan.get(key)));
}

/** The plan in which only those items that wait for an owner are where the `next` one has them. */
export function filled(before: Plan, next: Plan, waiting: ReadonlySet<ItemKey>, { keys }: Items): Plan {
  const plan = new Map<ItemKey, MemberKey>();
  for (const key of keys.values()) {
    const owner = (waiting.has(key) ? next : before).get(key);
    if (owner !== undefined) plan.set(key, owner);
  }
  return plan;
}
