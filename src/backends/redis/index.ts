import type { Backend } from '../backend.js';
import { createShardedBackend } from '../kernel/sharded-backend.js';
import { orThrow } from '../shared/or-throw.js';
import { renewedBy } from '../thread/renewal.js';
import type { RedisOptions } from './access.js';
import { redisCharacteristics } from './characteristics.js';
import { checkOptions, shardsOf } from './options.js';
import { redisStores } from './redis-store.js';

export type { BackendOptions } from '../shared/options.js';
export type { RedisClient, RedisOptions } from './access.js';
export type { SentinelOptions } from './options.js';

/**
 * A backend on a Redis server, version 6.2 or later, or a Redis Cluster, 7.0 or later, through one of the packages
 * `ioredis` and `redis` (node-redis), each in version 5 or 6.
 *
 * Nothing is connected before something is subscribed to. Each session has two connections, one of them for
 * notifications (with `waitReplicas` a third), and one lease on the server, which one script renews every `renewEveryMs` whatever stands in it. To
 * enter a roster is one script, to leave it another; waiting costs nothing, and a release wakes the one that is next.
 *
 * On a cluster (`cluster: [{ host, port }]`, or a `client` of one) names are divided among sixteen shards, each
 * with a session, connections and renewals of its own from when it is first used.
 *
 * **Guarantee** exclusion as long as the server does not forget what it acknowledged while it runs, and its clock does
 * not leap by less than a third of the ttl just when a holder is cut off; fencing tokens grow across restarts and the
 * loss of all data. After a restart nobody new is admitted for one ttl. Redis replicates
 * asynchronously: see `characteristics.caveats`.
 * **Errors** `InvalidOptions` is thrown at once. Streams error with `AuthenticationFailed`, `PermissionDenied`,
 * `MissingPackage` or `NotSupported`; never on a lost connection.
 * **Teardown** `close()` leaves everything, ends the session on the server and closes both connections.
 *
 * The user of Redis needs the commands that the scripts call, `@read`, `@write`, `@pubsub`, `@scripting`, `info` and
 * `time`, on the keys and channels `{conclave:*`; with `waitReplicas`
 * also `wait`, with a `db` also `select`, on a cluster also `cluster|slots`,
 * and `nodes`, `links`, `keyslot` and `getkeysinslot` of `cluster`, without which new names wait for one ttl.
 *
 * @example
 * ```ts
 * import { lock } from 'conclave';
 * import { redis } from 'conclave/redis';
 *
 * const backend = redis({ host: '127.0.0.1', password: 'secret', ttlMs: 5_000 });
 * lock(backend, 'invoice-42').subscribe((grant) => console.log(grant.token));
 * ```
 */
export function redis(options: RedisOptions = {}): Backend {
  orThrow(checkOptions(options));
  const shards = shardsOf(options);
  const stores$ = renewedBy('redis', redisCharacteristics, options, shards, redisStores(options));
  return createShardedBackend('redis', redisCharacteristics, shards, stores$, options);
}
