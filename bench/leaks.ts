/**
 * Shows that nothing is left behind: 100,000 rounds of acquiring and releasing, 10,000 joins and leaves, 1,000 reconnects.
 * Prints what there was before and after, and fails where something grew beyond its margin.
 *
 *     npx tsx --expose-gc bench/leaks.ts [redis|etcd|zookeeper|memory …] [--rounds N] [--joins N] [--reconnects N]
 */
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Backend, connect, createGroup, join, lock, members } from 'conclave';
import { MemoryStore } from 'conclave/memory';
import { filter, firstValueFrom, lastValueFrom, merge, retry, take, timeout } from 'rxjs';
import { askHttp } from '../src/testing/servers/ask.js';
import { startEtcd } from '../src/testing/servers/etcd.js';
import { askRedis, startRedis } from '../src/testing/servers/redis.js';
import type { TestServer } from '../src/testing/servers/server.js';
import { startProxy, type TcpProxy } from '../src/testing/servers/tcp-proxy.js';
import { askZooKeeper, startZooKeeper } from '../src/testing/servers/zookeeper.js';
import { ensureServers } from '../test/support/install.js';

interface Subject {
  readonly name: string;
  readonly start?: () => Promise<TestServer>;
  /** How many keys there are, of whatever kind. */
  readonly keys: (server: TestServer) => Promise<number>;
}

const subjects: readonly Subject[] = [
  { name: 'memory', keys: async () => 0 },
  {
    name: 'redis',
    start: () => startRedis(),
    keys: async ({ url }) => Number(/^:(\d+)/.exec(await askRedis(url, 'DBSIZE'))?.[1]),
  },
  {
    name: 'etcd',
    start: () => startEtcd(),
    keys: async ({ host, port }) => {
      const all = { key: 'AA==', range_end: 'AA==', count_only: true };
      return Number(JSON.parse(await askHttp(`http://${host}:${port}/v3/kv/range`, all)).count ?? 0);
    },
  },
  {
    name: 'zookeeper',
    start: () => startZooKeeper(),
    keys: async (server) => Number(/zk_znode_count\s+(\d+)/.exec(await askZooKeeper(server, 'mntr'))?.[1]),
  },
];

/**
 * By how much each may have grown. While the session lives, refusals of entries in doubt (etcd) and parents that were used
 * a moment ago (ZooKeeper) stand in the store; when it is closed, nothing does. Sockets take their time to close.
 */
const MARGINS: Readonly<Record<'open' | 'closed', Reading>> = {
  open: { heapMiB: 3, handles: 3, listeners: 0, keys: 8 },
  closed: { heapMiB: 3, handles: 1, listeners: 0, keys: 0 },
};

/** So many take part at once, each under a name of its own. */
const LANES = 32;
const NAMES = 64;
const TTL_MS = 10_000;
const LIMIT_MS = 30_000;

interface Reading {
  readonly heapMiB: number;
  readonly handles: number;
  readonly listeners: number;
  readonly keys: number;
}

interface Amounts {
  readonly rounds: number;
  readonly joins: number;
  readonly reconnects: number;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '100000' },
      joins: { type: 'string', default: '10000' },
      reconnects: { type: 'string', default: '1000' },
    },
  });
  const amounts: Amounts = {
    rounds: Number(values.rounds),
    joins: Number(values.joins),
    reconnects: Number(values.reconnects),
  };
  const unknown = positionals.filter((name) => !subjects.some((subject) => subject.name === name));
  if (unknown.length > 0)
    throw new Error(`unknown: ${unknown.join(', ')}; known are ${subjects.map(({ name }) => name)}`);
  if (globalThis.gc === undefined) throw new Error('run it with --expose-gc: npx tsx --expose-gc bench/leaks.ts');
  const chosen = subjects.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  if (chosen.some(({ start }) => start !== undefined)) await ensureServers();
  const failures: string[] = [];
  process.on('warning', ({ name, message }) => {
    if (name === 'MaxListenersExceededWarning') failures.push(message);
  });
  for (const subject of chosen) failures.push(...(await examine(subject, amounts)));
  for (const failure of failures) console.error(failure);
  console.log(failures.length === 0 ? 'nothing is left behind' : `${failures.length} margins exceeded`);
  process.exitCode = failures.length === 0 ? 0 : 1;
}

/** What grew beyond its margin. */
async function examine(subject: Subject, amounts: Amounts): Promise<readonly string[]> {
  await using server = await subject.start?.();
  await using proxy = server && (await startProxy({ port: server.port }));
  const store = new MemoryStore();
  const open = (): Backend =>
    proxy === undefined
      ? connect('memory:', { store, ttlMs: TTL_MS })
      : connect(proxy.url(subject.name), {
          ttlMs: TTL_MS,
          initialBackoffMs: 10,
          maxBackoffMs: 100,
          namespace: 'leaks',
        });
  const read = (): Promise<Reading> => reading(server === undefined ? undefined : () => subject.keys(server));
  const failures: string[] = [];
  const compare = (when: string, before: Reading, after: Reading, margins: Reading): void => {
    console.log(`${subject.name}: ${when}: ${shown(before)} -> ${shown(after)}`);
    for (const [what, margin] of Object.entries(margins) as [keyof Reading, number][]) {
      const growth = after[what] - before[what];
      if (growth > margin)
        failures.push(`${subject.name}: ${when}: ${what} grew by ${growth.toFixed(1)}, and ${margin} is the margin`);
    }
  };

  // The modules are loaded, and the store has what it keeps for ever.
  await within(open(), async (backend) => {
    await lastValueFrom(createGroup(backend, 'crew'));
    await work(backend, { rounds: 2_000, joins: 200, reconnects: 3 }, proxy, () => undefined);
  });
  const atRest = await read();
  await within(open(), async (backend) => {
    await work(backend, { rounds: 1_000, joins: 100, reconnects: 3 }, proxy, () => undefined);
    let before = await read();
    await work(backend, amounts, proxy, async (what) => {
      const after = await read();
      compare(what, before, after, MARGINS.open);
      before = after;
    });
  });
  compare('after close()', atRest, await read(), MARGINS.closed);
  return failures;
}

async function work(
  backend: Backend,
  { rounds, joins, reconnects }: Amounts,
  proxy: TcpProxy | undefined,
  done: (what: string) => unknown,
): Promise<void> {
  const beganMs = performance.now();
  const told = async (what: string): Promise<void> => {
    await settled(backend);
    await done(`${what} (${Math.round((performance.now() - beganMs) / 1_000)} s)`);
  };
  await inLanes(rounds, async (index) => {
    await firstValueFrom(lock(backend, `ledger ${index % NAMES}`).pipe(timeout(LIMIT_MS)));
  });
  await told(`${rounds} acquired and released`);
  await inLanes(joins, async (index) => {
    await firstValueFrom(join(backend, 'crew', { id: `m${index}`, capabilities: { index } }).pipe(timeout(LIMIT_MS)));
  });
  await told(`${joins} joined and left`);
  if (proxy !== undefined) {
    // One who holds, one who waits and one who looks go through all of it.
    const staying = merge(lock(backend, 'kept'), lock(backend, 'kept'), members(backend, 'crew'))
      .pipe(retry())
      .subscribe();
    for (let count = 0; count < reconnects; count++) await reconnected(backend, proxy);
    staying.unsubscribe();
    await told(`${reconnects} reconnected`);
  }
}

/** Cuts all connections, and waits until it has been noticed and healed. */
async function reconnected(backend: Backend, proxy: TcpProxy): Promise<void> {
  const noticed = firstValueFrom(
    backend.session$.pipe(
      filter(({ state }) => state !== 'live'),
      timeout(LIMIT_MS),
    ),
  );
  proxy.resetAll();
  await noticed;
  await firstValueFrom(
    backend.session$.pipe(
      filter(({ state }) => state === 'live'),
      take(1),
      timeout(LIMIT_MS),
    ),
  );
}

/** Releases are sent, not awaited: what stands under each name has left when somebody else may look and sees nobody. */
async function settled(backend: Backend): Promise<void> {
  const locks = ['kept', ...Array.from({ length: NAMES }, (_, index) => `ledger ${index}`)];
  const rosters = locks.map((name) => ({ kind: 'lock', name }) as const);
  for (const roster of [...rosters, { kind: 'group', name: 'crew' } as const])
    await firstValueFrom(
      backend.entries(roster).pipe(
        filter(({ length }) => length === 0),
        timeout(LIMIT_MS),
      ),
    );
}

async function inLanes(count: number, act: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await act(next++);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

async function reading(keys: (() => Promise<number>) | undefined): Promise<Reading> {
  const found = (await keys?.()) ?? 0;
  // What is closing closes, and what only finalizers held goes.
  for (let turn = 0; turn < 5; turn++) {
    await pause(100);
    globalThis.gc?.();
  }
  return {
    heapMiB: process.memoryUsage().heapUsed / 2 ** 20,
    handles: process.getActiveResourcesInfo().length,
    listeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0),
    keys: found,
  };
}

function shown({ heapMiB, handles, listeners, keys }: Reading): string {
  return `heap ${heapMiB.toFixed(1)} MiB, ${handles} handles, ${listeners} listeners, ${keys} keys`;
}

async function within(backend: Backend, act: (backend: Backend) => Promise<void>): Promise<void> {
  try {
    await act(backend);
  } finally {
    await backend.close();
  }
}

await main();
