import { inject } from 'vitest';
import { connect } from '../../src/connect.js';
import { backendConformance } from '../../src/testing/conformance/conformance.js';
import { remote } from '../../src/testing/conformance/remote.js';
import { startZooKeeper } from '../../src/testing/servers/zookeeper.js';

const url = inject('zookeeperUrl');
/** With the entries named as Curator's recipes name theirs. */
const asCurator: typeof connect = (to, options) => connect(to, { layout: 'curator', ...options });

backendConformance(
  (options) => asCurator(url, options),
  remote({
    name: 'zookeeper, as Curator',
    // Other processes are given nothing but this.
    url: `${url}?layout=curator`,
    ttlMs: 2_000,
    connect: asCurator,
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
