import { setTimeout as pause } from 'node:timers/promises';
import { Etcd3, EtcdLockFailedError } from 'etcd3';
import { askHttp } from '../../src/testing/servers/ask.js';
import { startEtcd } from '../../src/testing/servers/etcd.js';
import { etcdCounts } from '../../test/support/counters.js';
import { ours } from './conclave.js';
import { type Client, overClients } from './over-clients.js';
import type { Store } from './store.js';

const TTL_S = 10;
/** etcd3's lock does not wait: who is refused asks again. */
const ASK_AGAIN_MS = 100;

export const etcd: Store = {
  name: 'etcd',
  start: () => startEtcd(),
  version: async ({ host, port }) => `etcd ${JSON.parse(await askHttp(`http://${host}:${port}/version`)).etcdserver}`,
  counts: etcdCounts,
  requests: /^(KV|Lease|Watch)\/\w+$/,
  floor: {
    name: 'floor: txn + delete',
    npmPackage: 'etcd3',
    isUncontendedOnly: true,
    open: overClients((url) => bare(url, 'awaited')),
  },
  participants: [
    {
      name: 'floor, release not awaited',
      npmPackage: 'etcd3',
      isUncontendedOnly: true,
      open: overClients((url) => bare(url, 'sent')),
    },
    { name: `etcd3 Lock, asked again every ${ASK_AGAIN_MS} ms`, npmPackage: 'etcd3', open: overClients(etcd3Lock) },
    ...ours,
  ],
  reader: async (url) => {
    const client = connected(url);
    return { read: () => client.get('nothing').string(), [Symbol.asyncDispose]: async () => client.close() };
  },
};

async function bare(url: string, release: 'sent' | 'awaited'): Promise<Client> {
  const client = connected(url);
  const lease = client.lease(TTL_S);
  const leaseId = await lease.grant();
  const underWay = new Set<Promise<unknown>>();
  let turns = 0;
  return {
    async acquire(name) {
      // What is sent and not awaited may be overtaken, so each pair has a key of its own.
      const key = release === 'awaited' ? name : `${name}/${turns++}`;
      const { succeeded } = await client
        .if(key, 'Create', '==', 0)
        .then(client.put(key).value('').lease(leaseId))
        .commit();
      if (!succeeded) throw new Error(`the bare client did not get ${key}, which is free`);
      return async () => {
        const deleted: Promise<unknown> = client
          .delete()
          .key(key)
          .exec()
          .finally(() => underWay.delete(deleted));
        underWay.add(deleted);
        if (release === 'awaited') await deleted;
      };
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(underWay);
      await lease.revoke();
      client.close();
    },
  };
}

async function etcd3Lock(url: string): Promise<Client> {
  const client = connected(url);
  const tried = async (name: string): Promise<(() => Promise<void>) | undefined> => {
    const lock = client.lock(name).ttl(TTL_S);
    try {
      await lock.acquire();
      return () => lock.release();
    } catch (error) {
      if (error instanceof EtcdLockFailedError) return undefined;
      throw error;
    }
  };
  return {
    async acquire(name) {
      for (;;) {
        const release = await tried(name);
        if (release !== undefined) return release;
        await pause(ASK_AGAIN_MS);
      }
    },
    [Symbol.asyncDispose]: async () => client.close(),
  };
}

let made = 0;

function connected(url: string): Etcd3 {
  const hosts = url.replace('etcd:', 'http:');
  // Clients with equal options would share a socket.
  return new Etcd3({ hosts, grpcOptions: { 'comparison.connection': made++ } as Record<string, number> });
}
