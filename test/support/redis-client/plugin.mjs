import { clientUnderTest, missing, packageFor } from './packages.mjs';

const nothing = '\0missing:';

/**
 * Has the library find the client under test, in the tests' own processes.
 *
 * @returns {import('vite').Plugin}
 */
export function redisClient() {
  return {
    name: 'redis-client',
    enforce: 'pre',
    resolveId(source, importer) {
      const found = packageFor(source, importer);
      if (found === source) return undefined;
      return found === undefined ? `${nothing}${source}` : this.resolve(found, importer);
    },
    load(id) {
      if (!id.startsWith(nothing)) return undefined;
      const { message, code } = missing(id.slice(nothing.length));
      return `throw Object.assign(new Error(${JSON.stringify(message)}), { code: ${JSON.stringify(code)} });`;
    },
  };
}

/** Has the processes that tests start find it, too. */
export const redisClientEnv =
  clientUnderTest === 'ioredis-6'
    ? {}
    : {
        CONCLAVE_REDIS_CLIENT: clientUnderTest,
        NODE_OPTIONS: `--import ${new URL('./register.mjs', import.meta.url).href}`,
      };
