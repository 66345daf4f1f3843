import { inject } from 'vitest';
import { connect } from '../../src/connect.js';
import { backendConformance } from '../../src/testing/conformance/conformance.js';
import { remote } from '../../src/testing/conformance/remote.js';
import { startZooKeeper } from '../../src/testing/servers/zookeeper.js';

const url = inject('zookeeperUrl');

backendConformance(
  (options) => connect(url, options),
  remote({
    name: 'zookeeper',
    url,
    ttlMs: 2_000,
    connect,
    start: () => startZooKeeper(),
    startCluster: () => startZooKeeper({ nodes: 3 }),
    declares: {
      distributed: true,
      fair: true,
      tokensSurviveRestart: true,
      tokensSurviveDataLoss: false,
      consistentFailover: true,
      cells: true,
    },
  }),
);
