import type { ConnectionOptions } from 'node:tls';
import { InvalidOptions, InvalidUrl } from '../errors.js';
import { type Either, isLeft, left, right } from '../shared/either.js';
import {
  type Expectation,
  either,
  FLAG,
  FUNCTION,
  integer,
  listOf,
  objectOf,
  objectWith,
  TEXT,
  unknownIn,
  violationsOf,
} from '../shared/expectations.js';
import { type BackendOptions, COMMON } from '../shared/options.js';
import { RENEWAL, RENEWAL_IN_URL, type RenewalOptions, renewalViolations } from '../shared/renewal.js';
import { type Host, queryOptions, type StoreUrl } from '../shared/url.js';

/** What a URL can say, too. `namespace` is `conclave` by default. No type of the client's package is named here. */
export interface RedisUrlOptions extends BackendOptions, RenewalOptions {
  /** Default `localhost`. */
  readonly host?: string | undefined;
  /** Default 6379. */
  readonly port?: number | undefined;
  /** Some nodes of a Redis Cluster, in place of host and port; the others are found by way of them. */
  readonly cluster?: readonly Host[] | undefined;
  /** Sentinels that know where the master is, in place of host and port. */
  readonly sentinels?: SentinelOptions | undefined;
  /** The library to connect with. Default: `'ioredis'` where that is installed, else `'node-redis'`. */
  readonly client?: 'ioredis' | 'node-redis' | undefined;
  /** Index of the database. Default 0; a cluster has no other. */
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
  /**
   * For development and CI: an empty server is taken to be a new one, and admits at once. Default: nobody is admitted
   * before it has been up for one `ttlMs`, since it may be one that has just lost what somebody holds. With this, two may
   * hold at once after that.
   */
  readonly trustEmpty?: boolean | undefined;
}

/** Sentinels, and how one logs in to them, which may be otherwise than to the master. */
export interface SentinelOptions {
  /** Under which they know the master. */
  readonly name: string;
  /** Some of them; the others are found by way of them. The port is 26379 by default. */
  readonly nodes: readonly Host[];
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly tls?: boolean | ConnectionOptions | undefined;
}

/** The default of `namespace`. */
export const DEFAULT_NAMESPACE = 'conclave';

/** Part of the layout: all who share a cluster must agree on it. */
const CLUSTER_SHARDS = 16;

/** Into how many parts, each in one slot of a cluster, the names are divided. */
export function shardsOf(options: Parameters<typeof isCluster>[0]): number {
  return isCluster(options) ? CLUSTER_SHARDS : 1;
}

/** Whether a cluster is meant, or a client of one. */
function isCluster({ cluster, client }: { readonly cluster?: unknown; readonly client?: unknown }): boolean {
  return cluster !== undefined || (typeof client === 'object' && client !== null && isClusterClient(client));
}

/** Of ioredis, which says so, or of node-redis, whose options have root nodes. */
export function isClusterClient(client: object): boolean {
  if ('isCluster' in client) return client.isCluster === true;
  const options = '_options' in client ? client._options : undefined;
  return typeof options === 'object' && options !== null && 'rootNodes' in options;
}

/**
 * Reads `redis://user:password@host:port/db` and `redis-cluster://user:password@host:port,host:port`, and both with
 * `rediss`, which is the same over TLS.
 */
export function redisFromUrl(url: StoreUrl): Either<InvalidUrl | InvalidOptions, RedisUrlOptions> {
  const invalid = (reason: string): Either<InvalidUrl, RedisUrlOptions> => left(new InvalidUrl(shown(url), reason));
  const [, secure, clustered] = /^redis(s?)(-cluster)?$/.exec(url.scheme) ?? [];
  if (secure === undefined) return invalid('its scheme is none of redis:, rediss:, redis-cluster: and rediss-cluster:');
  if (clustered === undefined && url.hosts.length > 1)
    return invalid(
      'it names several hosts, but not a cluster: say redis-cluster: (for sentinels give the option `sentinels`)',
    );
  if (clustered !== undefined && url.path !== '')
    return invalid(`a cluster has no databases, so it must have no path${namespaceMeant(url)}`);
  if (url.path !== '' && !/^\d{1,9}$/.test(url.path))
    return invalid(`its path is "${url.path}" and should be the index of a database, such as /0${namespaceMeant(url)}`);
  const options = queryOptions(url, {
    ...RENEWAL_IN_URL,
    waitReplicas: 'number',
    trustEmpty: 'flag',
    client: 'text',
  });
  if (isLeft(options)) return options;
  const [host] = url.hosts;
  const target =
    clustered === undefined
      ? { host: host?.host, port: host?.port, db: url.path === '' ? undefined : Number(url.path) }
      : { cluster: host === undefined ? [{ host: 'localhost', port: undefined }] : url.hosts };
  const login = { username: url.username, password: url.password, tls: secure === '' ? undefined : true };
  return right({ ...options.right, ...target, ...login });
}

const NODES = listOf(objectOf({ host: TEXT }, { port: integer(1, 65_535) }));

const LOGIN: Readonly<Record<string, Expectation>> = {
  username: TEXT,
  password: TEXT,
  tls: either(FLAG, objectWith()),
};

const SENTINELS: Readonly<Record<string, Expectation>> = { ...LOGIN, name: TEXT, nodes: NODES };

const FIELDS: Readonly<Record<string, Expectation>> = {
  ...COMMON,
  ...RENEWAL,
  ...LOGIN,
  cluster: NODES,
  sentinels: objectWith(),
  host: TEXT,
  port: integer(1, 65_535),
  db: integer(0, Number.MAX_SAFE_INTEGER),
  waitReplicas: integer(0, 1_000),
  trustEmpty: FLAG,
  client: either(
    ["'ioredis' or 'node-redis'", (value) => value === 'ioredis' || value === 'node-redis'],
    ['a client of one of these', objectWith()[1]],
    ['a function that makes one', FUNCTION[1]],
  ),
};

/** Refuses what a client would accept and then fail on, or silently ignore. */
export function checkOptions(
  options: Omit<RedisUrlOptions, 'client'> & { readonly client?: unknown },
): Either<InvalidOptions, void> {
  const violations = [...violationsOf(options, FIELDS), ...unknownIn(options, FIELDS)];
  if (violations.length > 0) return left(new InvalidOptions(violations));
  violations.push(...renewalViolations(options));
  const { client, cluster, sentinels, host, port, db, username, password, tls } = options;
  if (sentinels !== undefined) {
    const its = [...violationsOf(sentinels, SENTINELS, ['name', 'nodes']), ...unknownIn(sentinels, SENTINELS)];
    violations.push(...its.map((each) => `sentinels: ${each}`));
    if (its.length === 0 && sentinels.nodes.length === 0) violations.push('sentinels: nodes must name at least one');
    for (const [name, value] of Object.entries({ cluster, host, port }))
      if (value !== undefined) violations.push(`${name} must not be given beside sentinels, who know the server`);
  }
  if (cluster !== undefined) {
    if (cluster.length === 0) violations.push('cluster must name at least one node');
    for (const [name, value] of Object.entries({ host, port, db }))
      if (value !== undefined) violations.push(`${name} must not be given beside cluster, which names the nodes`);
  }
  const own = Object.entries({ cluster, sentinels, host, port, db, username, password, tls }).filter(
    ([, value]) => value !== undefined,
  );
  if (client !== undefined && typeof client !== 'string' && own.length > 0)
    violations.push(
      `client says how to connect, so ${own.map(([name]) => name).join(', ')} must not be given beside it`,
    );
  return violations.length === 0 ? right(undefined) : left(new InvalidOptions(violations));
}

/** What a path that is no number probably was to be. */
function namespaceMeant({ path }: StoreUrl): string {
  return /^\d+$/.test(path) ? '' : `; what keeps fleets apart is the option ?namespace=${encodeURIComponent(path)}`;
}

function shown({ scheme, hosts, path }: StoreUrl): string {
  const names = hosts.map(({ host, port }) => (host.includes(':') ? `[${host}]` : host) + (port ? `:${port}` : ''));
  return `${scheme}://${names.join(',')}${path === '' ? '' : `/${path}`}`;
}
