import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../src/testing/processes/probes.js';
import { askRedis } from '../../src/testing/servers/redis.js';
import type { TestServer } from '../../src/testing/servers/server.js';
import type { Cell } from './cell.js';
import { cut } from './faults.js';
import { election, longLock, type Run } from './laboratory.js';
import type { RedisEndpoint } from './redis-endpoint.js';
import { abandoned, changed, newHolder } from './redis-history.js';
import { told } from './redis-replication.js';
import { ttlMs } from './stores.js';

/** The time for which it has been up says nothing of its data. */
async function untilOld(server: TestServer): Promise<void> {
  const isOld = async (): Promise<boolean> =>
    Number(/uptime_in_seconds:(\d+)/.exec(await askRedis(server.url, 'INFO', 'server'))?.[1]) > ttlMs / 1_000 + 1;
  await until(isOld, 3 * ttlMs, `the age of ${server}`);
}

/** At one instant, as a dump would. */
const copyAll = `return redis.call('MIGRATE', ARGV[1], ARGV[2], '', '0', '5000', 'COPY', 'KEYS', unpack(redis.call('KEYS', '*')))`;

const rounds = 2;

function endpointOf({ store }: Run): RedisEndpoint {
  if (store.endpoint === undefined) throw new Error(`the store ${store.name} is not behind one address`);
  return store.endpoint;
}

/** Its holder is cut off, and the address leads to data that does not know of it. */
async function switchOver(run: Run, arrived: () => Promise<void>): Promise<void> {
  const { address, turn } = endpointOf(run);
  const holder = await newHolder(run);
  await run.during(cut([holder]), async () => {
    const switched = changed('lead the address elsewhere', async () => {
      turn();
      address.resetAll();
      await arrived();
    });
    await run.during(switched, 0);
    await newHolder(run);
    await delay(ttlMs / 4);
  });
  await abandoned(run);
  await run.untilAllTakePart();
}

/** A replica of older data is the server of the address before it is a master. */
export const promotedAfterwards: Cell = {
  name: 'address led to a replica that is promoted only afterwards',
  scenario: async (run) => {
    const { follow, link, sides } = endpointOf(run);
    await untilOld(sides().standby);
    for (let index = 0; index < rounds; index += 1) {
      run.round();
      await follow();
      await delay(run.random.between(0, ttlMs / 2));
      // From now on it lags.
      link.blackhole();
      await switchOver(run, async () => {
        // Whoever comes finds a replica first.
        await delay(run.random.between(0.05 * ttlMs, 0.5 * ttlMs));
        await told(sides().active, 'REPLICAOF', 'NO', 'ONE');
      });
    }
  },
};

export const warmStandby: Cell = {
  name: 'address led to a warm standby that has an older copy',
  scenario: async (run) => {
    const { sides } = endpointOf(run);
    await told(sides().standby, 'REPLICAOF', 'NO', 'ONE');
    await untilOld(sides().standby);
    for (let index = 0; index < rounds; index += 1) {
      run.round();
      const { active, standby } = sides();
      await told(standby, 'FLUSHALL');
      await told(active, 'EVAL', copyAll, '0', standby.host, `${standby.port}`);
      await delay(run.random.between(0, ttlMs / 2));
      await switchOver(run, async () => {});
    }
  },
};

/**
 * The server is deposed and follows the next master, to which the address leads from now on. It closes no connection, and
 * takes no write any more: who does not connect anew is served again only when the session is lost, and all that it holds.
 */
export const deposedForGood: Cell = {
  name: 'server deposed for good, connections stay, and the address leads to the next master',
  keeps: [longLock, election],
  scenario: async (run) => {
    const { follow, sides, turn } = endpointOf(run);
    for (let index = 0; index < rounds; index += 1) {
      run.round();
      await follow();
      const { active, standby } = sides();
      const deposed = changed(`make ${standby.port} the master of ${active.port}`, async () => {
        await told(standby, 'REPLICAOF', 'NO', 'ONE');
        turn();
        await told(active, 'REPLICAOF', standby.host, `${standby.port}`);
      });
      await run.during(deposed, 0);
      await run.untilAllTakePart();
    }
  },
};

export const endpointCells: readonly Cell[] = [promotedAfterwards, warmStandby, deposedForGood];
