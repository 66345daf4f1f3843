import { until } from '../processes/probes.js';
import { askTcp } from './ask.js';
import { loopback } from './ports.js';
import type { Program } from './program.js';
import { disposeAll, onFreePorts, startServer, type TestServer } from './server.js';
import { ServerGroup, type TestStore } from './test-store.js';

export const redisServer: Program = { name: 'redis-server', debianPackage: 'redis-server' };

/** Options of `startRedis`. */
export interface RedisOptions {
  /** Without it all data is gone when the process ends, also after `stop`. */
  readonly appendonly?: boolean;
  readonly appendfsync?: 'always' | 'everysec' | 'no';
  readonly password?: string;
  /** With it, this user is the only one who may log in, with `password`; else the password is the default user's. */
  readonly username?: string;
  /** Further arguments of redis-server. */
  readonly args?: readonly string[];
  /** Added to the environment of the server. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Starts a Redis server on a free port of 127.0.0.1, and of ::1 where there is one.
 *
 * It ends with this process, whatever that dies of, and so does its data.
 *
 * **Rejects** `MissingProgram` without `redis-server`; another error, with the end of its log, when it does not start.
 *
 * @example
 * await using redis = await startRedis();
 * const backend = connect(redis.url, { ttlMs: 2_000 });
 * await redis.pause();
 */
export function startRedis(options: RedisOptions = {}): Promise<TestStore> {
  return onFreePorts(async (ports) => {
    const port = await ports.take();
    const url = redisUrl(port, options);
    const server = await startServer({
      product: 'redis',
      url,
      port,
      needs: [redisServer],
      command: (dataDir) => ['redis-server', ...settings(port, dataDir, options), ...(options.args ?? [])],
      answers: async () => (await askRedis(url, 'PING')).startsWith('+PONG'),
      ...(options.env && { env: options.env }),
    });
    return new ServerGroup(url, [server], endRedisSession, [ports]);
  });
}

/** Lets the lease of a session have run out, in whichever namespace it is. `false` if there is none. */
export async function endRedisSession({ url }: Pick<TestServer, 'url'>, id: string): Promise<boolean> {
  const allLeases = (await askRedis(url, 'KEYS', '*{*}:s')).match(/^.*\{.*\}:s(?=\r$)/gm) ?? [];
  let ended = false;
  for (const leases of allLeases)
    if ((await askRedis(url, 'ZADD', leases, 'XX', 'CH', '0', id)).startsWith(':1')) ended = true;
  return ended;
}

/** The raw replies to one command, on a connection of its own. */
export async function askRedis(url: string, ...command: readonly string[]): Promise<string> {
  const { hostname, port, username, password } = new URL(url);
  const credentials = [username, password].filter((word) => word !== '').map(decodeURIComponent);
  const login = credentials.length === 0 ? '' : encode(['AUTH', ...credentials]);
  const answer = await askTcp(hostname, Number(port || 6379), login + encode(command), { thenEnd: true });
  if (login === '') return answer;
  if (!answer.startsWith('+OK\r\n')) throw new Error(`${hostname}:${port} refused the login: ${answer}`);
  return answer.slice('+OK\r\n'.length);
}

function settings(port: number, dataDir: string, options: RedisOptions): string[] {
  const { appendonly = false, appendfsync = 'everysec', username, password } = options;
  const access =
    password === undefined
      ? []
      : username === undefined
        ? ['--requirepass', password]
        : ['--user', 'default', 'off', '--user', username, 'on', `>${password}`, '~*', '&*', '+@all'];
  return [
    ...['--port', `${port}`, '--bind', loopback, '-::1', '--dir', dataDir, '--save', ''],
    ...['--appendonly', appendonly ? 'yes' : 'no', '--appendfsync', appendfsync],
    ...access,
  ];
}

function redisUrl(port: number, { username = '', password = '' }: RedisOptions): string {
  const login = password === '' ? '' : `${encodeURIComponent(username)}:${encodeURIComponent(password)}@`;
  return `redis://${login}${loopback}:${port}`;
}

function encode(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}

/** Masters of one Redis Cluster, and a replica of each if that is asked for. */
export interface RedisCluster extends AsyncDisposable {
  /** Names every node that was a master in the beginning. */
  readonly url: string;
  readonly nodes: readonly TestServer[];
  /** The replica that was given to each of `nodes`, in their order. */
  readonly replicas: readonly TestServer[];
  /** Those that hold keys of conclave now. */
  usedSlots(): Promise<readonly number[]>;
  /** Resolves when every replica that runs has all of its master's data. */
  untilReplicated(): Promise<void>;
  /** Who has the slot, as most of those say that run. */
  ownerOf(slot: number): Promise<TestServer>;
  /** Begins to take the slot from its owner: from now on only what has been moved is at `target`. */
  beginMove(slot: number, target: TestServer): Promise<ClusterMove>;
}

/** A slot on its way from one master to another. */
interface ClusterMove {
  readonly source: TestServer;
  /** Moves so many keys, or all. */
  moveKeys(count?: number): Promise<void>;
  /** Moves what is left, and tells everybody that the slot is another's. */
  finish(): Promise<void>;
}

interface RedisClusterOptions {
  readonly withReplicas?: boolean;
  /** After which a node is taken for dead. */
  readonly nodeTimeoutMs?: number;
  /** Further arguments for the node of this index. */
  readonly argsOf?: (index: number) => readonly string[];
}

const clusterSlots = 16_384;
const clusterLimitMs = 40_000;

/** Three masters with a third of the slots each. */
export async function startRedisCluster(options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const { withReplicas = false, nodeTimeoutMs = 1_500, argsOf = () => [] } = options;
  const started = await Promise.allSettled(
    Array.from({ length: withReplicas ? 6 : 3 }, (_, index) => startClusterNode(nodeTimeoutMs, argsOf(index))),
  );
  const all = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  try {
    for (const each of started) if (each.status === 'rejected') throw each.reason;
    const [nodes, replicas] = [all.slice(0, 3), all.slice(3)];
    await Promise.all(
      nodes.map(({ url }, at) => {
        const bounds = [at, at + 1].map((third) => Math.round((third * clusterSlots) / nodes.length));
        return told(url, 'CLUSTER', 'ADDSLOTSRANGE', `${bounds[0]}`, `${(bounds[1] ?? 0) - 1}`);
      }),
    );
    const [first, ...rest] = all;
    for (const { host, port, busPort } of rest)
      await told(first?.url ?? '', 'CLUSTER', 'MEET', host, `${port}`, `${busPort}`);
    const cluster = formCluster(nodes, replicas);
    const knowsAll = async ({ url }: TestServer): Promise<boolean> =>
      (await askRedis(url, 'CLUSTER', 'NODES')).split(' connected').length - 1 === all.length;
    const are = (holds: (node: TestServer) => Promise<boolean>) => async (): Promise<boolean> =>
      (await Promise.all(all.map(holds))).every((each) => each);
    await until(are(knowsAll), clusterLimitMs, 'the acquaintance of the nodes of the cluster');
    for (const [at, replica] of replicas.entries())
      await told(replica.url, 'CLUSTER', 'REPLICATE', await idOf(nodes[at] as TestServer));
    const isWell = async ({ url }: TestServer): Promise<boolean> =>
      (await askRedis(url, 'CLUSTER', 'INFO')).includes('cluster_state:ok');
    await until(are(isWell), clusterLimitMs, 'the cluster');
    const isFollowed = async ({ url }: TestServer): Promise<boolean> =>
      (await askRedis(url, 'INFO', 'replication')).includes('state=online');
    if (withReplicas)
      await until(
        async () => (await Promise.all(nodes.map(isFollowed))).every(Boolean),
        clusterLimitMs,
        'the replicas',
      );
    return cluster;
  } catch (error) {
    await disposeAll(all);
    throw error;
  }
}

interface ClusterNode extends TestServer {
  readonly busPort: number;
}

function startClusterNode(nodeTimeoutMs: number, args: readonly string[]): Promise<ClusterNode> {
  return onFreePorts(async (ports) => {
    const [port, busPort] = [await ports.take(), await ports.take()];
    const url = redisUrl(port, {});
    const server = await startServer({
      product: 'redis',
      url,
      port,
      ports,
      command: (dataDir) => [
        'redis-server',
        ...settings(port, dataDir, { appendonly: true }),
        ...['--cluster-enabled', 'yes', '--cluster-port', `${busPort}`, '--cluster-node-timeout', `${nodeTimeoutMs}`],
        // What a dead master had is away, and nothing else.
        ...['--cluster-require-full-coverage', 'no', '--repl-diskless-sync-delay', '0'],
        ...args,
      ],
      answers: async () => (await askRedis(url, 'PING')).startsWith('+PONG'),
    });
    return Object.assign(server, { busPort });
  });
}

function formCluster(nodes: readonly TestServer[], replicas: readonly TestServer[]): RedisCluster {
  const all = [...nodes, ...replicas];
  const ownerOf = async (slot: number): Promise<TestServer> => {
    // A node that does not answer has no say.
    const answers = await Promise.all(all.map(({ url }) => ownerIn(url, slot).catch(() => undefined)));
    const votes = (port: number): number => answers.filter((each) => each === port).length;
    const [owner] = [...all].sort((a, b) => votes(b.port) - votes(a.port));
    if (owner === undefined || votes(owner.port) === 0) throw new Error(`nobody has the slot ${slot}`);
    return owner;
  };
  return {
    url: `redis-cluster://${nodes.map(({ host, port }) => `${host}:${port}`).join(',')}`,
    nodes,
    replicas,
    ownerOf,
    async usedSlots() {
      const keys = await Promise.all(all.map(({ url }) => askRedis(url, 'KEYS', '*:m').catch(() => '')));
      const mains = new Set(keys.flatMap((reply) => [...reply.matchAll(/^\{.*:m(?=\r$)/gm)].map(([key]) => key)));
      const slots = [...mains].map((key) => askRedis(nodes[0]?.url ?? '', 'CLUSTER', 'KEYSLOT', key));
      return (await Promise.all(slots)).map((reply) => Number(reply.slice(1)));
    },
    async untilReplicated() {
      if (replicas.length === 0) return;
      const isInOrder = async ({ url }: TestServer): Promise<boolean> =>
        /role:master\r\n[\s\S]*state=online|master_link_status:up/.test(await askRedis(url, 'INFO', 'replication'));
      const areInOrder = async (): Promise<boolean> => (await Promise.all(all.map(isInOrder))).every((each) => each);
      await until(() => areInOrder().catch(() => false), clusterLimitMs, 'a replica of each master');
    },
    async beginMove(slot, target) {
      const source = await ownerOf(slot);
      const [from, to] = [await idOf(source), await idOf(target)];
      await told(target.url, 'CLUSTER', 'SETSLOT', `${slot}`, 'IMPORTING', from);
      await told(source.url, 'CLUSTER', 'SETSLOT', `${slot}`, 'MIGRATING', to);
      const moveKeys = async (count = Number.MAX_SAFE_INTEGER): Promise<void> => {
        for (let moved = 0; moved < count; moved += 1) {
          const reply = await askRedis(source.url, 'CLUSTER', 'GETKEYSINSLOT', `${slot}`, '1');
          const key = /^\*1\r\n\$\d+\r\n(.*)\r\n$/s.exec(reply)?.[1];
          if (key === undefined) return;
          await told(source.url, 'MIGRATE', target.host, `${target.port}`, key, '0', '5000');
        }
      };
      return {
        source,
        moveKeys,
        finish: async () => {
          await moveKeys();
          const others = all.filter((node) => node !== target && node !== source);
          // The new owner first, so that there is always one.
          for (const { url } of [target, source, ...others.filter((each) => nodes.includes(each))])
            await told(url, 'CLUSTER', 'SETSLOT', `${slot}`, 'NODE', to);
        },
      };
    },
    [Symbol.asyncDispose]: () => disposeAll(all),
  };
}

/** The port of the slot's owner in the words of one node. */
async function ownerIn(url: string, slot: number): Promise<number | undefined> {
  const ranges = (await askRedis(url, 'CLUSTER', 'SLOTS')).matchAll(
    /:(\d+)\r\n:(\d+)\r\n\*\d\r\n\$\d+\r\n[^\r]*\r\n:(\d+)\r\n/g,
  );
  for (const [, first, last, port] of ranges) if (Number(first) <= slot && slot <= Number(last)) return Number(port);
  return undefined;
}

async function idOf({ url }: TestServer): Promise<string> {
  return /\r\n(\w{40})\r\n/.exec(await askRedis(url, 'CLUSTER', 'MYID'))?.[1] ?? '';
}

/** A command that must succeed. */
async function told(url: string, ...command: readonly string[]): Promise<void> {
  const reply = await askRedis(url, ...command);
  if (!reply.startsWith('+')) throw new Error(`${url} did not do ${command.join(' ')}: ${reply}`);
}
