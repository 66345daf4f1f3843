export type { TestCluster } from './cluster.js';
export { type EtcdCluster, type EtcdOptions, startEtcd } from './etcd.js';
export { MissingProgram } from './program.js';
export { type RedisOptions, startRedis } from './redis.js';
export type { StartOptions, TestServer } from './server.js';
export { type ProxyOptions, type StrandedConnection, startProxy, type TcpProxy } from './tcp-proxy.js';
export type { TestStore } from './test-store.js';
export { startZooKeeper, type ZooKeeperEnsemble, type ZooKeeperOptions } from './zookeeper.js';
