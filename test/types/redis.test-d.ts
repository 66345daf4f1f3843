import type { Cluster, Redis } from 'ioredis';
import type { Redis as Redis5 } from 'ioredis-5';
import type { createClient, createClientPool, createCluster } from 'redis';
import type { createClient as createClient5 } from 'redis-5';
import { expectTypeOf, test } from 'vitest';
import type { RedisOptions } from '../../src/backends/redis/index.js';
import { type ConnectOptions, connect } from '../../src/index.js';

test('a client of either library and version is taken, and no type of theirs is needed for it', () => {
  expectTypeOf<Redis>().toExtend<RedisOptions['client']>();
  expectTypeOf<Redis5>().toExtend<RedisOptions['client']>();
  expectTypeOf<Cluster>().toExtend<RedisOptions['client']>();
  expectTypeOf<ReturnType<typeof createClient>>().toExtend<RedisOptions['client']>();
  expectTypeOf<ReturnType<typeof createClient5>>().toExtend<RedisOptions['client']>();
  expectTypeOf<ReturnType<typeof createCluster>>().toExtend<RedisOptions['client']>();
  expectTypeOf<() => Redis>().toExtend<RedisOptions['client']>();
});

test('a URL is used with a library that is named, and with no client', () => {
  expectTypeOf<{ client: 'node-redis' }>().toExtend<ConnectOptions>();
  // @ts-expect-error there is no such library
  connect('redis://h', { client: 'redis' });
  expectTypeOf<ReturnType<typeof createClientPool>>().not.toExtend<RedisOptions['client']>();
});
