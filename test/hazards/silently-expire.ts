import type { Backend } from '../../src/backends/backend.js';
import { endEtcdSession } from '../../src/testing/servers/etcd.js';
import { endRedisSession } from '../../src/testing/servers/redis.js';
import { sessionIdOf } from '../support/virtual-time.js';
import type { RealStore } from './stores.js';

/** Ends a session on etcd or Redis as its time would, while its owner believes in it until it asks. */
export async function silentlyExpire(store: RealStore, backend: Backend): Promise<void> {
  const end = store.name === 'etcd' ? endEtcdSession : endRedisSession;
  if (!(await end(store, sessionIdOf(backend)))) throw new Error(`${store.name} holds no session of that backend`);
}
