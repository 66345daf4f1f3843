import { inject } from 'vitest';
import { connect } from '../../src/connect.js';
import { backendConformance } from '../conformance/conformance.js';
import { remote } from '../conformance/remote.js';
import { startRedis } from '../support/redis.js';

const url = inject('redisUrl');

backendConformance(
  (options) => connect(url, options),
  remote({
    name: 'redis',
    url,
    ttlMs: 2_000,
    connect,
    start: () => startRedis({ appendonly: true, appendfsync: 'always' }),
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
