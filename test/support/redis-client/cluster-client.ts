import { Cluster } from 'ioredis';
import { createCluster } from 'redis';
import type { RedisClient } from '../../../src/backends/redis/index.js';
import { clientUnderTest } from './packages.mjs';

interface Address {
  readonly host: string;
  readonly port: number;
}

type NodeAddressMap = NonNullable<NonNullable<Parameters<typeof createCluster>[0]>['nodeAddressMap']>;
type NatMap = Record<string, Address> | ((name: string) => Address | null);

/** A client of a cluster, of the library under test. With `natMap` its nodes are reached elsewhere than they say. */
export function clusterClient(
  seeds: readonly Address[],
  { natMap, password }: { readonly natMap?: NatMap; readonly password?: string } = {},
): RedisClient {
  const login = password === undefined ? {} : { password };
  return clientUnderTest.startsWith('ioredis')
    ? new Cluster([...seeds], { lazyConnect: true, redisOptions: login, ...(natMap && { natMap }) })
    : createCluster({
        rootNodes: seeds.map((socket) => ({ socket })),
        defaults: login,
        ...(natMap && { nodeAddressMap: natMap as NodeAddressMap }),
      });
}
