import type { ProvidedContext } from 'vitest';
import type { TestProject } from 'vitest/node';
import { startEtcd } from '../../src/testing/servers/etcd.js';
import { startRedis } from '../../src/testing/servers/redis.js';
import { disposeAll, type TestServer } from '../../src/testing/servers/server.js';
import { startZooKeeper } from '../../src/testing/servers/zookeeper.js';
import { ensureServers, products } from './install.js';

declare module 'vitest' {
  interface ProvidedContext {
    redisUrl: string;
    etcdUrl: string;
    zookeeperUrl: string;
  }
}

/** One server of each product for all test files; whoever wants to break one starts its own. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await ensureServers();
  const servers: TestServer[] = [];
  const stop = (): Promise<void> => disposeAll(servers);
  const provide = async (
    key: keyof ProvidedContext,
    variable: string,
    start: () => Promise<TestServer>,
  ): Promise<void> => {
    const given = process.env[variable];
    if (given) return project.provide(key, given);
    const server = await start();
    servers.push(server);
    project.provide(key, server.url);
  };
  const provided = [
    provide('redisUrl', products.redis.variable, startRedis),
    provide('etcdUrl', products.etcd.variable, startEtcd),
    provide('zookeeperUrl', products.zookeeper.variable, startZooKeeper),
  ];
  await Promise.allSettled(provided);
  try {
    await Promise.all(provided);
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}
