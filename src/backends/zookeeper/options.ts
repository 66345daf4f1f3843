import { InvalidOptions, InvalidUrl } from '../errors.js';
import { jsonCodec } from '../shared/codec.js';
import { type Either, isLeft, left, right } from '../shared/either.js';
import {
  type Expectation,
  either,
  FLAG,
  FUNCTION,
  integer,
  listOf,
  number,
  objectOf,
  objectWith,
  oneOf,
  TEXT,
  unknownIn,
  violationsOf,
} from '../shared/expectations.js';
import { type BackendOptions, COMMON, timingOf } from '../shared/options.js';
import { RENEWAL, RENEWAL_IN_URL, type RenewalOptions, renewalViolations } from '../shared/renewal.js';
import { type Host, queryOptions, type StoreUrl } from '../shared/url.js';
import { toUtf8 } from '../shared/utf8.js';
import { curatorNames } from './curator-names.js';
import { kazooNames } from './kazoo-names.js';
import { Layout, rootOf } from './layout.js';
import { followerPlan } from './proof.js';
import { type Credentials, modelOf, type Server } from './raw-client.js';

const DEFAULT_PORT = 2181;
const DEFAULT_TICK_MS = 2_000;

/** One rule of a node's access control list. */
export interface ZooKeeperAcl {
  /** ZooKeeper's bits: 1 read, 2 write, 4 create, 8 delete, 16 admin. */
  readonly permissions: number;
  /** `world`, `auth`, `digest`, `ip`, … */
  readonly scheme: string;
  readonly id: string;
}

/** Where locks, elections and groups are, each at `<folder>/<name>`. */
export interface ZooKeeperFolders {
  readonly locks?: string | undefined;
  readonly elections?: string | undefined;
  readonly groups?: string | undefined;
}

/** Options of `zookeeper`. */
export interface ZooKeeperOptions extends BackendOptions, RenewalOptions {
  /** Servers of one ensemble, by name or IPv4 address. Default: `127.0.0.1:2181`. */
  readonly hosts?: readonly Host[] | undefined;
  /** Path under which everything is, such as `/apps/shop`; made if it is not there. Default: the root. */
  readonly chroot?: string | undefined;
  /** The servers' `tickTime`, or more. Matters on followers. Default 2,000. */
  readonly tickTimeMs?: number | undefined;
  /** What to tell the servers about oneself, such as `{ scheme: 'digest', auth: 'user:password' }`. */
  readonly auth?: { readonly scheme: string; readonly auth: string } | undefined;
  /** Who may do what with the nodes that are made. Default: everybody everything. */
  readonly acl?: readonly ZooKeeperAcl[] | undefined;
  /**
   * Whether a host may stand for several servers, behind a balancer for one. `false` where each is one server: then one
   * that says that it leads is believed, and proves renewals at once. Default `true`.
   */
  readonly balanced?: boolean | undefined;
  /**
   * Whose recipes exclude those made here, at one path: `kazoo`, the default, or `curator`, where conclave and Curator hold
   * each other back. The same for all who share a name.
   */
  readonly layout?: 'kazoo' | 'curator' | undefined;
  /**
   * Paths below the chroot, in place of `<namespace>/locks`, `<namespace>/elections` and `<namespace>/groups`: where other
   * clients have theirs.
   */
  readonly folders?: ZooKeeperFolders | undefined;
  /** `true` leaves empty parents of locks and elections, for kazoo's sake, whose Lock objects rely on them. */
  readonly keepParents?: boolean | undefined;
  /**
   * A client made elsewhere with `createClient` of node-zookeeper-client, which says where to connect, with which chroot
   * and credentials; it is never used itself, since a client does not outlive its session, and never closed. Or a
   * function that makes one, without connecting it: it is asked for each connection.
   */
  readonly client?: object | (() => unknown) | undefined;
}

/** Options with their defaults. */
export interface ResolvedOptions {
  readonly hosts: readonly Server[];
  readonly address: string;
  readonly layout: Layout;
  readonly tickTimeMs: number;
  readonly auth: readonly Credentials[];
  readonly acl: ZooKeeperOptions['acl'];
  readonly balanced: boolean;
  readonly keepParents: boolean;
  readonly client: (() => unknown) | undefined;
}

const FIELDS: Readonly<Record<string, Expectation>> = {
  ...RENEWAL,
  hosts: listOf(objectOf({ host: TEXT }, { port: integer(1, 65_535) })),
  chroot: TEXT,
  tickTimeMs: number(1, 60_000),
  auth: objectOf({ scheme: TEXT, auth: TEXT }),
  acl: listOf(objectOf({ permissions: integer(0, 31), scheme: TEXT, id: TEXT })),
  balanced: FLAG,
  layout: oneOf('kazoo', 'curator'),
  folders: objectOf({}, { locks: TEXT, elections: TEXT, groups: TEXT }),
  keepParents: FLAG,
  client: either(FUNCTION, objectWith()),
};

/** Fills in defaults and checks every relation; the left side names each one violated. */
export function resolveOptions(options: ZooKeeperOptions): Either<InvalidOptions, ResolvedOptions> {
  const timing = timingOf(options);
  const violations: string[] = [
    ...(isLeft(timing) ? timing.left.violations : []),
    ...violationsOf(options, FIELDS),
    ...unknownIn(options, { ...COMMON, ...FIELDS }),
  ];
  if (violations.length > 0) return left(new InvalidOptions([...new Set(violations)]));
  // Curator's semaphores have names made by it.
  violations.push(...renewalViolations(options, options.layout === 'curator' ? [] : ['codec']));
  const { tickTimeMs = DEFAULT_TICK_MS, namespace = 'conclave', acl } = options;
  const makeClient = isFunction(options.client) ? options.client : undefined;
  const model = options.client === undefined ? undefined : modelOf(sampleOf(makeClient) ?? options.client);
  if (options.client !== undefined && model === undefined)
    return left(new InvalidOptions(['client must be made by createClient of node-zookeeper-client 1.1']));
  // A function's clients bring chroot and credentials along themselves.
  const copied = makeClient === undefined ? model : undefined;
  const chroot = `${copied?.chroot ?? ''}${options.chroot ?? ''}`;
  const { auth } = options;
  const said = auth === undefined ? [] : [{ scheme: auth.scheme, auth: toUtf8(auth.auth) }];
  if (model !== undefined && options.hosts !== undefined)
    violations.push('client says how to connect, so hosts must not be given beside it');
  const given = options.hosts ?? model?.servers ?? [{ host: '127.0.0.1', port: undefined }];
  const hosts = given.map(({ host, port = DEFAULT_PORT }) => ({ host, port }));
  if (hosts.length === 0) violations.push('hosts must name at least one server');
  for (const { host } of hosts)
    if (host.includes(':')) violations.push(`hosts must not hold the IPv6 address ${host}: the client cannot use it`);
  if (acl?.length === 0) violations.push('acl must hold at least one rule, or nobody could use what is made');
  if (violations.length === 0 && !isLeft(timing) && hosts.length > 1) {
    const plan = followerPlan(timing.right, timing.right.ttlMs, tickTimeMs);
    if (typeof plan === 'string') violations.push(plan);
  }
  const names = options.layout === 'curator' ? curatorNames(options.codec ?? jsonCodec) : kazooNames;
  const folderOf = (path: string | undefined) => (path === undefined ? undefined : rootOf(chroot, path));
  const { locks, elections, groups } = options.folders ?? {};
  const layout = new Layout(rootOf(chroot, namespace), names, {
    lock: folderOf(locks),
    election: folderOf(elections),
    group: folderOf(groups),
  });
  if (new Set(layout.folders).size < layout.folders.length || layout.folders.includes(''))
    violations.push('folders must be paths of their own for locks, elections and groups');
  if (violations.length > 0) return left(new InvalidOptions(violations));
  return right({
    hosts,
    address: hosts.map(({ host, port }) => `${host}:${port}`).join(','),
    layout,
    tickTimeMs,
    auth: [...(copied?.auth ?? []), ...said],
    acl,
    balanced: options.balanced ?? true,
    keepParents: options.keepParents ?? false,
    client: makeClient,
  });
}

/** The options that a URL `zookeeper://user:password@host:port,host:port/chroot?option=value` stands for. */
export function zookeeperFromUrl(url: StoreUrl): Either<InvalidUrl | InvalidOptions, ZooKeeperOptions> {
  const { username, password, hosts, path } = url;
  const shown = `${url.scheme}://${hosts.map(({ host }) => host).join(',')}/${path}`;
  const ipv6 = hosts.find(({ host }) => host.includes(':'));
  if (ipv6 !== undefined)
    return left(new InvalidUrl(shown, `${ipv6.host} is an IPv6 address, which node-zookeeper-client cannot use`));
  if (username === undefined && password !== undefined)
    return left(new InvalidUrl(shown, 'it has a password and no user'));
  const parsed = queryOptions(url, {
    ...RENEWAL_IN_URL,
    tickTimeMs: 'number',
    balanced: 'flag',
    keepParents: 'flag',
    layout: 'text',
  });
  if (isLeft(parsed)) return parsed;
  return right({
    ...parsed.right,
    ...(hosts.length > 0 && { hosts }),
    ...(path !== '' && { chroot: `/${path}` }),
    ...(username !== undefined && { auth: { scheme: 'digest', auth: `${username}:${password ?? ''}` } }),
  });
}

/** One of the clients that the function makes; nothing, which is refused, where it throws. */
function sampleOf(makeClient: (() => unknown) | undefined): unknown {
  try {
    return makeClient?.();
  } catch {
    return undefined;
  }
}

function isFunction(value: unknown): value is () => unknown {
  return typeof value === 'function';
}
