import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../../src/testing/processes/probes.js';
import { watchdog } from '../../src/testing/processes/watchdog.js';
import { askHttp } from '../../src/testing/servers/ask.js';
import type { TestCluster } from '../../src/testing/servers/cluster.js';
import { askRedis } from '../../src/testing/servers/redis.js';
import type { TestServer } from '../../src/testing/servers/server.js';
import type { Direction } from '../../src/testing/servers/tcp-proxy.js';
import type { ShiftedClock } from '../support/shifted-clock.js';
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

/** A Redis becomes the replica of nobody, as one that was deposed: it refuses writes, and its connections stay open. */
export function madeReplica(server: TestServer): Fault {
  const replicaOf = async (...master: readonly string[]): Promise<void> => {
    const reply = await askRedis(server.url, 'REPLICAOF', ...master);
    if (!reply.startsWith('+OK')) throw new Error(`${server} did not become what it should: ${reply}`);
  };
  return {
    name: `make a replica of ${server.port}`,
    reaches: 'all',
    begin: () => replicaOf(server.host, '1'),
    end: () => replicaOf('NO', 'ONE'),
  };
}

/**
 * Each write to a server's log takes longer than anybody waits; whatever does not need the disk goes on. `write` makes
 * something to be written, where nobody else does.
 */
function diskStalled(server: TestServer, folder: string, isLog: RegExp, write: () => void = () => {}): Fault {
  let strace: ChildProcess | undefined;
  return {
    name: `stall the disk of ${server.port}`,
    reaches: [],
    begin: async () => {
      const path = join(server.dataDir, folder);
      const logs = readdirSync(path).filter((file) => isLog.test(file));
      strace = spawn(
        'strace',
        [
          ...['-f', '-qq', '-o', '/dev/null', '-p', `${server.pid}`, '-e', 'trace=fdatasync'],
          ...['-e', 'inject=fdatasync:delay_enter=30000000'],
          ...logs.flatMap((file) => ['-P', join(path, file)]),
        ],
        { stdio: 'ignore' },
      );
      watchdog().watch(strace);
      const tracer = `TracerPid:\t${strace.pid}\n`;
      const isTraced = (): boolean => readFileSync(`/proc/${server.pid}/status`, 'utf8').includes(tracer);
      await until(isTraced, 5_000, `strace of ${server}`);
      write();
    },
    end: async () => {
      if (strace?.exitCode !== null) throw new Error('strace has ended by itself, so that no disk was stalled');
      strace.kill('SIGTERM');
      await once(strace, 'exit');
    },
  };
}

/** The wall clock of the server leaps by so much again and again, and is right in the end. */
export function clockLeaps(clock: ShiftedClock, stepMs: number, everyMs: number): Fault {
  let timer: NodeJS.Timeout | undefined;
  return {
    name: `leap by ${stepMs} ms every ${everyMs} ms`,
    reaches: [],
    begin: () => {
      timer = setInterval(() => clock.leap(stepMs), everyMs);
    },
    end: () => {
      clearInterval(timer);
      clock.leap(-clock.aheadMs);
    },
  };
}

/** Something is written by way of `another` node, since an etcd that is only asked for renewals writes nothing. */
export function etcdDiskStalled(server: TestServer, another: TestServer): Fault {
  return diskStalled(server, 'member/wal', /\.wal$/, () => {
    const [key, value] = ['faults', 'stall'].map((text) => Buffer.from(text).toString('base64'));
    // The answer waits for the disk, or for the next leader.
    askHttp(`http://${another.host}:${another.port}/v3/kv/put`, { key, value }, 30_000).catch(() => {});
  });
}

/** Renewals are writes. Needs `forceSync=yes`. */
export function zooKeeperDiskStalled(server: TestServer): Fault {
  return diskStalled(server, 'version-2', /^log\./);
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
