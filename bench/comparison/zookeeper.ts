import { once } from 'node:events';
import zookeeperClient from 'node-zookeeper-client';
import { askZooKeeper, startZooKeeper } from '../../src/testing/servers/zookeeper.js';
import { zooKeeperCounts } from '../../test/support/counters.js';
import { ours } from './conclave.js';
import { kazoo } from './kazoo.js';
import { type Client, overClients } from './over-clients.js';
import type { Store } from './store.js';

type ZooKeeper = ReturnType<typeof zookeeperClient.createClient>;

const SESSION_MS = 10_000;
/** The one parent under which the bare client works. */
const PARENT = '/floor';

export const zooKeeper: Store = {
  name: 'ZooKeeper',
  start: () => startZooKeeper(),
  version: async (server) => `ZooKeeper ${/version: ([\d.]+)/.exec(await askZooKeeper(server, 'srvr'))?.[1]}`,
  counts: zooKeeperCounts,
  requests: /^(reads|writes)$/,
  floor: {
    name: 'floor: create + list + remove',
    npmPackage: 'node-zookeeper-client',
    isUncontendedOnly: true,
    open: overClients((url) => bare(url, 'awaited')),
  },
  participants: [
    {
      name: 'floor, release not awaited',
      npmPackage: 'node-zookeeper-client',
      isUncontendedOnly: true,
      open: overClients((url) => bare(url, 'sent')),
    },
    kazoo,
    ...ours,
  ],
  reader: async (url) => {
    const client = await connected(url);
    return {
      read: () => settled((done) => client.getData('/', done)),
      [Symbol.asyncDispose]: async () => client.close(),
    };
  },
};

async function bare(url: string, release: 'sent' | 'awaited'): Promise<Client> {
  const client = await connected(url);
  if ((await settled((done) => client.exists(PARENT, done))) === null)
    await settled((done) => client.create(PARENT, done));
  return {
    async acquire(name) {
      const path = await settled<string>((done) =>
        client.create(`${PARENT}/${name}-`, zookeeperClient.CreateMode.EPHEMERAL_SEQUENTIAL, done),
      );
      await settled((done) => client.getChildren(PARENT, done));
      return async () => {
        const removed = settled<void>((done) => client.remove(path, done));
        if (release === 'awaited') await removed;
      };
    },
    [Symbol.asyncDispose]: async () => client.close(),
  };
}

async function connected(url: string): Promise<ZooKeeper> {
  const client = zookeeperClient.createClient(new URL(url).host, { sessionTimeout: SESSION_MS });
  client.connect();
  await once(client, 'connected');
  return client;
}

function settled<T>(act: (done: (error: unknown, value?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => act((error, value) => (error ? reject(error) : resolve(value as T))));
}
