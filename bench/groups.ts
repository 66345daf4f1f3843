import { subscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { type Backend, connect } from 'conclave';
import { BehaviorSubject, filter, firstValueFrom, type Subscription } from 'rxjs';
import { askHttp } from '../src/testing/servers/ask.js';
import { startEtcd } from '../src/testing/servers/etcd.js';
import { askRedis, startRedis } from '../src/testing/servers/redis.js';
import type { TestServer } from '../src/testing/servers/server.js';
import { startZooKeeper } from '../src/testing/servers/zookeeper.js';
import { etcdCounts, zooKeeperCounts } from '../test/support/counters.js';

const SIZES = [10, 100, 1_000, 10_000];
/** So many join at once. */
const JOINING = 1_000;
/** Nothing has come for so long. */
const SETTLED_MS = 200;
const ROSTER = { kind: 'group', name: 'many' } as const;

/** What a store has done so far. */
interface Spent {
  readonly requests: number;
  readonly bytes: number;
  /** Of its own time, where it tells. */
  readonly ms?: number;
}

interface Store {
  readonly name: string;
  start(): Promise<TestServer>;
  readonly query: string;
  /** As long as the server grants, so that renewals do not fall into what is counted. */
  readonly ttlMs: number;
  /** Whether a look at what it has done is a request as any other. */
  readonly countsLooks: boolean;
  spent(url: string): Promise<Spent>;
  /** To read a whole group takes a request for each member: over so many connections at most that takes no longer than a minute. */
  most(size: number): number;
}

const stores: readonly Store[] = [
  {
    name: 'redis',
    start: startRedis,
    query: '?trustEmpty=true',
    ttlMs: 600_000,
    countsLooks: true,
    spent: spentByRedis,
    most: () => 100,
  },
  {
    name: 'etcd',
    start: startEtcd,
    query: '',
    ttlMs: 600_000,
    countsLooks: false,
    spent: spentByEtcd,
    most: () => 100,
  },
  {
    name: 'zookeeper',
    start: startZooKeeper,
    query: '',
    ttlMs: 60_000,
    countsLooks: false,
    spent: spentByZooKeeper,
    most: (size) => Math.max(5, Math.min(100, 30_000 / size)),
  },
];

/** What a store does and sends at one join, as the group grows. */
export async function groups(watching: number, only: readonly string[]): Promise<void> {
  for (const store of stores) if (only.includes(store.name)) await groupsOf(store, watching);
}

async function groupsOf(store: Store, watching: number): Promise<void> {
  await using server = await store.start();
  const url = server.url + store.query;
  await using joining = connect(url, { ttlMs: store.ttlMs });
  const watchers = Array.from({ length: watching }, () => connect(url, { ttlMs: store.ttlMs }));
  let members = 0;
  const join = async (count: number): Promise<void> => {
    const joined = Array.from({ length: count }, () => {
      const payload = new TextEncoder().encode(JSON.stringify({ id: `member-${members++}`, owner: 'x'.repeat(32) }));
      return entered(joining, payload);
    });
    await Promise.all(joined);
  };
  console.log(`${store.name}, at one join:`);
  console.log('| members | watched over | requests | ms of the store | KB sent |');
  console.log('| --- | --- | --- | --- | --- |');
  for (const size of SIZES) {
    while (members < size) await join(Math.min(JOINING, size - members));
    const some = watchers.slice(0, store.most(size));
    const watched = new Watched(some);
    await watched.see(members);
    const before = await settled(store, server.url);
    await join(1);
    await watched.see(members);
    const after = await settled(store, server.url);
    const requests = after.requests - before.requests;
    const ms = after.ms === undefined ? '' : (after.ms - (before.ms ?? 0)).toFixed(2);
    const kb = ((after.bytes - before.bytes) / 1_000).toFixed(1);
    console.log(`| ${size} | ${some.length} | ${requests} | ${ms} | ${kb} |`);
    if (size === SIZES.at(-1)) {
      const beganMs = performance.now();
      const sets = watched.sets;
      await join(JOINING);
      await watched.see(members);
      const each = ((watched.sets - sets) / some.length).toFixed(1);
      const took = (performance.now() - beganMs).toFixed(0);
      console.log(`${JOINING} more at once: ${each} sets for each of ${some.length} after ${took} ms`);
    }
    watched.stop();
  }
  await Promise.all(watchers.map((backend) => backend.close()));
}

/** When nothing is on its way any more, where looking for that is not counted. */
async function settled(store: Store, url: string): Promise<Spent> {
  if (store.countsLooks) return store.spent(url);
  for (let last = await store.spent(url); ; ) {
    await pause(SETTLED_MS);
    const now = await store.spent(url);
    if (now.requests === last.requests) return now;
    last = now;
  }
}

/** It stays for as long as the backend is open. */
function entered(backend: Backend, payload: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    backend
      .enter(ROSTER, { mode: 'shared', permits: Number.POSITIVE_INFINITY, payload })
      .subscribe({ next: () => resolve(), error: reject });
  });
}

/** What is known of the ports is watched here: a map of all members would be made in each of the watchers. */
class Watched {
  sets = 0;
  readonly #sizes: readonly BehaviorSubject<number>[];
  readonly #subscriptions: readonly Subscription[];

  constructor(backends: readonly Backend[]) {
    this.#sizes = backends.map(() => new BehaviorSubject(-1));
    this.#subscriptions = backends.map((backend, at) =>
      backend.entries(ROSTER).subscribe(({ length }) => {
        this.sets++;
        this.#sizes[at]?.next(length);
      }),
    );
  }

  /** All of them see so many. */
  see(members: number): Promise<unknown> {
    return Promise.all(this.#sizes.map((size$) => firstValueFrom(size$.pipe(filter((size) => size === members)))));
  }

  stop(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
  }
}

async function spentByRedis(url: string): Promise<Spent> {
  const bytes = sumOf(await askRedis(url, 'INFO', 'stats'), /^total_net_output_bytes:(\d+)/gm);
  const commands = await askRedis(url, 'INFO', 'commandstats');
  const usec = sumOf(commands, /^cmdstat_evalsha:calls=\d+,usec=(\d+)/gm);
  return { requests: sumOf(commands, /^cmdstat_\w+:calls=(\d+)/gm), ms: usec / 1_000, bytes };
}

/** Messages, those on its streams, too. */
async function spentByEtcd(url: string): Promise<Spent> {
  const counts = Object.entries(await etcdCounts(url)).filter(([name]) => /\/\w+$/.test(name));
  const page = await askHttp(`http://${new URL(url).host}/metrics`);
  const bytes = sumOf(page, /^etcd_network_client_grpc_sent_bytes_total (\S+)/gm);
  return { requests: counts.reduce((sum, [, count]) => sum + count, 0), bytes };
}

/** It counts no bytes: those that have come here. */
async function spentByZooKeeper(url: string): Promise<Spent> {
  const { reads = 0, writes = 0 } = await zooKeeperCounts(url);
  const port = Number(new URL(url).port);
  const bytes = [...sockets].reduce((sum, { remotePort, bytesRead }) => sum + (remotePort === port ? bytesRead : 0), 0);
  return { requests: reads + writes, bytes };
}

const sockets = new Set<Socket>();
subscribe('net.client.socket', (message) => {
  const { socket } = message as { socket: Socket };
  sockets.add(socket);
});

function sumOf(text: string, field: RegExp): number {
  return [...text.matchAll(field)].reduce((total, [, count]) => total + Number(count), 0);
}
