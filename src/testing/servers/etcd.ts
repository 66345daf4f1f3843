import { askHttp } from './ask.js';
import { atLeastOne, checkNodes, type TestCluster, untilLed } from './cluster.js';
import { loopback, type ReservedPorts } from './ports.js';
import type { Program } from './program.js';
import { disposeAll, onFreePorts, type ServerSpec, startServer, type TestServer } from './server.js';
import { startProxy, type TcpProxy } from './tcp-proxy.js';
import { ServerGroup } from './test-store.js';

export const etcdServer: Program = { name: 'etcd', debianPackage: 'etcd-server' };

/** Options of `startEtcd`. */
export interface EtcdOptions {
  /** How many servers form the store, from 1 to 7. Default 1. */
  readonly nodes?: number;
  /** Further arguments of etcd, for each node. */
  readonly args?: readonly string[];
}

/** What `startEtcd` starts. */
export interface EtcdCluster extends TestCluster {
  /** Between the others and the node of the same index; none for one node. */
  readonly peerProxies: readonly TcpProxy[];
}

interface Member {
  readonly name: string;
  readonly clientPort: number;
  /** Where it listens for the others. */
  readonly peerPort: number;
  /** Where the others believe it to be. */
  readonly advertisedPort: number;
}

interface Status {
  readonly header: { readonly member_id: string };
  readonly leader: string;
  readonly raftTerm: string;
}

/**
 * Starts an etcd cluster of `nodes` servers on free ports of 127.0.0.1.
 *
 * The nodes reach each other through proxies, so that one can be cut off. A node answers, and `start` resolves, only
 * while the cluster has a quorum. A node that has lost its data does not come back by itself: etcd wants it removed and
 * added. Servers and data end with this process, whatever that dies of.
 *
 * **Rejects** `MissingProgram` without `etcd`; another error, with the end of its log, when it does not start.
 *
 * @example
 * await using etcd = await startEtcd({ nodes: 3 });
 * const backend = connect(etcd.url, { ttlMs: 2_000 });
 * const leader = await etcd.leader();
 * await leader.kill();
 */
export function startEtcd({ nodes = 1, args = [] }: EtcdOptions = {}): Promise<EtcdCluster> {
  checkNodes(nodes);
  return onFreePorts(async (ports) => {
    const members: Member[] = [];
    const peerProxies: TcpProxy[] = [];
    const servers: TestServer[] = [];
    try {
      for (let index = 0; index < nodes; index += 1) {
        const peerPort = await ports.take();
        if (nodes > 1) peerProxies.push(await startProxy({ port: peerPort }));
        const advertisedPort = peerProxies[index]?.port ?? peerPort;
        members.push({ name: `n${index}`, clientPort: await ports.take(), peerPort, advertisedPort });
      }
      const starting = members.map(async (member) => {
        const server = await startServer(spec(member, members, args));
        servers.push(server);
        return server;
      });
      await Promise.allSettled(starting);
      return await formCluster(atLeastOne(await Promise.all(starting)), peerProxies, ports);
    } catch (error) {
      await disposeAll([...servers, ...peerProxies]);
      throw error;
    }
  });
}

/**
 * Revokes the leases of a session: the one that names it, and the one that its keys have moved to. `false` if there is
 * none.
 */
export async function endEtcdSession({ url }: Pick<TestServer, 'url'>, id: string): Promise<boolean> {
  const ask = async <T>(path: string, question: object): Promise<T> =>
    JSON.parse(await askHttp(`${url.replace('etcd:', 'http:')}/v3/lease/${path}`, question)) as T;
  const { leases = [] } = await ask<{ leases?: readonly { ID: string }[] }>('leases', {});
  let ended = false;
  for (const { ID } of leases) {
    const { keys = [] } = await ask<{ keys?: readonly string[] }>('timetolive', { ID, keys: true });
    const isNamed = BigInt(ID).toString(16) === id;
    if (!isNamed && !keys.some((key) => Buffer.from(key, 'base64').includes(`/${id}-`))) continue;
    await ask('revoke', { ID });
    ended = true;
  }
  return ended;
}

async function formCluster(
  nodes: EtcdCluster['nodes'],
  peerProxies: readonly TcpProxy[],
  ports: ReservedPorts,
): Promise<EtcdCluster> {
  const ids = await Promise.all(nodes.map(async (node) => (await statusOf(node)).header.member_id));
  const cutOff = new Set<TestServer>();

  const cut = (): void => {
    const lost = nodes.flatMap((node, index) => (cutOff.has(node) ? [fromMember(ids[index] ?? '')] : []));
    for (const [index, proxy] of peerProxies.entries()) {
      const node = nodes[index];
      if (node !== undefined && cutOff.has(node)) proxy.blackhole();
      else proxy.blackhole((greeting) => lost.some((isFrom) => isFrom(greeting)));
    }
  };

  const url = `etcd://${nodes.map(({ host, port }) => `${host}:${port}`).join(',')}`;
  return Object.assign(new ServerGroup(url, nodes, endEtcdSession, [...peerProxies, ports]), {
    peerProxies,
    leader: (otherThan?: TestServer) => untilLed('etcd', () => agreedLeader(nodes), otherThan),
    isLed: async () => (await agreedLeader(nodes)) !== undefined,
    cutOff(node: TestServer) {
      cutOff.add(node);
      cut();
    },
    async rejoin() {
      cutOff.clear();
      await Promise.all(peerProxies.map((proxy) => proxy.heal()));
    },
  });
}

/** Every request between nodes that raft depends on names its sender. */
function fromMember(id: string): (greeting: Buffer) => boolean {
  const header = `x-server-from: ${BigInt(id).toString(16)}\r\n`;
  return (greeting) => greeting.toString('latin1').toLowerCase().includes(header);
}

async function agreedLeader(nodes: readonly TestServer[]): Promise<TestServer | undefined> {
  // A node that does not answer has no say.
  const statuses = await Promise.all(nodes.map((node) => statusOf(node).catch(() => undefined)));
  return nodes.find((_, index) => {
    const own = statuses[index];
    if (own === undefined || own.leader !== own.header.member_id) return false;
    const followers = statuses.filter((each) => each?.leader === own.leader && each.raftTerm === own.raftTerm);
    return followers.length > nodes.length / 2;
  });
}

async function statusOf({ host, port }: TestServer): Promise<Status> {
  return JSON.parse(await askHttp(`http://${host}:${port}/v3/maintenance/status`, {}, 500)) as Status;
}

function spec(member: Member, all: readonly Member[], args: readonly string[]): ServerSpec {
  const url = (port: number): string => `http://${loopback}:${port}`;
  const { name, clientPort, peerPort, advertisedPort } = member;
  return {
    product: 'etcd',
    needs: [etcdServer],
    url: `etcd://${loopback}:${clientPort}`,
    port: clientPort,
    // etcd 3.4 refuses to run on arm64 without being asked twice.
    env: process.arch === 'arm64' ? { ETCD_UNSUPPORTED_ARCH: 'arm64' } : {},
    command: (dataDir) => [
      'etcd',
      ...['--name', name, '--data-dir', dataDir],
      ...['--listen-client-urls', url(clientPort), '--advertise-client-urls', url(clientPort)],
      ...['--listen-peer-urls', url(peerPort), '--initial-advertise-peer-urls', url(advertisedPort)],
      ...['--initial-cluster', all.map((each) => `${each.name}=${url(each.advertisedPort)}`).join(',')],
      ...['--logger', 'zap', '--log-level', 'warn'],
      ...args,
    ],
    answers: async () => (await askHttp(`${url(clientPort)}/health`)).includes('"health":"true"'),
  };
}
