import { map } from 'rxjs';
import type { Backend } from '../backend.js';
import { createShardedBackend, type Stores } from '../kernel/sharded-backend.js';
import { renewedBy } from '../thread/renewal.js';
import { etcdCharacteristics } from './characteristics.js';
import { type EtcdOptions, etcdStore } from './etcd-store.js';

export { etcdCharacteristics } from './characteristics.js';
export type { EtcdOptions } from './etcd-store.js';
export type { EtcdTls } from './options.js';

/**
 * A backend over etcd 3.4 or later, by the package `etcd3`, which is to be installed beside this one.
 *
 * A session is a lease. Its locks stand where Go's `concurrency` package and `etcdctl lock` have theirs, so both keep
 * each other out; everything else is below `conclave/`, and with a `namespace` all of it below that.
 *
 * **Not guaranteed** is anything for a process that is paused, except that it sees the loss before it goes on; nor that
 * tokens keep growing when the cluster's data is lost. Two windows of microseconds within etcd, in which a leader is
 * replaced while it answers a renewal, no client can close.
 *
 * **Guarantee** a renewal counts only when a majority has confirmed, after it, the term of the lease; under a new term
 * everything that is held moves to a new lease before the deadline, and keeps its place and token.
 * **Costs** two requests to take a lock that is free and let it go; one event and one read for each hand-off; one keepalive and
 * one read for each renewal of the session, whatever it holds; one connection, to one of the members at a time.
 * **Errors** `AuthenticationFailed`, `PermissionDenied`, which names the keys and the right that is missing,
 * `InvalidPayload` where the server takes no request that large, `NotSupported` behind an etcd grpc-proxy,
 * `MissingPackage`; throws `InvalidOptions`. While no member can be reached it tries the next, for ever, unless
 * `failFastMs` says otherwise; what is refused for now, a full database for one, is told on `faults$`.
 * **Source** etcd `concurrency.Session`, `Mutex`, `Election`.
 *
 * @example
 * ```ts
 * const backend = etcd({ hosts: ['10.0.0.1:2379', '10.0.0.2:2379'], ttlMs: 5_000 });
 * ```
 */
export function etcd(options: EtcdOptions = {}): Backend {
  const onLoop = etcdStore(options).pipe(map((store): Stores => [store]));
  const stores$ = renewedBy('etcd', etcdCharacteristics, options, 1, onLoop);
  return createShardedBackend('etcd', etcdCharacteristics, 1, stores$, options);
}
