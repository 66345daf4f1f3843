import { inject } from 'vitest';
import { connect } from '../../src/connect.js';
import { backendConformance } from '../../src/testing/conformance/conformance.js';
import { remote } from '../../src/testing/conformance/remote.js';
import { askHttp } from '../../src/testing/servers/ask.js';
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
    startCluster: () => startEtcd({ nodes: 3 }),
    refuse: async ({ url }) => {
      const alarm = (action: 'ACTIVATE' | 'DEACTIVATE'): Promise<string> =>
        askHttp(`${url.replace('etcd:', 'http:')}/v3/maintenance/alarm`, { action, memberID: '1', alarm: 'NOSPACE' });
      await alarm('ACTIVATE');
      return async () => void (await alarm('DEACTIVATE'));
    },
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
