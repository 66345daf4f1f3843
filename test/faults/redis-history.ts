import { setTimeout as delay } from 'node:timers/promises';
import { askRedis, startRedis } from '../../src/testing/servers/redis.js';
import type { TestServer } from '../../src/testing/servers/server.js';
import { promptly } from '../backends/redis/support.js';
import type { Cell } from './cell.js';
import { cut, type Fault } from './faults.js';
import { type Actor, longLock, quietHabit, quietLock, type Run } from './laboratory.js';
import { told, untilSynced } from './redis-replication.js';
import { ttlMs } from './stores.js';

/** Somebody else takes the long lock: what was copied before knows nothing of it. */
export async function anotherHolder(run: Run): Promise<Actor> {
  const before = await run.untilHeld(longLock);
  const next = run.nextHolder(longLock);
  await before.process.request('release', longLock);
  return next;
}

/**
 * Somebody takes what nobody had, or what whoever had it is forgotten to have: what was copied before knows nothing of
 * it. Nobody who has left since stands before it there, as in a line that many stand in all the time.
 */
export async function newHolder(run: Run, { process } = run.bystander()): Promise<Actor> {
  const [holder] = await Promise.all([run.nextHolder(quietLock), process.request('contend', quietHabit)]);
  return holder;
}

/** Nobody holds what `newHolder` took, nor stands in line for it. */
export async function abandoned({ actors }: Run): Promise<void> {
  await Promise.all(actors.map(({ process }) => process.request('abandon', quietLock)));
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
export const flushed: Cell = {
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

/**
 * The same process, which has served all along, and its data is older than what it acknowledged. The holder has so little
 * to ask that it keeps its connection meanwhile: if it is not told, it holds for as long as it lives.
 */
async function rollBack(run: Run, lagging: TestServer): Promise<void> {
  const server = onlyServer(run);
  run.round();
  const holder = await run.enlistAnother({ habits: (process) => process.request('untilLive') });
  await told(lagging, 'REPLICAOF', server.host, `${server.port}`);
  await untilSynced(lagging);
  await told(lagging, 'REPLICAOF', 'NO', 'ONE');
  await delay(run.random.between(0, ttlMs / 4));
  await newHolder(run, holder);
  // Not for so long that the sessions in the copy have ended.
  await delay(run.random.between(0, ttlMs / 4));
  const there = changed(`make ${server.port} a replica of one that lags`, async () => {
    await told(server, 'REPLICAOF', lagging.host, `${lagging.port}`);
    await untilSynced(server);
    await told(server, 'REPLICAOF', 'NO', 'ONE');
  });
  await run.during(there, 0);
  await newHolder(run);
  // Longer than anybody holds without being renewed.
  await delay(1.2 * ttlMs);
  await abandoned(run);
  await holder.process.request('close');
  await run.kill(holder);
}

async function rolledBackTimes(run: Run, rounds: number, settle: () => Promise<void>): Promise<void> {
  await askRedis(onlyServer(run).url, 'CONFIG', 'SET', 'repl-diskless-sync-delay', '0');
  await using lagging = await startRedis({ args: promptly });
  for (let index = 0; index < rounds; index += 1) {
    await rollBack(run, lagging);
    await settle();
  }
}

const rolledBack: Cell = {
  name: 'made a replica of one that lags, and a master again',
  scenario: (run) => rolledBackTimes(run, 2, () => run.untilAllTakePart()),
};

/** Not for longer than it takes to see two hold: where that goes unnoticed, the other lines do not go on. */
export const rolledBackOnce: Cell = {
  name: 'made a replica of one that lags, and a master again, once',
  scenario: (run) => rolledBackTimes(run, 1, async () => {}),
};

export const historyCells: readonly Cell[] = [flushed, rolledBack];
