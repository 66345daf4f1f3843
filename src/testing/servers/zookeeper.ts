import { askTcp } from './ask.js';
import { atLeastOne, checkNodes, type TestCluster, untilLed } from './cluster.js';
import { loopback, type ReservedPorts } from './ports.js';
import type { Program } from './program.js';
import { disposeAll, onFreePorts, type ServerSpec, startServer, type TestServer } from './server.js';
import { startProxy, type TcpProxy } from './tcp-proxy.js';
import { ServerGroup } from './test-store.js';
import { closeZooKeeperSession } from './zookeeper-session.js';

const jars = ['zookeeper', 'slf4j-simple'].map((name) => `/usr/share/java/${name}.jar`);

export const zooKeeperServer: readonly Program[] = ['java', ...jars].map((name) => ({
  name,
  debianPackage: name.includes('slf4j') ? 'libslf4j-java' : 'zookeeper',
}));

/** Options of `startZooKeeper`. */
export interface ZooKeeperOptions {
  /** How many servers form the store, from 1 to 7. Default 1. */
  readonly nodes?: number;
  readonly tickTimeMs?: number;
  /** How many ticks a follower may lag behind before the leader drops it. Default 5. */
  readonly syncLimit?: number;
  /** Further lines of zoo.cfg, for each node; the last line for a key wins. */
  readonly config?: readonly string[];
  /** Added to the environment of the server. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What `startZooKeeper` starts. */
export interface ZooKeeperEnsemble extends TestCluster {
  /** What a follower `from` says to the leader `to`, and hears from it, goes through this one. */
  link(from: TestServer, to: TestServer): TcpProxy;
}

interface Peer {
  readonly id: number;
  readonly clientPort: number;
  readonly quorumPort: number;
  readonly electionPort: number;
}

interface Link {
  readonly from: number;
  readonly to: number;
  readonly proxy: TcpProxy;
}

/** A leader is elected a moment before it listens; a follower that is reset in between waits for seconds. */
const electedBeforeListeningMs = 2_000;

/**
 * Starts a ZooKeeper ensemble of `nodes` servers on free ports of 127.0.0.1; one alone is standalone.
 *
 * Followers reach leaders through proxies, one for each pair and direction of asking. Elections are held directly: a
 * leader that is cut off may be elected again, so cut off a follower, and pause or kill a leader. A node answers, and
 * `start` resolves, only while the ensemble has a quorum. Servers and data end with this process, whatever that dies of.
 *
 * **Rejects** `MissingProgram` without `java` or ZooKeeper's jars where Debian has them; another error, with the end of
 * its log, when it does not start.
 *
 * @example
 * await using zookeeper = await startZooKeeper();
 * const backend = connect(zookeeper.url, { ttlMs: 2_000 });
 * await zookeeper.expireSession(backend);
 */
export function startZooKeeper(options: ZooKeeperOptions = {}): Promise<ZooKeeperEnsemble> {
  const { nodes = 1, syncLimit = 5 } = options;
  checkNodes(nodes);
  return onFreePorts(async (ports) => {
    const links: Link[] = [];
    const servers: TestServer[] = [];
    try {
      const peers: Peer[] = [];
      for (let id = 1; id <= nodes; id += 1) {
        const [clientPort, quorumPort, electionPort] = [await ports.take(), await ports.take(), await ports.take()];
        peers.push({ id, clientPort, quorumPort, electionPort });
      }
      for (const to of peers) {
        for (const from of peers.filter((peer) => peer !== to)) {
          const proxy = await startProxy({ port: to.quorumPort, patienceMs: electedBeforeListeningMs });
          links.push({ from: from.id, to: to.id, proxy });
        }
      }
      const starting = peers.map(async (self) => {
        const lines = [`syncLimit=${syncLimit}`, 'initLimit=10', ...peers.map((peer) => serverLine(self, peer, links))];
        const alone = nodes === 1;
        const server = await startServer(
          spec(self.clientPort, alone ? [] : lines, options, alone ? undefined : self.id),
        );
        servers.push(server);
        return server;
      });
      await Promise.allSettled(starting);
      return formEnsemble(atLeastOne(await Promise.all(starting)), links, ports);
    } catch (error) {
      await disposeAll([...servers, ...links.map(({ proxy }) => proxy)]);
      throw error;
    }
  });
}

/** The answer to a four-letter word such as `srvr`, `mntr`, `cons` or `dump`. */
export function askZooKeeper({ host, port }: { host: string; port: number }, word: string): Promise<string> {
  return askTcp(host, port, word);
}

function formEnsemble(
  nodes: ZooKeeperEnsemble['nodes'],
  links: readonly Link[],
  ports: ReservedPorts,
): ZooKeeperEnsemble {
  const idOf = (node: TestServer): number => nodes.indexOf(node) + 1;
  const url = `zookeeper://${nodes.map(({ host, port }) => `${host}:${port}`).join(',')}`;
  const endSession = ({ host, port }: TestServer, id: string): Promise<boolean> =>
    closeZooKeeperSession(host, port, id);
  return Object.assign(new ServerGroup(url, nodes, endSession, [...links.map(({ proxy }) => proxy), ports]), {
    link(from: TestServer, to: TestServer) {
      const link = links.find((each) => each.from === idOf(from) && each.to === idOf(to));
      if (link === undefined)
        throw new Error(`there is no link from ${from} to ${to}: give two nodes of this ensemble`);
      return link.proxy;
    },
    leader: (otherThan?: TestServer) => untilLed('ZooKeeper', () => agreedLeader(nodes), otherThan),
    isLed: async () => (await agreedLeader(nodes)) !== undefined,
    cutOff(node: TestServer) {
      const id = idOf(node);
      for (const { from, to, proxy } of links) if (from === id || to === id) proxy.blackhole();
    },
    async rejoin() {
      await Promise.all(links.map(({ proxy }) => proxy.heal()));
    },
  });
}

/** A leader that a majority follows, of the latest epoch. */
async function agreedLeader(nodes: readonly TestServer[]): Promise<TestServer | undefined> {
  if (nodes.length === 1) return nodes[0];
  const [details, epochs] = await Promise.all([
    Promise.all(nodes.map((node) => askTcp(node.host, node.port, 'mntr', { limitMs: 500 }).catch(() => ''))),
    Promise.all(nodes.map(epochOf)),
  ]);
  const latest = Math.max(...epochs);
  return nodes.find((_, index) => {
    const synced = /zk_synced_followers\s+(\d+)/.exec(details[index] ?? '')?.[1];
    return epochs[index] === latest && synced !== undefined && Number(synced) + 1 > nodes.length / 2;
  });
}

async function epochOf(node: TestServer): Promise<number> {
  const answer = await askTcp(node.host, node.port, 'srvr', { limitMs: 500 }).catch(() => '');
  const zxid = /Zxid: 0x([0-9a-f]+)/.exec(answer)?.[1];
  return zxid === undefined ? -1 : Number(BigInt(`0x${zxid}`) >> 32n);
}

/** Itself under its real quorum port, the others behind the proxy of the pair. */
function serverLine(self: Peer, peer: Peer, links: readonly Link[]): string {
  const link = links.find(({ from, to }) => from === self.id && to === peer.id);
  return `server.${peer.id}=${loopback}:${link?.proxy.port ?? peer.quorumPort}:${peer.electionPort}`;
}

function spec(clientPort: number, lines: readonly string[], options: ZooKeeperOptions, id?: number): ServerSpec {
  const { tickTimeMs = 500, config = [], env } = options;
  return {
    product: 'zookeeper',
    needs: zooKeeperServer,
    url: `zookeeper://${loopback}:${clientPort}`,
    port: clientPort,
    ...(env && { env }),
    files: (dataDir) => ({
      'zoo.cfg': [
        `dataDir=${dataDir}`,
        `clientPortAddress=${loopback}`,
        `clientPort=${clientPort}`,
        `tickTime=${tickTimeMs}`,
        'minSessionTimeout=500',
        'maxSessionTimeout=60000',
        'maxClientCnxns=0',
        'forceSync=no',
        'admin.enableServer=false',
        '4lw.commands.whitelist=*',
        ...lines,
        ...config,
        '',
      ].join('\n'),
      ...(id === undefined ? {} : { myid: `${id}\n` }),
    }),
    command: (dataDir) => [
      'java',
      ...['-Xmx128m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-XX:-UsePerfData'],
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
      ...['-cp', jars.join(':')],
      'org.apache.zookeeper.server.quorum.QuorumPeerMain',
      `${dataDir}/zoo.cfg`,
    ],
    answers: async () => (await askTcp(loopback, clientPort, 'srvr')).includes('Mode: '),
  };
}
