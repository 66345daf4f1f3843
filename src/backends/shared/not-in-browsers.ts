import { NotSupported } from '../errors.js';

/*
 * What bundlers for browsers put in the place of the stores of these adapters: see `browser` in package.json. A page
 * cannot open a connection to any of them.
 */

function notInBrowsers(backend: string): () => never {
  return () => {
    throw new NotSupported(backend, 'browsers');
  };
}

export const redisStores: () => never = notInBrowsers('redis');
export const etcdStore: () => never = notInBrowsers('etcd');
export const zookeeperStore: () => never = notInBrowsers('zookeeper');
export const threadStores = (backend: string): never => notInBrowsers(backend)();
