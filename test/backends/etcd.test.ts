import { inject } from 'vitest';
import { connect } from '../../src/connect.js';
import { backendConformance } from '../../src/testing/conformance/conformance.js';
import { remote } from '../../src/testing/conformance/remote.js';
import { startEtcd } from '../../src/testing/servers/etcd.js';

const url = inject('etcdUrl');

backendConformance(
  (options) => connect(url, options),
  remote({
    name: 'etcd',
    url,
    ttlMs: 2_000,
    connect,
    start: () => startEtcd(),
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
