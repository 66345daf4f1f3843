import type { ConnectionOptions } from 'node:tls';
import { type Either, isLeft, left, right } from 'fp-ts/lib/Either.js';
import { InvalidOptions, InvalidUrl } from '../errors.js';
import { type Expectation, either, FLAG, FUNCTION, integer, objectWith, TEXT, violationsOf } from '../expectations.js';
import { type BackendOptions, COMMON } from '../options.js';
import { queryOptions, type StoreUrl } from '../url.js';

/** What a URL can say, too. `namespace` is `conclave` by default. No type of the client's package is named here. */
export interface RedisUrlOptions extends BackendOptions {
  /** Default `localhost`. */
  readonly host?: string | undefined;
  /** Default 6379. */
  readonly port?: number | undefined;
  /** Index of the database. Default 0. */
  readonly db?: number | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** `true`, or options of Node's TLS, such as `ca` and `cert`. Default: no TLS. */
  readonly tls?: boolean | ConnectionOptions | undefined;
  /**
   * Nobody holds anything, and no session is renewed, before this many replicas have acknowledged it. Until then an
   * acquisition is tried again in its place in line, and `faults$` says why. Only with as many as the master has is no
   * replica promoted that lacks it; while fewer are there, what is held is lost with its session. Default 0.
   */
  readonly waitReplicas?: number | undefined;
}

/** The default of `namespace`. */
export const DEFAULT_NAMESPACE = 'conclave';

/** Reads `redis://user:password@host:port/db` and `rediss://…`, which is the same over TLS. */
export function redisFromUrl(url: StoreUrl): Either<InvalidUrl | InvalidOptions, RedisUrlOptions> {
  const invalid = (reason: string): Either<InvalidUrl, RedisUrlOptions> => left(new InvalidUrl(shown(url), reason));
  if (url.scheme !== 'redis' && url.scheme !== 'rediss') return invalid('its scheme is neither redis: nor rediss:');
  if (url.hosts.length > 1)
    return invalid('it names several hosts, and this backend talks to one server (sentinels: pass a `client`)');
  if (url.path !== '' && !/^\d{1,9}$/.test(url.path))
    return invalid(`its path is "${url.path}" and should be the index of a database, such as /0`);
  const options = queryOptions(url, { waitReplicas: 'number' });
  if (isLeft(options)) return options;
  return right({
    ...options.right,
    host: url.hosts[0]?.host,
    port: url.hosts[0]?.port,
    db: url.path === '' ? undefined : Number(url.path),
    username: url.username,
    password: url.password,
    tls: url.scheme === 'rediss' ? true : undefined,
  });
}

const FIELDS: Readonly<Record<string, Expectation>> = {
  ...COMMON,
  host: TEXT,
  port: integer(1, 65_535),
  db: integer(0, Number.MAX_SAFE_INTEGER),
  username: TEXT,
  password: TEXT,
  tls: either(FLAG, objectWith()),
  waitReplicas: integer(0, 1_000),
  client: either(FUNCTION, objectWith('duplicate')),
};

/** Refuses what ioredis would accept and then fail on, or silently ignore. */
export function checkOptions(options: RedisUrlOptions & { readonly client?: unknown }): Either<InvalidOptions, void> {
  const violations = violationsOf(options, FIELDS);
  if (violations.length > 0) return left(new InvalidOptions(violations));
  const { client, host, port, db, username, password, tls } = options;
  const own = Object.entries({ host, port, db, username, password, tls }).filter(([, value]) => value !== undefined);
  if (client !== undefined && own.length > 0)
    violations.push(
      `client says how to connect, so ${own.map(([name]) => name).join(', ')} must not be given beside it`,
    );
  return violations.length === 0 ? right(undefined) : left(new InvalidOptions(violations));
}

function shown({ scheme, hosts, path }: StoreUrl): string {
  const names = hosts.map(({ host, port }) => (host.includes(':') ? `[${host}]` : host) + (port ? `:${port}` : ''));
  return `${scheme}://${names.join(',')}${path === '' ? '' : `/${path}`}`;
}
