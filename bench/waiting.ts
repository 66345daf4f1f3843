import { setTimeout as pause } from 'node:timers/promises';
import { acquire, type Backend, connect, lock } from 'conclave';
import type { Subscription } from 'rxjs';
import { askHttp } from '../src/testing/servers/ask.js';
import { startEtcd } from '../src/testing/servers/etcd.js';
import { askRedis, startRedis } from '../src/testing/servers/redis.js';
import type { TestServer } from '../src/testing/servers/server.js';
import { askZooKeeper, startZooKeeper } from '../src/testing/servers/zookeeper.js';
import { difference, redisCounts } from '../test/support/counters.js';

const TTL_MS = 10_000;
const SHORT_TTL_MS = 1_000;
/** Sessions that wait, each for the same lock. */
const SESSIONS = 100;
const WINDOW_MS = 10_000;
/** Of one lock: so many sessions, and so many waiters in each. */
const LINE = { sessions: 10, waiters: 100 };
/** Renews so seldom that it does not fall into what is counted. */
const STILL_MS = 600_000;
/** After it nothing comes any more that a release has caused. */
const SETTLED_MS = 1_000;
/** Whoever stands for more than a second is watched from then on. */
const STOOD_MS = 2_500;

interface Store {
  readonly name: string;
  /** What is told to clients there. */
  readonly what: string;
  readonly query: string;
  readonly start: () => Promise<TestServer>;
  readonly told: (server: TestServer) => Promise<number>;
}

const stores: readonly Store[] = [
  {
    name: 'Redis',
    what: 'messages published',
    query: `?trustEmpty=true&ttlMs=${STILL_MS}`,
    start: () => startRedis(),
    told: async ({ url }) => sumOf(await askRedis(url, 'INFO', 'commandstats'), /^cmdstat_publish:calls=(\d+)/gm),
  },
  {
    name: 'etcd',
    what: 'watch events sent',
    query: `?ttlMs=${STILL_MS}`,
    start: () => startEtcd(),
    told: async ({ host, port }) =>
      sumOf(await askHttp(`http://${host}:${port}/metrics`), /^etcd_debugging_mvcc_events_total (\S+)/gm),
  },
  {
    name: 'ZooKeeper',
    what: 'watches fired',
    // The server allows no more.
    query: '?ttlMs=40000',
    start: () => startZooKeeper(),
    told: async (server) => sumOf(await askZooKeeper(server, 'mntr'), /^zk_sum_node_\w+_watch_count\s+(\d+)/gm),
  },
];

/** What waiting costs a store, and whom a release wakes. */
export async function waiting(): Promise<void> {
  await besideAShortTtl();
  for (const store of stores) await woken(store);
}

/** Scripts per second of sessions that wait, without and with a member whose ttl is short. */
async function besideAShortTtl(): Promise<void> {
  await using server = await startRedis();
  const url = `${server.url}?trustEmpty=true`;
  await using holder = connect(url, { ttlMs: TTL_MS });
  await acquire(lock(holder, 'line'));
  const sessions = Array.from({ length: SESSIONS }, () => connect(url, { ttlMs: TTL_MS }));
  for (const session of sessions) await stands(session);
  const perS = async (): Promise<string> => {
    await pause(TTL_MS / 2);
    const before = await redisCounts(server.url);
    await pause(WINDOW_MS);
    const { evalsha = 0 } = difference(before, await redisCounts(server.url));
    return ((evalsha * 1_000) / WINDOW_MS).toFixed(1);
  };
  const alone = await perS();
  await using member = connect(url, { ttlMs: SHORT_TTL_MS });
  await acquire(lock(member, 'short'));
  const beside = await perS();
  console.log(
    `${SESSIONS} sessions that wait, ttl ${TTL_MS} ms: ${alone} scripts/s; with a member of ttl ${SHORT_TTL_MS} ms: ${beside} scripts/s`,
  );
  await Promise.all(sessions.map((session) => session.close()));
}

/** How many are told of a release, and how many are admitted by it, of all who wait for one lock. */
async function woken({ name, what, query, start, told }: Store): Promise<void> {
  await using server = await start();
  const url = `${server.url}${query}`;
  await using holder = connect(url);
  const held = await acquire(lock(holder, 'line'));
  const sessions = Array.from({ length: LINE.sessions }, () => connect(url));
  let admitted = 0;
  const line: Subscription[] = [];
  for (let at = 0; at < LINE.waiters; at++)
    await Promise.all(
      sessions.map(async (session) => {
        line.push(
          await stands(session, () => {
            admitted++;
          }),
        );
      }),
    );
  await pause(STOOD_MS);
  const before = await told(server);
  await held.release();
  await pause(SETTLED_MS);
  console.log(
    `${line.length} wait for one lock of ${name}, in ${LINE.sessions} sessions: a release has admitted ${admitted}; ` +
      `${(await told(server)) - before} ${what}`,
  );
  await Promise.all(sessions.map((session) => session.close()));
}

/** Stands in line. */
function stands(session: Backend, admitted: () => void = () => undefined): Promise<Subscription> {
  return new Promise((resolve, reject) => {
    const place$ = session.enter(
      { kind: 'lock', name: 'line' },
      { mode: 'exclusive', permits: 1, payload: new Uint8Array() },
    );
    const subscription = place$.subscribe({
      next: (place) => {
        if (place.admitted) admitted();
        resolve(subscription);
      },
      error: reject,
    });
  });
}

function sumOf(text: string, figure: RegExp): number {
  return [...text.matchAll(figure)].reduce((sum, [, count]) => sum + Number(count), 0);
}
