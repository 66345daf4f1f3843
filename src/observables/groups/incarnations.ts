import type { Member } from './member-map.js';

/** Who is there, as `members` and `memberMap` tell it. */
export type Present = ReadonlySet<string> | ReadonlyMap<string, Pick<Member, 'token'>>;

/** Where a set of ids keeps the token of each; known to every copy of this library in the process. */
const TOKENS = Symbol.for('conclave.tokens');

type Marked = ReadonlySet<string> & { readonly [TOKENS]?: ReadonlyMap<string, bigint> };

/** The ids of the members. The set keeps their tokens, unseen: a member who has joined again has another one. */
export function idsOf(members: ReadonlyMap<string, Member>): ReadonlySet<string> {
  const tokens = new Map([...members].map(([id, { token }]) => [id, token]));
  return Object.defineProperty(new Set(members.keys()), TOKENS, { value: tokens });
}

/** The token of each; `undefined` where nothing is known but the id. */
export function incarnationsOf(present: Present): ReadonlyMap<string, bigint | undefined> {
  if ('get' in present) return new Map([...present].map(([id, { token }]) => [id, token]));
  const { [TOKENS]: tokens }: Marked = present;
  return new Map([...present].map((id) => [id, tokens?.get(id)]));
}
