import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../src/testing/processes/probes.js';
import { askHttp } from '../../src/testing/servers/ask.js';
import type { TestCluster } from '../../src/testing/servers/cluster.js';
import type { RedisCluster } from '../../src/testing/servers/redis.js';
import type { TestServer } from '../../src/testing/servers/server.js';
import type { Cell } from './cell.js';
import { cutOff, etcdDiskStalled, type Fault, zooKeeperDiskStalled } from './faults.js';
import { longLock, type Run } from './laboratory.js';
import type { RedisReplication } from './redis-replication.js';
import { type StoreUnderTest, ttlMs } from './stores.js';

/**
 * The ttl and a second; a new leader of etcd gives each lease an election timeout (1 s) more than its ttl; and whoever waits
 * at a member that is cut off learns of it only by a renewal and its time-out (0.5 × ttl).
 */
const afterEtcdElectionMs = ttlMs + 2_000 + 0.5 * ttlMs;
/** Longer than an election and a session take. */
const overAllMs = 2.2 * ttlMs;

function clusterOf({ cluster, name }: StoreUnderTest): TestCluster {
  if (cluster === undefined) throw new Error(`the store ${name} is no cluster`);
  return cluster;
}

/** Half of the actors know one node only, the others all, or all others. */
function homes(
  choose: (cluster: TestCluster) => Promise<TestServer>,
  others: 'all' | 'elsewhere' = 'all',
): NonNullable<Cell['nodesOf']> {
  return async (store) => {
    const home = await choose(clusterOf(store));
    const known = others === 'all' ? store.nodes : store.nodes.filter((node) => node !== home);
    return (index) => (index % 2 === 0 ? [home] : known);
  };
}

async function follower(cluster: TestCluster): Promise<TestServer> {
  const leader = await cluster.leader();
  const other = cluster.nodes.find((node) => node !== leader);
  if (other === undefined) throw new Error('a cluster of one');
  return other;
}

/** While there is no leader, nobody reaches the store. */
function leaderGone(leader: TestServer, how: 'kill' | 'pause'): Fault {
  return {
    name: `${how} the leader ${leader.port}`,
    reaches: 'all',
    begin: () => (how === 'kill' ? leader.kill() : leader.pause()),
    end: () => {},
  };
}

async function rounds(run: Run, count: number, round: () => Promise<unknown>): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    run.round();
    await round();
  }
}

/** Nobody asks for anything, so only renewals can tell that nothing is known of them any more. */
function quietHolder(settings: {
  readonly name: string;
  readonly home: (cluster: TestCluster) => Promise<TestServer>;
  readonly rounds: number;
  readonly prepare?: (cluster: TestCluster, home: TestServer) => Promise<unknown>;
  readonly fault: (cluster: TestCluster, home: TestServer) => Fault;
}): Cell {
  return {
    name: settings.name,
    // Somebody must be where the other leader admits: by chance all could have connected to the one that is broken.
    nodesOf: homes(settings.home, 'elsewhere'),
    habits: { shortLocks: 0 },
    scenario: (run) => {
      const cluster = clusterOf(run.store);
      return rounds(run, settings.rounds, async () => {
        const { home, guests } = homeOf(run);
        await settings.prepare?.(cluster, home);
        let holder = await run.untilHeld(longLock);
        do {
          while (!guests.includes(holder)) {
            const next = run.nextHolder(longLock);
            await holder.process.request('release', longLock);
            holder = await next;
          }
          // The renewals of a leader that is new itself are proved; and whoever is too busy for them has lost it by then.
          await delay(ttlMs);
          holder = await run.untilHeld(longLock);
        } while (!guests.includes(holder));
        await run.during({ ...settings.fault(cluster, home), reaches: guests }, async () => {
          while (guests.includes(holder)) holder = await run.untilHeld(longLock, holder);
          await delay(ttlMs);
        });
        await delay(ttlMs);
      });
    },
  };
}

export const followerCutOffQuietly: Cell = quietHolder({
  name: 'follower of the store cut off, a quiet holder on it',
  home: follower,
  rounds: 3,
  fault: cutOff,
});

export const leaderDiskStalledQuietly: Cell = quietHolder({
  name: 'disk of the leader of the store stalled, a quiet holder on it',
  home: (cluster) => cluster.leader(),
  rounds: 3,
  prepare: makeLeader,
  fault: ({ nodes }, home) => etcdDiskStalled(home, nodes.find((node) => node !== home) ?? home),
});

/** A leader of ZooKeeper commits with the disks of its followers, so that nobody would notice. */
const followerDiskStalledQuietly: Cell = quietHolder({
  name: 'disk of a follower of the store stalled, a quiet holder on it',
  home: follower,
  rounds: 2,
  fault: (_, home) => zooKeeperDiskStalled(home),
});

const leaderPausedQuietly = (store: 'etcd' | 'zookeeper'): Cell =>
  quietHolder({
    name: 'leader of the store paused and continued, a quiet holder on it',
    home: (cluster) => cluster.leader(),
    // ZooKeeper cannot be told who is to lead again.
    rounds: store === 'etcd' ? 3 : 1,
    ...(store === 'etcd' && { prepare: makeLeader }),
    fault: (_, home) => ({
      name: `pause the leader ${home.port}`,
      reaches: [],
      begin: () => home.pause(),
      end: () => home.resume(),
    }),
  });

/** Has an etcd cluster led by `node`. */
async function makeLeader(cluster: TestCluster, node: TestServer): Promise<void> {
  const url = ({ host, port }: TestServer): string => `http://${host}:${port}/v3/maintenance`;
  const isLed = async (): Promise<boolean> => {
    const leader = await cluster.leader();
    if (leader === node) return true;
    const status: { header: { member_id: string } } = JSON.parse(await askHttp(`${url(node)}/status`, {}));
    await askHttp(`${url(leader)}/transfer-leadership`, { targetID: status.header.member_id });
    return false;
  };
  await until(() => isLed().catch(() => false), 30_000, `the leadership of ${node}`);
}

/** Every cell that three nodes can be put into. */
export function clusterCellsOf(store: 'etcd' | 'zookeeper'): readonly Cell[] {
  const cells: readonly Cell[] = [
    {
      name: 'leader of the store killed',
      scenario: (run) =>
        rounds(run, 4, async () => {
          const cluster = clusterOf(run.store);
          const leader = await cluster.leader();
          await run.during(leaderGone(leader, 'kill'), () => cluster.leader(leader));
          await run.untilAllTakePart();
          await leader.start();
        }),
    },
    {
      name: 'leader of the store paused and continued',
      scenario: (run) =>
        rounds(run, 4, async () => {
          const cluster = clusterOf(run.store);
          const leader = await cluster.leader();
          const stopped = delay(overAllMs + run.random.between(0, 800));
          await run.during(leaderGone(leader, 'pause'), () => cluster.leader(leader));
          await stopped;
          run.note(`continue ${leader.port}`);
          leader.resume();
          await run.untilAllTakePart();
        }),
    },
    {
      name: 'follower of the store cut off, clients on it',
      nodesOf: homes(follower),
      scenario: (run) => cutOffHome(run, 4),
    },
    ...(store === 'etcd'
      ? [
          {
            name: 'leader of the store cut off, clients on it',
            nodesOf: homes((cluster) => cluster.leader()),
            scenario: (run: Run) => cutOffHome(run, 3),
          },
        ]
      : []),
    followerCutOffQuietly,
    leaderPausedQuietly(store),
    store === 'etcd' ? leaderDiskStalledQuietly : followerDiskStalledQuietly,
    {
      name: 'follower of the store paused and continued, clients on it',
      nodesOf: homes(follower),
      scenario: (run) =>
        rounds(run, 3, async () => {
          const { home, guests } = homeOf(run);
          const fault = {
            name: `pause ${home.port}`,
            reaches: guests,
            begin: () => home.pause(),
            end: () => home.resume(),
          };
          await run.during(fault, overAllMs);
          await run.untilAllTakePart();
        }),
    },
  ];
  const limits = { nextHolderMs: afterEtcdElectionMs, membershipMs: afterEtcdElectionMs };
  return store === 'etcd' ? cells.map((cell) => ({ ...cell, ...limits })) : cells;
}

async function cutOffHome(run: Run, count: number): Promise<void> {
  const cluster = clusterOf(run.store);
  await rounds(run, count, async () => {
    const { home, guests } = homeOf(run);
    await run.during({ ...cutOff(cluster, home), reaches: guests }, overAllMs + run.random.between(0, 1_000));
    await run.untilAllTakePart();
  });
}

/** The node that some know alone, and who these are. */
function homeOf(run: Run) {
  const guests = run.actors.filter(({ nodes }) => nodes.length === 1);
  const home = guests[0]?.nodes[0];
  if (home === undefined) throw new Error('nobody has a home');
  return { home, guests };
}

/** What a fail-over of Redis can be put through. */
export function sentinelCells(replication: () => RedisReplication): readonly Cell[] {
  const failOver =
    (how: 'kill' | 'pause'): Cell['scenario'] =>
    (run) =>
      rounds(run, 2, async () => {
        await replication().untilReplicated();
        const master = await replication().master();
        await run.during(leaderGone(master, how), () => replication().masterOtherThan(master));
        await run.untilAllTakePart();
        if (how === 'kill') await master.start();
        else master.resume();
        await run.untilAllTakePart();
      });
  return [
    { name: 'sentinel fail-over, master killed', scenario: failOver('kill') },
    {
      name: 'sentinel fail-over, master paused and continued',
      scenario: failOver('pause'),
    },
    {
      name: 'sentinel fail-over, asked for, master goes on',
      scenario: (run) =>
        rounds(run, 2, async () => {
          await replication().untilReplicated();
          const master = await replication().master();
          const fault: Fault = {
            name: `fail over from ${master.port}`,
            reaches: 'all',
            begin: () => replication().failOver(),
            end: () => {},
          };
          await run.during(fault, () => replication().masterOtherThan(master));
          await run.untilAllTakePart();
        }),
    },
  ];
}

/** Slots of a Redis Cluster go from one master to another, key by key, while what is in them is held and waited for. */
export function reshardingCells(masters: () => RedisCluster): readonly Cell[] {
  return [
    {
      name: 'slots moved while held and contended',
      scenario: (run) =>
        rounds(run, 3, async () => {
          const slots = await masters().usedSlots();
          if (slots.length < 3) throw new Error(`only ${slots.length} slots are used`);
          for (const slot of slots) {
            const owner = await masters().ownerOf(slot);
            const target = run.random.pick(masters().nodes.filter((node) => node !== owner));
            const move = await masters().beginMove(slot, target);
            const fault: Fault = {
              name: `move the slot ${slot} from ${owner.port} to ${target.port}`,
              reaches: 'all',
              begin: () => move.moveKeys(run.random.between(0, 4)),
              end: () => move.finish(),
            };
            await run.during(fault, run.random.between(0, ttlMs / 4));
          }
          await run.untilAllTakePart();
        }),
    },
  ];
}

/** What becomes of a Redis Cluster when one of its masters dies, or seems to. */
export function promotionCells(masters: () => RedisCluster): readonly Cell[] {
  const promotion =
    (how: 'kill' | 'pause'): Cell['scenario'] =>
    (run) =>
      rounds(run, 2, async () => {
        const cluster = masters();
        await cluster.untilReplicated();
        const slot = run.random.pick(await cluster.usedSlots());
        const master = await cluster.ownerOf(slot);
        const isAnother = async (): Promise<boolean> => (await cluster.ownerOf(slot)) !== master;
        await run.during(leaderGone(master, how), () => until(isAnother, 30_000, `a master other than ${master}`));
        await run.untilAllTakePart();
        if (how === 'kill') await master.start();
        else master.resume();
        await run.untilAllTakePart();
      });
  return [
    { name: 'master of the cluster killed, replica promoted', scenario: promotion('kill') },
    { name: 'master of the cluster paused and continued, replica promoted', scenario: promotion('pause') },
  ];
}
