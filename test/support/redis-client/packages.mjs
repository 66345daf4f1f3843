/**
 * What the library's adapter for Redis finds where it imports a client, by the name of the client under test. `undefined`:
 * it is not installed.
 *
 * @type {Readonly<Record<string, Readonly<Record<string, string | undefined>>>>}
 */
const clients = {
  'ioredis-6': {},
  'ioredis-5': { ioredis: 'ioredis-5' },
  'node-redis-6': { ioredis: undefined },
  'node-redis-5': { ioredis: undefined, redis: 'redis-5' },
};

export const clientUnderTest = process.env['CONCLAVE_REDIS_CLIENT'] ?? 'ioredis-6';

const packages = clients[clientUnderTest];
if (packages === undefined)
  throw new Error(`CONCLAVE_REDIS_CLIENT must be one of ${Object.keys(clients).join(', ')}, but is ${clientUnderTest}`);

/**
 * The package to import instead; `undefined` where it is to be missing.
 *
 * @param {string} specifier
 * @param {string | undefined} importer
 */
export function packageFor(specifier, importer) {
  const isOurs = importer !== undefined && /[\\/]src[\\/]backends[\\/]redis[\\/]/.test(importer);
  const [name = '', ...path] = specifier.split('/');
  if (!isOurs || packages === undefined || !(name in packages)) return specifier;
  const found = packages[name];
  return found === undefined ? undefined : [found, ...path].join('/');
}

/** @param {string} specifier */
export function missing(specifier) {
  return Object.assign(new Error(`Cannot find package '${specifier}'`), { code: 'ERR_MODULE_NOT_FOUND' });
}
