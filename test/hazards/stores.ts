import { inject } from 'vitest';
import { connect } from '../../src/connect.js';
import type { Link } from '../../src/testing/conformance/quirks.js';
import { remote } from '../../src/testing/conformance/remote.js';
import { Stage } from '../../src/testing/conformance/stage.js';
import { startEtcd } from '../../src/testing/servers/etcd.js';
import { startRedis } from '../../src/testing/servers/redis.js';
import { startProxy, type TcpProxy } from '../../src/testing/servers/tcp-proxy.js';
import type { TestStore } from '../../src/testing/servers/test-store.js';
import { startZooKeeper } from '../../src/testing/servers/zookeeper.js';

/** One of the products, with the server of it that all tests share. */
export interface RealStore {
  readonly name: string;
  readonly url: string;
  /** A server of one's own, which keeps what it has acknowledged. */
  start(): Promise<TestStore>;
}

export const redisStore: RealStore = {
  name: 'Redis',
  url: inject('redisUrl'),
  start: () => startRedis({ appendonly: true, appendfsync: 'always' }),
};
export const etcdStore: RealStore = { name: 'etcd', url: inject('etcdUrl'), start: () => startEtcd() };
export const zooKeeperStore: RealStore = {
  name: 'ZooKeeper',
  url: inject('zookeeperUrl'),
  start: () => startZooKeeper(),
};

/** For `test.each`. */
export const named = <T extends RealStore>(...stores: readonly T[]) =>
  stores.map((store) => [store.name, store] as const);
export const realStores = named(redisStore, etcdStore, zooKeeperStore);

/** What a case works with: a namespace of its own on a real store, where sessions last for `ttlMs`. */
export function stageOn({ name, url, start }: RealStore, ttlMs = 2_000): Stage {
  const declares = {
    distributed: true,
    fair: true,
    tokensSurviveRestart: true,
    tokensSurviveDataLoss: false,
    consistentFailover: true,
    cells: true,
  };
  return new Stage(remote({ name, url, ttlMs, connect, start, declares }), (options) => connect(url, options));
}

/** A network to the shared server that can be broken, and how to connect by way of it. */
export async function networkTo({ url }: RealStore): Promise<{ proxy: TcpProxy; way: Pick<Link, 'connect'> }> {
  const { protocol, hostname, port } = new URL(url);
  const proxy = await startProxy({ host: hostname, port: Number(port) });
  return { proxy, way: { connect: (options) => connect(proxy.url(protocol.slice(0, -1)), options) } };
}

/** To its clients the server is gone: what is open is reset, and what they try anew is refused. */
export function vanish(proxy: TcpProxy): void {
  proxy.refuse();
  proxy.resetAll();
}
