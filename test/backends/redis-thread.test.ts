import { inject } from 'vitest';
import { connect } from '../../src/connect.js';
import { backendConformance } from '../../src/testing/conformance/conformance.js';
import { remote } from '../../src/testing/conformance/remote.js';
import { SINGLE_REDIS } from '../support/redis-conformance.js';

const url = inject('redisUrl');
/** So short that who blocks the loop for longer than the ttl loses what it holds, as the suite expects of every backend. */
const maxStallMs = 300;

/** A clock of one's own cannot be had in a thread: the case that gives one is played without. */
const inThread: typeof connect = (to, options) =>
  options?.scheduler === undefined ? connect(to, { renewal: 'thread', maxStallMs, ...options }) : connect(to, options);

backendConformance(
  (options) => inThread(url, options),
  remote({
    name: 'redis, renewed in a thread',
    // Other processes are given this: fleets may be of both kinds.
    url,
    // A thread takes a while to start where others work, too.
    ttlMs: 3_000,
    connect: inThread,
    ...SINGLE_REDIS,
  }),
);
