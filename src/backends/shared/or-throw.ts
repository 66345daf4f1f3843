import type { CoordinationError } from '../errors.js';
import { type Either, isLeft } from './either.js';

/** What was validated, or the error thrown: at the edge where users call. */
export function orThrow<T>(validated: Either<CoordinationError, T>): T {
  if (isLeft(validated)) throw validated.left;
  return validated.right;
}
