import { inject } from 'vitest';
import { connect } from '../../src/connect.js';
import { backendConformance } from '../../src/testing/conformance/conformance.js';
import { remote } from '../../src/testing/conformance/remote.js';
import { askRedis, startRedis } from '../../src/testing/servers/redis.js';

const url = inject('redisUrl');

backendConformance(
  (options) => connect(url, options),
  remote({
    name: 'redis',
    url,
    ttlMs: 2_000,
    connect,
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
  }),
);
