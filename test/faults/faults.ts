import type { TestCluster } from '../support/cluster.js';
import type { TestServer } from '../support/server.js';
import type { Direction } from '../support/tcp-proxy.js';
import type { Actor } from './laboratory.js';

/** Something that is broken for a while. */
export interface Fault {
  readonly name: string;
  /** Whom it keeps from the store. */
  readonly reaches: 'all' | readonly Actor[];
  readonly losesData?: boolean;
  begin(): void | Promise<void>;
  end(): void | Promise<void>;
}

/** The server is killed, and started again. */
export function serverDown(server: TestServer, { keepData }: { readonly keepData: boolean }): Fault {
  return {
    name: keepData ? `kill ${server.port}` : `kill ${server.port}, lose its data`,
    reaches: 'all',
    losesData: !keepData,
    begin: () => server.kill(),
    end: () => server.start({ keepData }),
  };
}

/** SIGSTOP and SIGCONT: its connections stay open. */
export function serverStopped(server: TestServer): Fault {
  return {
    name: `stop ${server.port}`,
    reaches: 'all',
    begin: () => server.pause(),
    end: () => server.resume(),
  };
}

/** Nothing passes between these and the store, in both directions or one; nothing ends either. */
export function cut(actors: readonly Actor[], direction?: Direction): Fault {
  return onProxies(`cut ${direction ?? 'both ways'}`, actors, (proxy) => {
    if (direction === undefined) proxy.blackhole();
    else proxy.dropDirection(direction);
  });
}

/** New connections are refused, and those that exist are reset. */
export function refused(actors: readonly Actor[]): Fault {
  return onProxies('refuse', actors, (proxy) => {
    proxy.refuse();
    proxy.resetAll();
  });
}

export function delayed(actors: readonly Actor[], by: { toServerMs?: number; toClientMs?: number }): Fault {
  return onProxies(`delay ${JSON.stringify(by)}`, actors, (proxy) => proxy.delay(by));
}

export function throttled(actors: readonly Actor[], bytesPerSecond: number): Fault {
  return onProxies(`throttle to ${bytesPerSecond} B/s`, actors, (proxy) => proxy.throttle(bytesPerSecond));
}

/** A node is cut off from the others, not from its clients. */
export function cutOff(cluster: TestCluster, node: TestServer): Fault {
  return {
    name: `cut off ${node.port}`,
    reaches: [],
    begin: () => cluster.cutOff(node),
    end: () => cluster.rejoin(),
  };
}

function onProxies(name: string, actors: readonly Actor[], breakIt: (proxy: Actor['proxies'][number]) => void): Fault {
  return {
    name,
    reaches: actors,
    begin: () => {
      for (const { proxies } of actors) for (const proxy of proxies) breakIt(proxy);
    },
    end: async () => {
      await Promise.all(actors.flatMap(({ proxies }) => proxies.map((proxy) => proxy.heal())));
    },
  };
}
