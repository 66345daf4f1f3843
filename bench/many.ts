/**
 * Many locks in one process, many items through one gate, and large groups, over the package as it is built. Prints figures; no time
 * is asserted. Heap: of locks held, and of locks waited for, by 10,000 each. Burst: as many asked for at once, beside one after the other. Gate:
 * items per second through `whileLeader`, beside a bare `filter`. Groups: what each store does and sends at one join, watched over so
 * many connections, as the group grows; then in how many sets a thousand at once come. Waiting: scripts per second of a hundred sessions that
 * wait on Redis, without and with a member whose ttl is short; and on each store, how many of a thousand waiters a release wakes.
 * Elections: a thousand led in one session of etcd. Import: how long a fresh process takes to import each entry of the package, beside rxjs.
 *
 *     npm run bench:many -- [--locks 10000] [--only heap,burst,gate,groups,waiting,elections,import] [--watchers 100] [--stores redis,etcd,zookeeper]
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { acquire, type Backend, connect, leadership, lock, whileLeader } from 'conclave';
import { filter, type MonoTypeOperatorFunction, range, type Subscription } from 'rxjs';
import { startRedis } from '../src/testing/servers/redis.js';
import { medianOf } from './comparison/statistics.js';
import { elections } from './elections.js';
import { groups } from './groups.js';
import { importing } from './importing.js';
import { waiting } from './waiting.js';

const TTL_MS = 10_000;
const ITEMS = 1_000_000;
const ROUNDS = 9;
/** Asked for one after the other, to compare with. */
const SINGLES = 2_000;
/** No more of them are asked for at once where it is not a burst that is measured. */
const SLICE = 100;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      locks: { type: 'string', default: '10000' },
      only: { type: 'string', default: 'heap,burst,gate,groups,waiting,elections,import' },
      watchers: { type: 'string', default: '100' },
      stores: { type: 'string', default: 'redis,etcd,zookeeper' },
    },
  });
  const names = Array.from({ length: Number(values.locks) }, (_, index) => `many-${index}`);
  const chosen = values.only.split(',');
  if (chosen.includes('import')) await importing();
  if (chosen.includes('gate')) await gate();
  if (chosen.includes('groups')) await groups(Number(values.watchers), values.stores.split(','));
  if (chosen.includes('waiting')) await waiting();
  if (chosen.includes('elections')) await elections(heapBytes);
  if (!chosen.includes('heap') && !chosen.includes('burst')) return;
  await using server = await startRedis();
  const url = `${server.url}?trustEmpty=true`;
  if (chosen.includes('heap')) await heap(url, names);
  if (chosen.includes('burst')) await burst(url, names);
}

/** A waiter is somebody else's, who waits for what is held: it stands here as long as its holder. */
async function heap(url: string, names: readonly string[]): Promise<void> {
  await using holder = connect(url, { ttlMs: TTL_MS });
  await using waiter = connect(url, { ttlMs: TTL_MS });
  await acquire(lock(holder, 'warm'));
  await acquire(lock(waiter, 'warm too'));
  const empty = await heapBytes();
  const held: Subscription[] = [];
  for (let at = 0; at < names.length; at += SLICE)
    await Promise.all(names.slice(at, at + SLICE).map((name) => begun(holder, name, held)));
  const holding = await heapBytes();
  console.log(`held: ${perLock(holding - empty, names)} bytes of heap a lock`);
  const waiting: Subscription[] = [];
  for (let at = 0; at < names.length; at += SLICE) {
    for (const name of names.slice(at, at + SLICE)) waiting.push(lock(waiter, name).subscribe());
    await pause(20);
  }
  await pause(1_000);
  console.log(`waited for: ${perLock((await heapBytes()) - holding, names)} bytes of heap a lock`);
}

function begun(backend: Backend, name: string, held: Subscription[]): Promise<void> {
  return new Promise((resolve, reject) => {
    held.push(lock(backend, name).subscribe({ next: () => resolve(), error: reject }));
  });
}

async function burst(url: string, names: readonly string[]): Promise<void> {
  await using backend = connect(url, { ttlMs: TTL_MS });
  await acquire(lock(backend, 'warm'));
  const singleMs = await timed(async () => {
    for (let at = 0; at < SINGLES; at++) await acquire(lock(backend, `single-${at}`));
  });
  const losses: unknown[] = [];
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const burstMs = await timed(() =>
    Promise.all(
      names.map(
        (name) =>
          new Promise<void>((resolve) => {
            lock(backend, name).subscribe({
              next: () => resolve(),
              error: (error) => {
                losses.push(error);
                resolve();
              },
            });
          }),
      ),
    ),
  );
  await pause(2 * TTL_MS);
  delay.disable();
  const perS = { single: (SINGLES * 1_000) / singleMs, burst: (names.length * 1_000) / burstMs };
  console.log(
    `burst of ${names.length}: ${losses.length} lost, the loop blocked for ${(delay.max / 1e6).toFixed(0)} ms at most; ` +
      `${perS.burst.toFixed(0)} locks/s, one after the other ${perS.single.toFixed(0)}: ${(perS.burst / perS.single).toFixed(1)} ×`,
  );
}

async function gate(): Promise<void> {
  await using backend = connect('memory:');
  const perS = (operator: MonoTypeOperatorFunction<number>): number => {
    let passed = 0;
    const beganMs = performance.now();
    range(0, ITEMS)
      .pipe(operator)
      .subscribe(() => {
        passed++;
      });
    if (passed !== ITEMS) throw new Error(`${passed} of ${ITEMS} items have passed`);
    return (ITEMS * 1_000) / (performance.now() - beganMs);
  };
  const gates: number[] = [];
  const filters: number[] = [];
  const limits: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    filters.push(perS(filter((item) => item >= 0)));
    // No item may pass after the deadline, also where the machine was suspended meanwhile: that takes both clocks.
    limits.push(perS(filter(() => Date.now() - performance.now() > 0)));
    gates.push(perS(whileLeader(leadership(backend, 'gate'))));
    await pause(5);
  }
  const [of, bare, limit] = [gates, filters, limits].map((all) => medianOf(all) ?? Number.NaN) as [
    number,
    number,
    number,
  ];
  console.log(
    `gate: ${of.toExponential(2)} items/s, filter ${bare.toExponential(2)}: ${(of / bare).toFixed(2)} ×; ` +
      `a filter that reads both clocks ${limit.toExponential(2)}: ${(of / limit).toFixed(2)} ×`,
  );
}

async function timed(act: () => Promise<unknown>): Promise<number> {
  const beganMs = performance.now();
  await act();
  return performance.now() - beganMs;
}

async function heapBytes(): Promise<number> {
  if (globalThis.gc === undefined) throw new Error('run it with --expose-gc: npm run bench:many');
  for (let turn = 0; turn < 3; turn++) {
    await pause(50);
    globalThis.gc();
  }
  return process.memoryUsage().heapUsed;
}

function perLock(bytes: number, names: readonly string[]): string {
  return (bytes / names.length).toFixed(0);
}

await main();
