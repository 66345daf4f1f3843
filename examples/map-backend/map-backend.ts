import { type Backend, type BackendOptions, InvalidUrl } from 'conclave';
import { check, createBackend, objectWith, orThrow, queryOptions, registerScheme } from 'conclave/backend';
import { of } from 'rxjs';
import { MapStore } from './map-store.js';

/** Options of `mapBackend`. */
export interface MapOptions extends BackendOptions {
  /** The store to connect to. Default: one of its own. */
  readonly store?: MapStore | undefined;
}

/** A backend over a plain Map: the model for a backend of one's own. Backends on the same store see each other. */
export function mapBackend(options: MapOptions = {}): Backend {
  check(options, { store: objectWith('adapter') });
  const store = (options.store ?? new MapStore()).adapter(options.namespace);
  return createBackend(store.name, store.characteristics, of(store), options);
}

const named = new Map<string, MapStore>();

/** Whoever has imported this module may `connect('map:name')`: to a store of this process, by its name. */
registerScheme('map', (url, options) => {
  if (url.hosts.length > 0)
    throw new InvalidUrl(`map://${url.hosts[0]?.host}`, 'a Map has a name and no host: map:name');
  const store = named.get(url.path) ?? new MapStore();
  named.set(url.path, store);
  return mapBackend({ ...orThrow(queryOptions(url)), ...options, store });
});

/** What the conformance suite calls in other processes. */
export { connect } from 'conclave';
