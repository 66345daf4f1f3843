import { extname } from 'node:path';
import type { Backend } from '../../backends/backend.js';
import type { BackendOptions } from '../../backends/options.js';
import { type ClientProcess, spawnClient } from '../processes/client-process.js';
import { disposeAll, type TestServer } from '../servers/server.js';
import { startProxy, type TcpProxy } from '../servers/tcp-proxy.js';
import type { PeerCalls } from './peer-calls.js';
import type { Link, OwnServer, Quirks } from './quirks.js';

interface Remote extends Pick<Quirks, 'name' | 'url' | 'ttlMs' | 'declares'> {
  connect(url: string, options: BackendOptions): Backend;
  /** A server that keeps what it has acknowledged. */
  start(): Promise<TestServer>;
}

/** The quirks of a store that is reached over TCP. */
export function remote({ connect, start, ...quirks }: Remote): Quirks {
  return {
    ...quirks,
    startLink: () => startTcpLink(quirks.url, connect),
    startServer: async (): Promise<OwnServer> => {
      const server = await start();
      return {
        connect: (options) => connect(server.url, options),
        stop: () => server.kill(),
        start: (options) => server.start(options),
        [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
      };
    },
    startPeer: (options) => spawnPeer(quirks.url, options),
  };
}

/** A client in a process of its own. */
export function spawnPeer(url: string, options: BackendOptions): Promise<ClientProcess<PeerCalls, never>> {
  return spawnClient<PeerCalls>(new URL(`./peer-process${extname(import.meta.url)}`, import.meta.url), [
    url,
    JSON.stringify(options),
  ]);
}

async function startTcpLink(url: string, connect: Remote['connect']): Promise<Link> {
  const { protocol, hostname, port } = new URL(url);
  const proxy = await startProxy({ host: hostname, port: Number(port) });
  return linkOver([proxy], (options) => connect(proxy.url(protocol.slice(0, -1)), options));
}

/** A way that leads through these proxies, all of which are broken at once. */
export function linkOver(proxies: readonly TcpProxy[], connect: Link['connect']): Link {
  const each = (act: (proxy: TcpProxy) => void): void => {
    for (const proxy of proxies) act(proxy);
  };
  const heal = async (): Promise<void> => {
    await Promise.all(proxies.map((proxy) => proxy.heal()));
  };
  const mute = (): void => each((proxy) => proxy.dropDirection('toClient'));
  return {
    connect,
    cut: () => each((proxy) => proxy.blackhole()),
    mute,
    silence: () => each((proxy) => proxy.dropDirection('toServer')),
    muteAfter: (marker) =>
      new Promise((seen) => {
        const stops = proxies.map((proxy) =>
          proxy.onData((direction, chunk) => {
            if (direction !== 'toServer' || !chunk.includes(marker)) return;
            for (const stop of stops) stop();
            mute();
            seen();
          }),
        );
      }),
    heal,
    reset: () => {
      each((proxy) => proxy.resetAll());
      return heal();
    },
    connections: () => proxies.reduce((sum, proxy) => sum + proxy.connections(), 0),
    [Symbol.asyncDispose]: () => disposeAll(proxies),
  };
}
