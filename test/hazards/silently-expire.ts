import type { Backend } from '../../src/backends/backend.js';
import type { Stage } from '../../src/testing/conformance/stage.js';
import { askRedis } from '../../src/testing/servers/redis.js';
import { etcdctl } from '../backends/etcd/support.js';
import { sessionIdOf } from '../support/virtual-time.js';
import type { RealStore } from './stores.js';

/** Ends a session on etcd or Redis as its time would, while its owner believes in it until it asks. */
export async function silentlyExpire({ name, url }: RealStore, stage: Stage, backend: Backend): Promise<void> {
  const id = sessionIdOf(backend);
  if (name === 'etcd') {
    await etcdctl(Number(new URL(url).port), 'lease', 'revoke', id);
    return;
  }
  const leases = await leasesOf(url, stage.options.namespace);
  const changed = await askRedis(url, 'ZADD', leases, 'XX', 'CH', '0', id);
  if (!changed.startsWith(':1')) throw new Error(`${leases} holds no session ${id}: ${changed}`);
}

/** The key of the leases in the shard of a namespace. */
async function leasesOf(url: string, namespace: string): Promise<string> {
  const found = /\{[^\r\n]*\}:s(?=\r)/.exec(await askRedis(url, 'KEYS', `{${namespace}:*}:s`))?.[0];
  if (found === undefined) throw new Error(`no session has a lease in ${namespace}`);
  return found;
}
