import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { shardOf } from '../../src/backends/kernel/sharded-backend.js';
import { layoutOf } from '../../src/backends/redis/layout.js';
import { shardsOf } from '../../src/backends/redis/options.js';
import { until } from '../../src/testing/processes/probes.js';
import { askRedis, type RedisCluster } from '../../src/testing/servers/redis.js';
import type { TestServer } from '../../src/testing/servers/server.js';
import type { Cell } from './cell.js';
import { cut } from './faults.js';
import { longLock, type Run } from './laboratory.js';
import { anotherHolder, changed } from './redis-history.js';
import { told } from './redis-replication.js';
import { ttlMs } from './stores.js';

const shards = shardsOf({ cluster: [] });
const changeLimitMs = 5_000;

/** Where the long lock is. */
const slotOf = ({ namespace }: Run): number =>
  layoutOf(namespace, shardOf(longLock.replace(' ', ':'), shards), shards).slot;

async function idOf({ url }: TestServer): Promise<string> {
  return /\r\n(\w{40})\r\n/.exec(await askRedis(url, 'CLUSTER', 'MYID'))?.[1] ?? '';
}

async function isWell({ url }: TestServer): Promise<boolean> {
  return (await askRedis(url, 'CLUSTER', 'INFO')).includes('cluster_state:ok');
}

/** Tells those that run whose the slot is, whatever their own data say. */
async function give(slot: number, owner: TestServer, others: readonly TestServer[]): Promise<void> {
  const id = await idOf(owner);
  for (const node of [owner, ...others]) await told(node, 'CLUSTER', 'SETSLOT', `${slot}`, 'NODE', id);
  // Above that of the node before, which still believes that the slot is its own.
  await askRedis(owner.url, 'CLUSTER', 'BUMPEPOCH');
}

interface Place {
  readonly slot: number;
  /** Has the slot; and its replica, if it has one. */
  readonly node: TestServer;
  readonly replica: TestServer | undefined;
  /** Gets the slot, having been up for long. */
  readonly target: TestServer;
  readonly third: TestServer;
}

async function placeOf(run: Run, cluster: RedisCluster): Promise<Place> {
  const slot = slotOf(run);
  const node = await cluster.ownerOf(slot);
  const pairs = cluster.nodes.map((one, at) => [one, cluster.replicas[at]] as const);
  const replica = pairs.find((pair) => pair.includes(node))?.find((one) => one !== node);
  const [target, third] = await Promise.all(pairs.filter((pair) => !pair.includes(node)).map((pair) => masterIn(pair)));
  if (target === undefined || third === undefined) throw new Error('there are no two other masters');
  return { slot, node, replica, target, third };
}

async function masterIn(pair: readonly (TestServer | undefined)[]): Promise<TestServer> {
  for (const one of pair) if (one !== undefined && (await askRedis(one.url, 'ROLE')).includes('master')) return one;
  throw new Error('neither is a master');
}

interface Move {
  readonly how: (place: Place) => Promise<void>;
  /** From the move until the nodes serve what they have. */
  readonly settled?: (place: Place) => Promise<void>;
}

/** The holder is cut off from all nodes, and what it holds gets a new home that does not know of it. */
async function moved(run: Run, cluster: RedisCluster, { how, settled = async () => {} }: Move): Promise<void> {
  const place = await placeOf(run, cluster);
  const holder = await run.untilHeld(longLock);
  const { slot, target } = place;
  await run.during(cut([holder]), async () => {
    await run.during(
      changed(`the slot ${slot} is moved to ${target.port}`, () => how(place)),
      () => settled(place),
    );
    await run.untilHeld(longLock, holder);
    await delay(ttlMs / 4);
  });
}

/** What the replica of the slot's owner has is old; it is promoted, and the slot goes on at once. */
export function laggingCells(cluster: () => RedisCluster): readonly Cell[] {
  return [
    {
      name: 'a lagging replica promoted, its slot moved to one that has long been up',
      scenario: async (run) => {
        run.round();
        await cluster().untilReplicated();
        const { node } = await placeOf(run, cluster());
        // From now on it lags.
        const password = 'unknown to the replica';
        await told(node, 'CONFIG', 'SET', 'requirepass', password);
        const login = node.url.replace('://', `://:${password}@`);
        await askRedis(login, 'CLIENT', 'KILL', 'TYPE', 'replica');
        await delay(run.random.between(0, ttlMs / 2));
        await anotherHolder(run);
        const how = async ({ slot, replica, target, third }: Place): Promise<void> => {
          if (replica === undefined) throw new Error(`${node} has no replica`);
          await node.kill();
          await told(replica, 'CLUSTER', 'FAILOVER', 'TAKEOVER');
          const isTaken = async (): Promise<boolean> => (await cluster().ownerOf(slot)) === replica;
          await until(isTaken, changeLimitMs, 'the takeover');
          const move = await cluster().beginMove(slot, target);
          await move.moveKeys();
          await give(slot, target, [replica, third]);
        };
        await moved(run, cluster(), { how });
        await node.start();
        await run.untilAllTakePart();
      },
    },
  ];
}

/** A master comes back without its data, and its slot goes to one that never had it. */
export function emptiedCells(cluster: () => RedisCluster): readonly Cell[] {
  return [
    {
      name: 'a master restarted empty, its slot given to one that has long been up',
      scenario: async (run) => {
        for (let index = 0; index < 2; index += 1) {
          run.round();
          await anotherHolder(run);
          await moved(run, cluster(), {
            how: async ({ slot, node, target, third }) => {
              await node.kill();
              rmSync(join(node.dataDir, 'appendonlydir'), { recursive: true });
              await node.start();
              await give(slot, target, [third]);
            },
            // A master that comes back serves nothing for two seconds.
            settled: ({ node }) => until(() => isWell(node), changeLimitMs, `${node} as a part of the cluster`),
          });
          await run.untilAllTakePart();
        }
      },
    },
  ];
}
