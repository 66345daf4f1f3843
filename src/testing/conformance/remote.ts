import { extname } from 'node:path';
import type { Backend, BackendOptions } from 'conclave';
import { orThrow, parseUrl } from 'conclave/backend';
import { startProxy, type TcpProxy } from 'conclave/testing/servers';
import { type ClientProcess, spawnClient } from '../processes/client-process.js';
import { disposeAll } from '../servers/server.js';
import type { PeerCalls } from './peer-calls.js';
import type { Connect, Link, OwnServer, Quirks, ReplicatedServer } from './quirks.js';

// The same module, in TypeScript here and in JavaScript in the package.
const peerProcess = new URL(`./peer-process${extname(import.meta.url)}`, import.meta.url);

const secret = 'not-to-be-told';

/** What `remote` needs to know. */
export interface Remote extends Pick<Quirks, 'name' | 'url' | 'module' | 'ttlMs' | 'declares'> {
  /** What `module` exports. */
  readonly connect: Connect;
  /** Starts a server that keeps what it has acknowledged, also when it is killed. */
  start(): Promise<RemoteServer>;
  /** Starts several servers that are one store; with three, any one of them can fail. */
  readonly startCluster?: () => Promise<RemoteCluster>;
  /** Makes a server refuse whatever is written, for a reason that lasts. Resolves with how to end that. */
  readonly refuse?: (server: RemoteServer) => Promise<() => Promise<void>>;
}

/** A server as the suite needs it: what `conclave/testing/servers` starts is one. */
export interface RemoteServer extends AsyncDisposable {
  readonly url: string;
  kill(): Promise<void>;
  start(options?: { readonly keepData: boolean }): Promise<void>;
  /** Ends the session of a backend, as an administrator would. */
  expireSession(backend: Backend): Promise<void>;
}

/** Servers that elect a leader, as the suite needs them: what `conclave/testing/servers` starts are some. */
export interface RemoteCluster extends AsyncDisposable {
  readonly url: string;
  leader(otherThan?: RemoteNode): Promise<RemoteNode>;
  /** Cuts `node` off from the others, not from its clients. */
  cutOff(node: RemoteNode): void;
}

export interface RemoteNode {
  kill(): Promise<void>;
}

/** The quirks of a store that is reached over TCP. */
export function remote({ connect, start, startCluster, refuse, ...quirks }: Remote): Quirks {
  return {
    ...quirks,
    hasOwnClock: true,
    startLink: () => startTcpLink(quirks.url, connect),
    unreachable: (options) => unreachable(quirks.url, (url) => connect(url, options)),
    startServer: async (): Promise<OwnServer> => {
      const server = await start();
      return {
        connect: (options) => connect(server.url, options),
        stop: () => server.kill(),
        start: (options) => server.start(options),
        expire: (backend) => server.expireSession(backend),
        ...(refuse && { refuse: () => refuse(server) }),
        [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
      };
    },
    ...(startCluster && { startReplicated: async () => replicated(await startCluster(), connect) }),
    startPeer: (options) => spawnPeer(quirks, options),
  };
}

async function replicated(cluster: RemoteCluster, connect: Connect): Promise<ReplicatedServer> {
  const serving = await cluster.leader();
  return {
    connect: (options) => connect(cluster.url, options),
    isolate: async () => cluster.cutOff(serving),
    failOver: async () => {
      await serving.kill();
      await cluster.leader(serving);
    },
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

/** A client in a process of its own. */
export function spawnPeer(
  { url, module }: Pick<Quirks, 'url' | 'module'>,
  options: BackendOptions,
): Promise<ClientProcess<PeerCalls, never>> {
  return spawnClient<PeerCalls>(peerProcess, [module?.href ?? 'conclave', url, JSON.stringify(options)]);
}

async function startTcpLink(url: string, connect: Connect): Promise<Link> {
  const proxies = await Promise.all(hostsOf(url).map((host) => startProxy(host)));
  const through = withHosts(url, proxies);
  return linkOver(proxies, (options) => connect(through, options));
}

function hostsOf(url: string): readonly { readonly host: string; readonly port: number }[] {
  return orThrow(parseUrl(url)).hosts.map(({ host, port }) => {
    if (port === undefined) throw new Error(`a proxy is put before ${host}, so the URL must name its port`);
    return { host, port };
  });
}

/** A backend with a password, at a port where nobody listens. */
export async function unreachable(url: string, connect: (url: string) => Backend): ReturnType<Quirks['unreachable']> {
  const nobody = await startProxy({ port: 1 });
  await nobody.close();
  const there = withHosts(url, [nobody]).replace(/^([^:]+:\/\/)(?:[^/?#]*@)?/, `$1user:${secret}@`);
  return { backend: connect(there), secret };
}

/** The same URL with other hosts: user, password, path and query stay as they were written. */
function withHosts(url: string, hosts: readonly { readonly host: string; readonly port: number }[]): string {
  const authority = hosts.map(({ host, port }) => `${host}:${port}`).join(',');
  return url.replace(/^([^:]+:\/\/(?:[^/?#]*@)?)[^/?#]*/, (_, before: string) => before + authority);
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
    delayReplies: (ms) => each((proxy) => proxy.delay({ toClientMs: ms })),
    strandAfter: (marker) => {
      let isFound = false;
      const matches = (chunk: Buffer): boolean => {
        if (isFound || !chunk.includes(marker)) return false;
        isFound = true;
        return true;
      };
      return Promise.race(proxies.map((proxy) => proxy.strandNext(matches)));
    },
    heal,
    reset: () => {
      each((proxy) => proxy.resetAll());
      return heal();
    },
    received: () => proxies.reduce((sum, proxy) => sum + proxy.counters.toClientBytes, 0),
    connections: () => proxies.reduce((sum, proxy) => sum + proxy.connections(), 0),
    [Symbol.asyncDispose]: () => disposeAll(proxies),
  };
}
