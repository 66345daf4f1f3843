import type { remote } from '../../src/testing/conformance/remote.js';
import { askRedis, startRedis } from '../../src/testing/servers/redis.js';

type Remote = Parameters<typeof remote>[0];

/** What the suite is told of a single Redis server, however its sessions are renewed. */
export const SINGLE_REDIS: Pick<Remote, 'start' | 'refuse' | 'declares'> = {
  start: () => startRedis({ appendonly: true, appendfsync: 'always' }),
  // It has no replica, so it takes no write that one must have.
  refuse: async ({ url }) => {
    await askRedis(url, 'CONFIG', 'SET', 'min-replicas-to-write', '1');
    return async () => void (await askRedis(url, 'CONFIG', 'SET', 'min-replicas-to-write', '0'));
  },
  declares: {
    distributed: true,
    fair: true,
    tokensSurviveRestart: true,
    tokensSurviveDataLoss: true,
    consistentFailover: false,
    cells: true,
  },
};
