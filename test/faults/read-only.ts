import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../src/testing/processes/probes.js';
import type { TestServer } from '../../src/testing/servers/server.js';
import { askZooKeeper } from '../../src/testing/servers/zookeeper.js';
import type { Cell } from './cell.js';
import type { Fault } from './faults.js';
import { ttlMs } from './stores.js';

/** From the loss of the others until a server that has no leader serves those who only read. */
const readOnlyWithinMs = 15_000;

async function isReadOnly(server: TestServer): Promise<boolean> {
  return (await askZooKeeper(server, 'srvr').catch(() => '')).includes('Mode: read-only');
}

/** It answers all the time, and proves, admits and releases nothing; half of the actors know no other. */
export const readOnlyServer: Cell = {
  name: 'server of the store goes read-only, and takes writes again',
  nodesOf: async ({ nodes }) => {
    const [home] = nodes;
    return (index) => (home !== undefined && index % 2 === 0 ? [home] : nodes);
  },
  scenario: async (run) => {
    const { cluster } = run.store;
    const [home, ...others] = run.store.nodes;
    if (cluster === undefined || home === undefined) throw new Error('a cluster is needed');
    for (let round = 0; round < 3; round += 1) {
      run.round();
      const alone: Fault = {
        name: `${home.port} is alone, and goes read-only`,
        reaches: 'all',
        begin: async () => {
          await Promise.all(others.map((node) => node.kill()));
        },
        end: async () => {
          await Promise.all(others.map((node) => node.start()));
          await cluster.leader();
        },
      };
      await run.during(alone, async () => {
        await until(() => isReadOnly(home), readOnlyWithinMs, `${home}, which only reads`);
        await delay(run.random.between(0, ttlMs));
      });
      await run.untilAllTakePart();
    }
  },
};
