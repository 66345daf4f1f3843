import { defer, from, map, type Observable, shareReplay, switchMap } from 'rxjs';
import type { Backend, Characteristics } from './backends/backend.js';
import { type CoordinationError, UnknownScheme } from './backends/errors.js';
import { etcdCharacteristics } from './backends/etcd/characteristics.js';
import { checkHosts, type EtcdUrlOptions, etcdFromUrl } from './backends/etcd/options.js';
import { createShardedBackend, type Stores } from './backends/kernel/sharded-backend.js';
import { type MemoryOptions, memory } from './backends/memory/index.js';
import { memoryFromUrl } from './backends/memory/options.js';
import { redisCharacteristics } from './backends/redis/characteristics.js';
import { checkOptions, type RedisUrlOptions, redisFromUrl, shardsOf } from './backends/redis/options.js';
import { type Either, mapRight } from './backends/shared/either.js';
import { check } from './backends/shared/expectations.js';
import type { BackendOptions } from './backends/shared/options.js';
import { orThrow } from './backends/shared/or-throw.js';
import type { RenewalOptions } from './backends/shared/renewal.js';
import { type BUILT_IN_SCHEMES, type Connector, knownSchemes, registeredConnector } from './backends/shared/schemes.js';
import { parseUrl, type StoreUrl } from './backends/shared/url.js';
import type { Store } from './backends/store.js';
import type { ThreadedAdapter } from './backends/thread/messages.js';
import { renewedBy } from './backends/thread/renewal.js';
import { zookeeperCharacteristics } from './backends/zookeeper/characteristics.js';
import { resolveOptions, type ZooKeeperOptions, zookeeperFromUrl } from './backends/zookeeper/options.js';

/** Options of `connect`: those of the backend that the URL names. */
export type ConnectOptions = MemoryOptions | RedisUrlOptions | EtcdUrlOptions | ZooKeeperOptions;

const checkRedis = (options: RedisUrlOptions): Either<CoordinationError, RedisUrlOptions> =>
  mapRight(checkOptions(options), () => options);

const checkEtcd = (options: EtcdUrlOptions): Either<CoordinationError, EtcdUrlOptions> =>
  mapRight(checkHosts(options), () => options);

const redis = connector(
  'redis',
  redisCharacteristics,
  redisFromUrl,
  checkRedis,
  async (options) => (await import('./backends/redis/redis-store.js')).redisStores(options),
  shardsOf,
);
const etcd = connector('etcd', etcdCharacteristics, etcdFromUrl, checkEtcd, async (options) =>
  alone((await import('./backends/etcd/etcd-store.js')).etcdStore(options)),
);
const zookeeper = connector('zookeeper', zookeeperCharacteristics, zookeeperFromUrl, resolveOptions, async (options) =>
  alone((await import('./backends/zookeeper/zookeeper-store.js')).zookeeperStore(options)),
);

const builtIn: Readonly<Record<(typeof BUILT_IN_SCHEMES)[number], Connector<ConnectOptions>>> = {
  memory: (url, options) => memory(merged(orThrow(memoryFromUrl(url)), options)),
  redis,
  rediss: redis,
  'redis-cluster': redis,
  'rediss-cluster': redis,
  etcd,
  etcds: etcd,
  zookeeper,
};
const connectors: ReadonlyMap<string, Connector<ConnectOptions>> = new Map(Object.entries(builtIn));

/**
 * Makes a backend of a URL. Nothing is loaded or connected to until something is subscribed to.
 *
 * | URL | store |
 * |---|---|
 * | `memory:` `memory:name` | this process; backends that name the same store share it |
 * | `redis://user:pass@host:port/db` `rediss://…` | Redis (needs `ioredis`, or `redis`) |
 * | `redis-cluster://host:port,host:port` `rediss-cluster://…` | Redis Cluster (needs `ioredis`, or `redis`) |
 * | `etcd://host:port,host:port` `etcds://…` | etcd (needs `etcd3`) |
 * | `zookeeper://host:port,host:port/chroot` | ZooKeeper (needs `node-zookeeper-client`) |
 *
 * `registerScheme` of `conclave/backend` teaches it others.
 *
 * Options may stand in the query (`?ttlMs=5000&namespace=shop`); those in the second argument win.
 *
 * **Throws** `InvalidUrl`, `UnknownScheme`, `InvalidOptions`, at the call. What is found out later (`MissingPackage`,
 * `AuthenticationFailed`, and `ConnectionRefused` with `failFastMs`) errors whatever is subscribed to. Without
 * `failFastMs` a store that does not answer is tried again for ever: see `status`.
 *
 * @example
 * const backend = connect('redis://127.0.0.1:6379', { ttlMs: 5_000 });
 */
export function connect(url: string, options: ConnectOptions = {}): Backend {
  const parsed = orThrow(parseUrl(url));
  const connectTo = connectors.get(parsed.scheme) ?? registeredConnector(parsed.scheme);
  if (connectTo === undefined) throw new UnknownScheme(parsed.scheme, knownSchemes());
  return connectTo(parsed, options);
}

function connector<O extends BackendOptions & RenewalOptions, Checked>(
  name: ThreadedAdapter,
  characteristics: Characteristics,
  fromUrl: (url: StoreUrl) => Either<CoordinationError, O>,
  check: (options: O) => Either<CoordinationError, Checked>,
  load: (options: Checked) => Promise<Observable<Stores>>,
  shardsOf: (options: Checked) => number = () => 1,
): Connector<ConnectOptions> {
  return (url, options) => {
    const all = merged(orThrow(fromUrl(url)), options);
    const checked = orThrow(check(all));
    // Loaded when it is first needed, and again only if that failed: what an adapter remembers outlives its sessions.
    const onLoop = defer(() => from(load(checked))).pipe(
      switchMap((loaded$) => loaded$),
      shareReplay(1),
    );
    const shards = shardsOf(checked);
    const stores$ = renewedBy(name, characteristics, all, shards, onLoop);
    return createShardedBackend(name, characteristics, shards, stores$, all);
  };
}

function alone(store$: Observable<Store>): Observable<Stores> {
  return store$.pipe(map((store) => [store]));
}

/** What is said in code wins over what the URL says. */
function merged<O extends object>(fromUrl: O, options: object): O {
  check(options, {});
  const said = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...fromUrl, ...Object.fromEntries(said) };
}
