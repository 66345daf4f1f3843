import { of } from 'rxjs';
import type { Backend, CloseOptions } from '../backend.js';
import { monotonicScheduler } from '../kernel/clock.js';
import { createBackend } from '../kernel/create-backend.js';
import { checkAll, either, objectWith, TEXT } from '../shared/expectations.js';
import { COMMON, timingOf } from '../shared/options.js';
import { orThrow } from '../shared/or-throw.js';
import { memoryCharacteristics } from './characteristics.js';
import { MemoryStore } from './memory-store.js';
import type { MemoryOptions } from './options.js';

export type { BackendOptions } from '../shared/options.js';
export { MemoryStore } from './memory-store.js';
export type { MemoryOptions } from './options.js';

/** A store that goes by a name, and the backends on it that are not closed yet. */
interface NamedStore {
  readonly store: MemoryStore;
  readonly users: Set<symbol>;
}

const named = new Map<string, NamedStore>();

/**
 * A backend within this process: the embedded default, and the one for tests in virtual time.
 *
 * Backends that share a store coordinate with each other, as processes do on a real one. A store that is named lives
 * until the last backend on it is closed.
 *
 * **Guarantee** not: that nothing is left of `createGroup`, `deleteGroup`, `breakLock` and changes of cells before the backend
 * is closed; the store keeps about a hundred bytes of each. But: everything that the other backends guarantee, between the
 * backends of one process.
 */
export function memory(options: MemoryOptions = {}): Backend {
  // Options that are refused must not count as a user of the store.
  orThrow(timingOf(options));
  checkAll(options, { ...COMMON, store: either(TEXT, objectWith('adapter')) });
  const { store = new MemoryStore(options.scheduler ?? monotonicScheduler) } = options;
  const { server, release } =
    typeof store === 'string' ? shared(store, options) : { server: store, release: () => undefined };
  const backend = createBackend('memory', memoryCharacteristics, of(server.adapter(options.namespace)), options);
  let closed: Promise<void> | undefined;
  const close = (options?: CloseOptions): Promise<void> => {
    // A further call may shorten the drain.
    const ending = backend.close(options);
    closed ??= ending.finally(release);
    return closed;
  };
  return { ...backend, close, [Symbol.asyncDispose]: () => close() };
}

function shared(name: string, options: MemoryOptions): { server: MemoryStore; release: () => void } {
  const entry = named.get(name) ?? {
    store: new MemoryStore(options.scheduler ?? monotonicScheduler),
    users: new Set(),
  };
  named.set(name, entry);
  const user = Symbol(name);
  entry.users.add(user);
  return {
    server: entry.store,
    // Whoever is told of the end while the backend closes may close it again: each user goes once.
    release: () => {
      if (entry.users.delete(user) && entry.users.size === 0) named.delete(name);
    },
  };
}
