import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../src/testing/processes/probes.js';
import { askRedis, startRedis } from '../../src/testing/servers/redis.js';
import type { TestServer } from '../../src/testing/servers/server.js';
import { promptly } from '../backends/redis/support.js';
import type { Cell } from './cell.js';
import { cut, type Fault } from './faults.js';
import { type Actor, longLock, type Run } from './laboratory.js';
import { ttlMs } from './stores.js';

/** A command that must succeed. */
export async function told(server: TestServer, ...command: readonly string[]): Promise<void> {
  const reply = await askRedis(server.url, ...command);
  if (!reply.startsWith('+')) throw new Error(`${server} did not do ${command.join(' ')}: ${reply}`);
}

export async function untilSynced(replica: TestServer): Promise<void> {
  const isUp = async (): Promise<boolean> =>
    (await askRedis(replica.url, 'INFO', 'replication')).includes('master_link_status:up');
  await until(isUp, 10_000, `${replica} as a replica that follows`);
}

/** Somebody else takes the long lock: what was copied before knows nothing of it. */
export async function anotherHolder(run: Run): Promise<Actor> {
  const before = await run.untilHeld(longLock);
  const next = run.nextHolder(longLock);
  await before.process.request('release', longLock);
  return next;
}

export function changed(name: string, begin: () => Promise<void>): Fault {
  return { name, reaches: 'all', losesData: true, begin, end: () => {} };
}

function onlyServer({ store }: Run): TestServer {
  const [server] = store.nodes;
  if (server === undefined) throw new Error(`the store ${store.name} has no server`);
  return server;
}

/** The data is gone, and somebody who has never seen it makes it anew before those come who have. */
const flushed: Cell = {
  name: 'FLUSHALL, then a newcomer',
  scenario: async (run) => {
    const server = onlyServer(run);
    for (let index = 0; index < 3; index += 1) {
      run.round();
      const newcomer = await run.spawn();
      const holder = await run.untilHeld(longLock);
      const others = run.actors.filter((actor) => actor !== holder);
      await run.during(cut([holder]), async () => {
        await run.during({ ...cut(others), name: 'cut the others' }, async () => {
          await run.during(
            changed('FLUSHALL', () => told(server, 'FLUSHALL')),
            0,
          );
          await run.enlist(newcomer, {
            // What nobody but it takes: a lock that others hold may be given to who knows nothing.
            habits: (process) =>
              process.request('contend', { lock: `new-${index}`, holdMs: [0, 4], pauseMs: [5, 40], workEveryMs: 2 }),
          });
          await newcomer.request('untilAcquired', 1);
        });
        await run.untilHeld(longLock, holder);
        await delay(ttlMs / 4);
      });
      await run.untilAllTakePart();
    }
  },
};

/** The same process, which has served all along, and its data is older than what it acknowledged. */
const rolledBack: Cell = {
  name: 'made a replica of one that lags, and a master again',
  scenario: async (run) => {
    const server = onlyServer(run);
    await askRedis(server.url, 'CONFIG', 'SET', 'repl-diskless-sync-delay', '0');
    await using lagging = await startRedis({ args: promptly });
    for (let index = 0; index < 3; index += 1) {
      run.round();
      await told(lagging, 'REPLICAOF', server.host, `${server.port}`);
      await untilSynced(lagging);
      await told(lagging, 'REPLICAOF', 'NO', 'ONE');
      await delay(run.random.between(0, ttlMs));
      await anotherHolder(run);
      await delay(run.random.between(0, ttlMs / 2));
      const there = changed(`make ${server.port} a replica of one that lags`, async () => {
        await told(server, 'REPLICAOF', lagging.host, `${lagging.port}`);
        await untilSynced(server);
        await told(server, 'REPLICAOF', 'NO', 'ONE');
      });
      await run.during(there, 0);
      await run.untilAllTakePart();
    }
  },
};

export const historyCells: readonly Cell[] = [flushed, rolledBack];
