import { startRedis } from '../../src/testing/servers/redis.js';
import { disposeAll, type TestServer } from '../../src/testing/servers/server.js';
import { startProxy, type TcpProxy } from '../../src/testing/servers/tcp-proxy.js';
import { promptly } from '../backends/redis/support.js';
import { told, untilSynced } from './redis-replication.js';

/** Two Redis servers behind one address, which leads to one of them, as keepalived or a DNS name does. */
export interface RedisEndpoint extends AsyncDisposable {
  readonly address: TcpProxy;
  readonly servers: readonly TestServer[];
  /** Over which one follows the other. */
  readonly link: TcpProxy;
  /** To whom the address leads, and the other one. */
  sides(): { readonly active: TestServer; readonly standby: TestServer };
  /** Leads the address to the other one. What is connected stays where it is. */
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
