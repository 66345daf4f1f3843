import type { Backend } from '../../src/backends/backend.js';
import type { BackendOptions } from '../../src/backends/options.js';
import { type ClientProcess, spawnClient } from '../support/client-process.js';
import type { TestServer } from '../support/server.js';
import { startProxy } from '../support/tcp-proxy.js';
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
  return spawnClient<PeerCalls>(new URL('./peer-process.ts', import.meta.url), [url, JSON.stringify(options)]);
}

async function startTcpLink(url: string, connect: Remote['connect']): Promise<Link> {
  const { protocol, hostname, port } = new URL(url);
  const proxy = await startProxy({ host: hostname, port: Number(port) });
  return {
    connect: (options) => connect(proxy.url(protocol.slice(0, -1)), options),
    cut: () => proxy.blackhole(),
    mute: () => proxy.dropDirection('toClient'),
    silence: () => proxy.dropDirection('toServer'),
    muteAfter: (marker) =>
      new Promise((seen) => {
        const stop = proxy.onData((direction, chunk) => {
          if (direction !== 'toServer' || !chunk.includes(marker)) return;
          stop();
          proxy.dropDirection('toClient');
          seen();
        });
      }),
    heal: () => proxy.heal(),
    reset: () => {
      proxy.resetAll();
      return proxy.heal();
    },
    connections: () => proxy.connections(),
    [Symbol.asyncDispose]: () => proxy.close(),
  };
}
