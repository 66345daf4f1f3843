import type { CoordinationError } from '../errors.js';

/** Whether it is the error of that tag, of whichever copy of this library: there may be several in one process. */
export function isError<E extends CoordinationError>(error: unknown, tag: E['_tag']): error is E {
  return typeof error === 'object' && error !== null && '_tag' in error && error._tag === tag;
}
