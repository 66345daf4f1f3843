import { setTimeout as pause } from 'node:timers/promises';
import { type Backend, connect, leadership } from 'conclave';
import { startEtcd } from '../src/testing/servers/etcd.js';
import { difference, etcdCounts } from '../test/support/counters.js';

const TTL_MS = 10_000;
const ELECTIONS = 1_000;
const OBSERVED_MS = 30_000;

/** What it takes to lead so many elections in one session of etcd, while nothing happens. */
export async function elections(heapBytes: () => Promise<number>): Promise<void> {
  await using server = await startEtcd();
  await using backend = connect(server.url, { ttlMs: TTL_MS });
  await elected(backend, 'warm');
  const quiet = await observed(server.url);
  const empty = await heapBytes();
  await Promise.all(Array.from({ length: ELECTIONS }, (_, index) => elected(backend, `election-${index}`)));
  // Each is watched when it has been led for a second.
  await pause(3_000);
  const led = await observed(server.url);
  const bytes = ((await heapBytes()) - empty) / ELECTIONS;
  console.log(`etcd, ${ELECTIONS} elections led in one session: ${bytes.toFixed(0)} bytes of heap each`);
  console.log(`over ${OBSERVED_MS / 1_000} s, one election: ${quiet}`);
  console.log(`over ${OBSERVED_MS / 1_000} s, ${ELECTIONS + 1} elections: ${led}`);
}

/** It leads for as long as the backend is open. */
function elected(backend: Backend, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    leadership(backend, name).subscribe({
      next: (leads) => {
        if (leads) resolve();
      },
      error: reject,
    });
  });
}

async function observed(url: string): Promise<string> {
  const before = await etcdCounts(url);
  const beganMs = performance.now();
  const cpu = process.cpuUsage();
  await pause(OBSERVED_MS);
  const { user, system } = process.cpuUsage(cpu);
  const share = (user + system) / 10 / (performance.now() - beganMs);
  const counts = Object.entries(difference(before, await etcdCounts(url))).filter(
    ([name]) => !name.endsWith(' opened'),
  );
  return `${counts.map(([name, count]) => `${count} × ${name}`).join(', ')}; ${share.toFixed(2)} % of a core here`;
}
