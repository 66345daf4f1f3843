import { setTimeout as delay } from 'node:timers/promises';
import { until } from '../../src/testing/processes/probes.js';
import { askRedis, startRedis } from '../../src/testing/servers/redis.js';
import { disposeAll, type TestServer } from '../../src/testing/servers/server.js';
import { startProxy, type TcpProxy } from '../../src/testing/servers/tcp-proxy.js';
import { promptly } from '../backends/redis/support.js';
import type { Cell } from './cell.js';
import { cut } from './faults.js';
import { longLock, type Run } from './laboratory.js';
import { anotherHolder, changed, told, untilSynced } from './redis-history.js';
import { ttlMs } from './stores.js';

/** Two Redis servers behind one address, which leads to one of them, as keepalived or a DNS name does. */
export interface RedisEndpoint extends AsyncDisposable {
  readonly address: TcpProxy;
  readonly servers: readonly TestServer[];
  /** Over which one follows the other. */
  readonly link: TcpProxy;
  /** To whom the address leads, and the other one. */
  sides(): { readonly active: TestServer; readonly standby: TestServer };
  /** Leads the address to the other one, and resets what is connected. */
  turn(): void;
  /** Has the standby follow. */
  follow(): Promise<void>;
}

export async function startRedisEndpoint(): Promise<RedisEndpoint> {
  const parts: AsyncDisposable[] = [];
  try {
    const start = async (): Promise<TestServer> => {
      const server = await startRedis({ args: promptly });
      parts.push(server);
      return server;
    };
    let [active, standby] = [await start(), await start()];
    const route = { port: active.port };
    const address = await startProxy(route);
    const linked = { port: active.port };
    const link = await startProxy(linked);
    parts.push(address, link);
    return {
      address,
      link,
      servers: [active, standby],
      sides: () => ({ active, standby }),
      turn() {
        [active, standby] = [standby, active];
        route.port = active.port;
        address.resetAll();
      },
      async follow() {
        linked.port = active.port;
        link.resetAll();
        await link.heal();
        await told(standby, 'REPLICAOF', link.host, `${link.port}`);
        await untilSynced(standby);
      },
      [Symbol.asyncDispose]: () => disposeAll(parts),
    };
  } catch (error) {
    await disposeAll(parts);
    throw error;
  }
}

/** The time for which it has been up says nothing of its data. */
async function untilOld(server: TestServer): Promise<void> {
  const isOld = async (): Promise<boolean> =>
    Number(/uptime_in_seconds:(\d+)/.exec(await askRedis(server.url, 'INFO', 'server'))?.[1]) > ttlMs / 1_000 + 1;
  await until(isOld, 3 * ttlMs, `the age of ${server}`);
}

/** At one instant, as a dump would. */
const copyAll = `return redis.call('MIGRATE', ARGV[1], ARGV[2], '', '0', '5000', 'COPY', 'KEYS', unpack(redis.call('KEYS', '*')))`;

const rounds = 3;

/** Its holder is cut off, and the address leads to data that does not know of it. */
async function switchOver(run: Run, endpoint: RedisEndpoint, arrived: () => Promise<void>): Promise<void> {
  const holder = await anotherHolder(run);
  await run.during(cut([holder]), async () => {
    const switched = changed('lead the address elsewhere', async () => {
      endpoint.turn();
      await arrived();
    });
    await run.during(switched, 0);
    await run.untilHeld(longLock, holder);
    await delay(ttlMs / 4);
  });
  await run.untilAllTakePart();
}

export function endpointCells(endpoint: () => RedisEndpoint): readonly Cell[] {
  return [
    {
      name: 'address led to a replica that is promoted only afterwards',
      scenario: async (run) => {
        const { link, sides } = endpoint();
        await untilOld(sides().standby);
        for (let index = 0; index < rounds; index += 1) {
          run.round();
          await endpoint().follow();
          await delay(run.random.between(0, ttlMs / 2));
          // From now on it lags.
          link.blackhole();
          await switchOver(run, endpoint(), async () => {
            // Whoever comes finds a replica first.
            await delay(run.random.between(0.05 * ttlMs, 0.5 * ttlMs));
            await told(sides().active, 'REPLICAOF', 'NO', 'ONE');
          });
        }
      },
    },
    {
      name: 'address led to a warm standby that has an older copy',
      scenario: async (run) => {
        const { sides } = endpoint();
        await told(sides().standby, 'REPLICAOF', 'NO', 'ONE');
        await untilOld(sides().standby);
        for (let index = 0; index < rounds; index += 1) {
          run.round();
          const { active, standby } = sides();
          await told(standby, 'FLUSHALL');
          await told(active, 'EVAL', copyAll, '0', standby.host, `${standby.port}`);
          await delay(run.random.between(0, ttlMs / 2));
          await switchOver(run, endpoint(), async () => {});
        }
      },
    },
  ];
}
