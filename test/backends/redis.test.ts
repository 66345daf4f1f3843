import { inject } from 'vitest';
import { connect } from '../../src/connect.js';
import { backendConformance } from '../../src/testing/conformance/conformance.js';
import { remote } from '../../src/testing/conformance/remote.js';
import { SINGLE_REDIS } from '../support/redis-conformance.js';

const url = inject('redisUrl');

backendConformance(
  (options) => connect(url, options),
  remote({
    name: 'redis',
    url,
    ttlMs: 2_000,
    connect,
    ...SINGLE_REDIS,
  }),
);
