import { until } from '../../src/testing/processes/probes.js';
import { askRedis, startRedis } from '../../src/testing/servers/redis.js';
import { disposeAll, onFreePorts, startServer, type TestServer } from '../../src/testing/servers/server.js';

/** A master, a replica, and three sentinels that make the replica the master when the master is gone. */
export interface RedisReplication extends AsyncDisposable {
  readonly servers: readonly TestServer[];
  readonly sentinels: readonly TestServer[];
  /** Whom the sentinels name. */
  master(): Promise<TestServer>;
  /** Has them make the replica the master. The master before goes on until they tell it, seconds later. */
  failOver(): Promise<void>;
  /** Resolves when they name another. */
  masterOtherThan(server: TestServer): Promise<TestServer>;
  /** Resolves when the master has a replica that has all of its data. */
  untilReplicated(): Promise<void>;
}

/** The name under which the sentinels know the master. */
const masterName = 'master';
const failOverLimitMs = 30_000;
const linkLimitMs = 40_000;

export async function startRedisReplication(): Promise<RedisReplication> {
  const parts: TestServer[] = [];
  try {
    const first = await startRedis({ appendonly: true });
    parts.push(first);
    const second = await startRedis({ appendonly: true, args: ['--replicaof', first.host, `${first.port}`] });
    parts.push(second);
    const sentinels: TestServer[] = [];
    for (let index = 0; index < 3; index += 1) {
      const sentinel = await startSentinel(first);
      parts.push(sentinel);
      sentinels.push(sentinel);
    }
    const replication = form([first, second], sentinels);
    await replication.untilReplicated();
    await until(() => know(sentinels), linkLimitMs, 'the acquaintance of the sentinels with each other');
    return replication;
  } catch (error) {
    await disposeAll(parts);
    throw error;
  }
}

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

function startSentinel(master: TestServer): Promise<TestServer> {
  return onFreePorts(async (ports) => {
    const port = await ports.take();
    const url = `redis://127.0.0.1:${port}`;
    return startServer({
      product: 'redis-sentinel',
      url,
      port,
      ports,
      files: (dataDir) => ({
        'sentinel.conf': [
          `port ${port}`,
          'bind 127.0.0.1',
          `dir ${dataDir}`,
          `sentinel monitor ${masterName} ${master.host} ${master.port} 2`,
          `sentinel down-after-milliseconds ${masterName} 1000`,
          `sentinel failover-timeout ${masterName} 4000`,
          '',
        ].join('\n'),
      }),
      command: (dataDir) => ['redis-server', `${dataDir}/sentinel.conf`, '--sentinel'],
      answers: async () => (await askRedis(url, 'PING')).startsWith('+PONG'),
    });
  });
}

function form(servers: readonly TestServer[], sentinels: readonly TestServer[]): RedisReplication {
  /** Whom most of them name. */
  const master = async (): Promise<TestServer> => {
    const answers = await Promise.all(
      sentinels.map(({ url }) => askRedis(url, 'SENTINEL', 'get-master-addr-by-name', masterName).catch(() => '')),
    );
    const named = servers.find(({ port }) => answers.filter((each) => each.includes(`${port}\r\n`)).length > 1);
    if (named === undefined) throw new Error(`the sentinels do not agree on a master: ${answers.join(' ')}`);
    return named;
  };
  return {
    servers,
    sentinels,
    master,
    async failOver() {
      const [first] = sentinels;
      const begun = async (): Promise<boolean> =>
        first !== undefined && (await askRedis(first.url, 'SENTINEL', 'FAILOVER', masterName)).startsWith('+OK');
      await until(begun, failOverLimitMs, 'the beginning of a fail-over');
    },
    async masterOtherThan(server) {
      let now = server;
      const isAnother = async (): Promise<boolean> => {
        now = await master().catch(() => server);
        return now !== server && (await askRedis(now.url, 'ROLE').catch(() => '')).includes('master');
      };
      await until(isAnother, failOverLimitMs, `a master other than ${server}`);
      return now;
    },
    async untilReplicated() {
      const isOnline = async (): Promise<boolean> =>
        (await askRedis((await master()).url, 'INFO', 'replication')).includes('state=online');
      await until(() => isOnline().catch(() => false), linkLimitMs, 'a replica of the master');
    },
    [Symbol.asyncDispose]: () => disposeAll([...sentinels, ...servers]),
  };
}

/** A vote needs those who know each other. */
async function know(sentinels: readonly TestServer[]): Promise<boolean> {
  const answers = await Promise.all(
    sentinels.map(({ url }) => askRedis(url, 'SENTINEL', 'master', masterName).catch(() => '')),
  );
  return answers.every(
    (answer) => /num-other-sentinels\r\n\$1\r\n2\r\n/.test(answer) && /num-slaves\r\n\$1\r\n1\r\n/.test(answer),
  );
}
