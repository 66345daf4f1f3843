import { map } from 'rxjs';
import type { Backend } from '../backend.js';
import { createShardedBackend, type Stores } from '../kernel/sharded-backend.js';
import { orThrow } from '../shared/or-throw.js';
import { renewedBy } from '../thread/renewal.js';
import { zookeeperCharacteristics } from './characteristics.js';
import { resolveOptions, type ZooKeeperOptions } from './options.js';
import { zookeeperStore } from './zookeeper-store.js';

export { type ZooKeeperAcl, type ZooKeeperFolders, type ZooKeeperOptions, zookeeperFromUrl } from './options.js';

/**
 * A backend over an ensemble of ZooKeeper servers, or a single one, through npm `node-zookeeper-client`.
 *
 * **Not guaranteed** anything by a process that stands still (use the fencing token); growing tokens across an ensemble
 * that has lost its data; encryption, since the client has neither TLS nor SASL.
 *
 * Everything is below `<chroot>/<namespace>`, by default `/conclave`. Locks and elections are those of kazoo:
 * `Lock(client, '/conclave/locks/<name>')` there and `lock(backend, '<name>')` here exclude each other, and so do
 * `ReadLock`, `WriteLock` and `Election`. With `layout: 'curator'` they are Curator's instead, and so are groups
 * and semaphores (`InterProcessMutex`, `InterProcessReadWriteLock`, `LeaderLatch`, `LeaderSelector`, `GroupMember`,
 * `InterProcessSemaphoreV2`); by default conclave waits for Curator's locks, and they do not wait for it. `namespace: ''` puts `locks` directly below the chroot; `folders`, anywhere.
 *
 * A renewal is a write of its own, for reads are answered by servers that have lost touch with their leader. In an
 * ensemble it takes three of them to prove one, with half of `tickTimeMs` between the first two, unless `balanced` is
 * `false` and the server leads. So where `hosts` names
 * several, `ttlMs` must be at least 1.35 of the servers' ticks (2.7 s by default; below 5.4 s each renewal is two
 * writes); the error names the relation.
 * The server bounds `ttlMs` by its `minSessionTimeout` and `maxSessionTimeout`, 2 and 20 ticks by default.
 *
 * **Throws** `InvalidOptions`, which names each violated relation.
 * **Errors** (of its streams) `AuthenticationFailed`, `PermissionDenied`; `InvalidOptions` where the server grants less
 * than the times need; `MissingPackage` without the client's package. Lost connections are ridden out.
 * **Guarantee** one holder and one leader at a time while clock rates differ by less than `drift`; tokens are the ids of
 * the transactions that created the entries.
 * **Source** ZooKeeper's recipes, as kazoo and Curator have them.
 *
 * @example
 * const backend = zookeeper({ hosts: [{ host: 'zk1', port: 2181 }, { host: 'zk2', port: 2181 }], chroot: '/apps/shop' });
 */
export function zookeeper(options: ZooKeeperOptions = {}): Backend {
  const resolved = orThrow(resolveOptions(options));
  const onLoop = zookeeperStore(resolved).pipe(map((store): Stores => [store]));
  const stores$ = renewedBy('zookeeper', zookeeperCharacteristics, options, 1, onLoop);
  return createShardedBackend('zookeeper', zookeeperCharacteristics, 1, stores$, options);
}
