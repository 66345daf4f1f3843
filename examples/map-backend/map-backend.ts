import { type Backend, type BackendOptions, InvalidUrl } from 'conclave';
import { check, createBackend, objectWith } from 'conclave/backend';
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

/** Connects to a store of this process by its name: `map:name`. The conformance suite calls it in other processes. */
export function connect(url: string, options: BackendOptions = {}): Backend {
  if (!url.startsWith('map:')) throw new InvalidUrl(url, 'a store over a Map is named like map:name');
  const store = named.get(url) ?? new MapStore();
  named.set(url, store);
  return mapBackend({ ...options, store });
}
