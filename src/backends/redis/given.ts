import { InvalidOptions } from '../errors.js';
import { givenCluster, givenRedis, isCluster, isRedis } from './given-ioredis.js';
import { givenNodeRedis, givenNodeRedisCluster, isNodeRedis, isNodeRedisCluster } from './given-node-redis.js';
import type { Way } from './way.js';

/**
 * The way of a client that was given. Throws `InvalidOptions` where it is none, or one whose options lead elsewhere than
 * to where it can be locked.
 */
export function givenWay(client: object): Way {
  const [way, violations] = read(client);
  if (way?.cluster !== undefined && way.keyPrefix.includes('{'))
    violations.push('client must have a keyPrefix without { for a cluster, where that would name a slot');
  if (way === undefined || violations.length > 0) throw new InvalidOptions(violations);
  return way;
}

function read(client: object): readonly [way: Way | undefined, violations: string[]] {
  if (isRedis(client)) return givenRedis(client);
  if (isCluster(client)) return givenCluster(client);
  if (isNodeRedis(client)) return givenNodeRedis(client);
  if (isNodeRedisCluster(client)) return givenNodeRedisCluster(client);
  const advice =
    'getSentinelNode' in client
      ? "does not tell what createSentinel was told: give the option sentinels, beside client: 'node-redis'"
      : 'must be one of ioredis, or one of createClient or createCluster of node-redis';
  return [undefined, [`client ${advice}`]];
}
