import type { None, Option, Some } from 'fp-ts/lib/Option.js';

/*
 * Values of fp-ts, made here: its functions take them, and are taken apart by them. Loaded from fp-ts, these few would bring most
 * of it along, which is more than all of an election.
 */

export type { Option };

export const none: Option<never> = { _tag: 'None' };

export function some<A>(value: A): Option<A> {
  return { _tag: 'Some', value };
}

export function fromNullable<A>(value: A): Option<NonNullable<A>> {
  return value === null || value === undefined ? none : some(value);
}

/** Whether there is a value: it is `.value` then. */
export function isSome<A>(option: Option<A>): option is Some<A> {
  return option._tag === 'Some';
}

/** Whether there is no value. */
export function isNone(option: Option<unknown>): option is None {
  return option._tag === 'None';
}

/** The value, or `undefined` where there is none. */
export function toUndefined<A>(option: Option<A>): A | undefined {
  return option._tag === 'Some' ? option.value : undefined;
}
