import { type InvalidOptions, InvalidUrl } from '../errors.js';
import { type Either, left, mapRight } from '../shared/either.js';
import type { BackendOptions } from '../shared/options.js';
import { queryOptions, type StoreUrl } from '../shared/url.js';
import type { MemoryStore } from './memory-store.js';

/** Options of `memory`. */
export interface MemoryOptions extends BackendOptions {
  /**
   * The store to connect to: one by name, shared by all in this process who use the name, or one made by
   * `new MemoryStore()`. Default: one of its own.
   */
  readonly store?: string | MemoryStore | undefined;
}

/** Reads `memory:` and `memory:name`. */
export function memoryFromUrl(url: StoreUrl): Either<InvalidUrl | InvalidOptions, MemoryOptions> {
  if (url.hosts.length > 0)
    return left(new InvalidUrl(`memory://${url.hosts[0]?.host}`, 'a memory store has a name and no host: memory:name'));
  if (url.username !== undefined || url.password !== undefined)
    return left(new InvalidUrl('memory://***@', 'nobody logs in to a memory store: memory:name'));
  return mapRight(queryOptions(url), (options) => ({ ...options, ...(url.path !== '' && { store: url.path }) }));
}
