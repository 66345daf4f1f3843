import { type Either, isLeft } from 'fp-ts/lib/Either.js';
import type { CoordinationError } from '../errors.js';

/** What was validated, or the error thrown: at the edge where users call. */
export function orThrow<T>(validated: Either<CoordinationError, T>): T {
  if (isLeft(validated)) throw validated.left;
  return validated.right;
}
