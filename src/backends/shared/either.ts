import type { Either, Left, Right } from 'fp-ts/lib/Either.js';

// Made here for the same reason as in option.ts.
export type { Either };

export function left<E>(error: E): Either<E, never> {
  return { _tag: 'Left', left: error };
}

export function right<A>(value: A): Either<never, A> {
  return { _tag: 'Right', right: value };
}

/** Whether it is an error: it is `.left` then. */
export function isLeft<E>(either: Either<E, unknown>): either is Left<E> {
  return either._tag === 'Left';
}

/** Whether it is a value: it is `.right` then. */
export function isRight<A>(either: Either<unknown, A>): either is Right<A> {
  return either._tag === 'Right';
}

export function mapRight<E, A, B>(either: Either<E, A>, project: (value: A) => B): Either<E, B> {
  return either._tag === 'Right' ? right(project(either.right)) : either;
}
