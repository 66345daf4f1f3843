import type { Backend } from '../backend.js';
import { InvalidOptions } from '../errors.js';
import { shown } from './expectations.js';
import type { BackendOptions } from './options.js';
import type { StoreUrl } from './url.js';

/** Schemes that `connect` knows by itself. */
export const BUILT_IN_SCHEMES = [
  'memory',
  'redis',
  'rediss',
  'redis-cluster',
  'rediss-cluster',
  'etcd',
  'etcds',
  'zookeeper',
] as const;

/** Makes a backend of a URL that was taken apart. `options` are what `connect` was called with. */
export type Connector<O extends BackendOptions = BackendOptions> = (url: StoreUrl, options: O) => Backend;

const registered = new Map<string, Connector>();

/**
 * Teaches `connect` a scheme: from then on `connect('scheme://…', options)` calls `connector`.
 *
 * It connects to nothing by itself, and throws `InvalidUrl` and `InvalidOptions` at the call, as the others do.
 * **Throws** `InvalidOptions` where `scheme` is none, or is known already. Returns how to forget it.
 *
 * @example
 * registerScheme('map', (url, options) => mapBackend({ ...orThrow(queryOptions(url)), ...options }));
 * const backend = connect('map:name?ttlMs=5000');
 */
export function registerScheme(scheme: string, connector: Connector): () => void {
  if (typeof scheme !== 'string' || !/^[a-z][a-z0-9+.-]*$/.test(scheme))
    throw new InvalidOptions([
      `scheme must begin with a letter from a to z, and consist of these, digits, + . and -, but is ${shown(scheme)}`,
    ]);
  if (typeof connector !== 'function')
    throw new InvalidOptions([`connector must be a function, but is ${shown(connector)}`]);
  if (knownSchemes().includes(scheme)) throw new InvalidOptions([`the scheme ${scheme}: is known already`]);
  registered.set(scheme, connector);
  return () => {
    if (registered.get(scheme) === connector) registered.delete(scheme);
  };
}

export function registeredConnector(scheme: string): Connector | undefined {
  return registered.get(scheme);
}

/** Those built in first, then in the order of their registration. */
export function knownSchemes(): readonly string[] {
  return [...BUILT_IN_SCHEMES, ...registered.keys()];
}
