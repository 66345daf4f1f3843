import { askHttp } from './ask.js';
import { type TestCluster, untilLed } from './cluster.js';
import { loopback, type ReservedPorts } from './ports.js';
import { disposeAll, onFreePorts, type ServerSpec, startServer, type TestServer } from './server.js';
import { startProxy, type TcpProxy } from './tcp-proxy.js';

export interface EtcdOptions {
  /** Further arguments of etcd, for each node. */
  readonly args?: readonly string[];
}

export interface EtcdClusterOptions extends EtcdOptions {
  readonly nodes?: 3 | 5;
}

export interface EtcdCluster extends TestCluster {
  /** Between the others and the node of the same index. */
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

/** A cluster of one node. */
export function startEtcd({ args = [] }: EtcdOptions = {}): Promise<TestServer> {
  return onFreePorts(async (ports) => {
    const peerPort = await ports.take();
    const member = { name: 'n0', clientPort: await ports.take(), peerPort, advertisedPort: peerPort };
    return startServer({ ...spec(member, [member], args), ports });
  });
}

/**
 * Three nodes or five, which reach each other through proxies. A node answers, and `start` resolves, only while the
 * cluster has a quorum. A node that has lost its data does not come back by itself: etcd wants it removed and added.
 */
export function startEtcdCluster({ nodes = 3, args = [] }: EtcdClusterOptions = {}): Promise<EtcdCluster> {
  return onFreePorts(async (ports) => {
    const members: Member[] = [];
    const parts: (TestServer | TcpProxy)[] = [];
    try {
      const peerProxies: TcpProxy[] = [];
      for (let index = 0; index < nodes; index += 1) {
        const peerPort = await ports.take();
        const proxy = await startProxy({ port: peerPort });
        parts.push(proxy);
        peerProxies.push(proxy);
        members.push({ name: `n${index}`, clientPort: await ports.take(), peerPort, advertisedPort: proxy.port });
      }
      const starting = members.map(async (member) => {
        const server = await startServer(spec(member, members, args));
        parts.push(server);
        return server;
      });
      await Promise.allSettled(starting);
      return await formCluster(await Promise.all(starting), peerProxies, ports);
    } catch (error) {
      await disposeAll(parts);
      throw error;
    }
  });
}

async function formCluster(
  nodes: readonly TestServer[],
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

  return {
    url: `etcd://${nodes.map(({ host, port }) => `${host}:${port}`).join(',')}`,
    nodes,
    peerProxies,
    leader: (otherThan) => untilLed('etcd', () => agreedLeader(nodes), otherThan),
    isLed: async () => (await agreedLeader(nodes)) !== undefined,
    cutOff(node) {
      cutOff.add(node);
      cut();
    },
    async rejoin() {
      cutOff.clear();
      await Promise.all(peerProxies.map((proxy) => proxy.heal()));
    },
    async [Symbol.asyncDispose]() {
      await disposeAll([...nodes, ...peerProxies]);
      ports[Symbol.dispose]();
    },
  };
}

/** Every request between nodes that raft depends on names its sender. */
function fromMember(id: string): (greeting: Buffer) => boolean {
  const header = `x-server-from: ${BigInt(id).toString(16)}\r\n`;
  return (greeting) => greeting.toString('latin1').toLowerCase().includes(header);
}

async function agreedLeader(nodes: readonly TestServer[]): Promise<TestServer | undefined> {
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
