/*
 * How much time a simulation gets through: five processes with sessions, an election, a group and faults. Then the same
 * seed again and again: `npm run bench:testing -- 1000` compares a thousand histories byte for byte.
 */
import { createHash } from 'node:crypto';
import { join, leadership, members, whileLeader } from 'conclave';
import { type Cluster, simulate } from 'conclave/testing';
import { interval } from 'rxjs';

/** Five processes; every minute each is cut off, paused, delayed or starts anew, and the store restarts. */
export function crew(seed: number): Cluster {
  const cluster = simulate({ seed, latencyMs: [1, 5] });
  const names = ['a', 'b', 'c', 'd', 'e'];
  const start = (name: string): void => {
    const backend = cluster.backend(name);
    cluster.run(name, () => {
      interval(1_000)
        .pipe(whileLeader(leadership(backend, 'scheduler')))
        .subscribe(() => cluster.note(name, 'job'));
      join(backend, 'crew', { create: true }).subscribe();
      members(backend, 'crew').subscribe((ids) => cluster.note(name, `sees ${[...ids]}`));
    });
  };
  for (const name of names) start(name);
  const anyone = (): string => names[Math.floor(cluster.random() * names.length)] ?? 'a';
  const trouble: readonly (() => void)[] = [
    () => cluster.partition(anyone(), 20_000 * cluster.random()),
    () => cluster.pause(anyone(), 20_000 * cluster.random()),
    () => cluster.delay(anyone(), 500 * cluster.random(), 10_000),
    () => cluster.restartStore({ keepData: cluster.random() < 0.5 }),
    () => {
      const name = anyone();
      cluster.crash(name);
      cluster.at(5_000, () => start(name));
    },
  ];
  const next = (turn: number): void => {
    trouble[turn % trouble.length]?.();
    cluster.at(12_000, () => next(turn + 1));
  };
  cluster.at(12_000, () => next(0));
  return cluster;
}

/** What a seed has for a history. */
export function historyOf(seed: number, ms: number): string {
  const cluster = crew(seed);
  cluster.pass(ms);
  return createHash('sha256').update(cluster.history.join('\n')).digest('hex');
}

if (process.argv[1] === import.meta.filename) {
  const SIMULATED_MS = 3_600_000;
  crew(0).pass(600_000); // warm
  const cluster = crew(1);
  const startMs = performance.now();
  cluster.pass(SIMULATED_MS);
  const tookMs = performance.now() - startMs;
  console.log(
    `five processes, ${SIMULATED_MS / 1_000} s in ${Math.round(tookMs)} ms, ${cluster.history.length} events: ` +
      `${Math.round(SIMULATED_MS / tookMs)} simulated seconds per second`,
  );
  if (SIMULATED_MS / tookMs < 1_000) process.exitCode = 1;
  const times = Number(process.argv[2] ?? 20);
  const histories = new Set(Array.from({ length: times }, () => historyOf(7, 120_000)));
  console.log(`the same seed ${times} times: ${histories.size} different history ${[...histories].join(' ')}`);
  if (histories.size !== 1) process.exitCode = 1;
}
