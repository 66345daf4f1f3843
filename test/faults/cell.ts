import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { TestCluster } from '../../src/testing/servers/cluster.js';
import type { TestServer } from '../../src/testing/servers/server.js';
import { check, type Verdict, type Violation } from './checker.js';
import type { Fault } from './faults.js';
import { encodeEvent, type HistoryEvent, type Roster } from './history.js';
import type { Habits, Laboratory, Run } from './laboratory.js';
import { type Result, resultsFolder, writeResult } from './results.js';
import { type StoreName, type StoreUnderTest, ttlMs } from './stores.js';

/** One cell of the fault matrix. */
export interface Cell {
  readonly name: string;
  readonly actors?: number;
  /** From the end of a holder that did not release to the next one. Default: the ttl and a second. */
  readonly nextHolderMs?: number;
  /** How long a member that is gone may be seen. Default: the ttl and a second. */
  readonly membershipMs?: number;
  /** What nobody loses. Default: nothing. */
  readonly keeps?: readonly Roster[];
  readonly habits?: Partial<Habits>;
  /** Which nodes the actor of an index knows. Default: all. */
  nodesOf?(store: StoreUnderTest): Promise<(index: number) => readonly TestServer[]>;
  /** Begins when everybody has acquired something, unless there are no short locks. */
  scenario(run: Run): Promise<void>;
}

const mostShown = 10;
const betweenLooksMs = 50;
const noLeader: Fault = { name: 'no leader', reaches: 'all', begin: () => {}, end: () => {} };

/** The same for every run, unless another is asked for: `random`, or any text. */
export function seedOf(): string {
  const asked = process.env['CONCLAVE_FAULTS_SEED'] ?? '1';
  return asked === 'random' ? `${Date.now()}` : asked;
}

const habitsOf: Record<StoreName, Habits> = {
  redis: { shortLocks: 3, shortHoldMs: [0, 4], shortPauseMs: [5, 40], workEveryMs: 2 },
  etcd: { shortLocks: 5, shortHoldMs: [0, 4], shortPauseMs: [5, 40], workEveryMs: 2 },
  zookeeper: { shortLocks: 3, shortHoldMs: [0, 4], shortPauseMs: [5, 40], workEveryMs: 2 },
};

/** What came of a cell. */
export interface Outcome {
  readonly result: Result;
  readonly violations: readonly Violation[];
  /** What escaped, and what the scenario waited for in vain. */
  readonly problems: readonly string[];
  readonly history: readonly HistoryEvent[];
}

/** Runs a cell, writes its result, and throws if a claim was broken. */
export async function runCell(laboratory: Laboratory, cell: Cell, seed: string, command: string): Promise<Result> {
  const { result, violations, problems, history } = await playCell(laboratory, cell, seed, command);
  writeResult(result);
  if (violations.length === 0 && problems.length === 0) return result;
  const kept = keep(history, result);
  const found = violations.slice(0, mostShown).map(({ at, claim, message }) => `  ${at} ${claim}: ${message}`);
  const summary = `${result.store}, ${cell.name}, seed ${seed}: ${violations.length} violations, ${problems.length} problems`;
  throw new Error([summary, ...found, ...problems, `The history is in ${kept}. Again: ${command}`].join('\n'));
}

export async function playCell(laboratory: Laboratory, cell: Cell, seed: string, command: string): Promise<Outcome> {
  const { store } = laboratory;
  const { name, actors = 4, nextHolderMs = ttlMs + 1_000, membershipMs = ttlMs + 1_000, habits = {} } = cell;
  const startedAt = performance.now();
  const nodesOf = await cell.nodesOf?.(store);
  const run = await laboratory.begin({
    actors,
    habits: { ...habitsOf[store.name], ...habits },
    seed: `${seed}/${store.name}/${name}`,
    ...(nodesOf && { nodesOf }),
  });
  const problems: string[] = [];
  const leaderWatch = store.cluster && watchLeader(run, store.cluster);
  try {
    if (habits.shortLocks !== 0) await run.untilAllTakePart();
    await cell.scenario(run);
  } catch (error) {
    problems.push(String(error));
  }
  await leaderWatch?.stop().catch((error: unknown) => problems.push(String(error)));
  const history = await run.end();
  problems.push(...run.escapes);
  const verdict = check(history, { membershipMs, nextHolderMs, kept: { rosters: cell.keeps ?? [], ttlMs } });
  const others = verdict.violations.filter(({ claim }) => claim !== 'exclusion' && claim !== 'fencing');
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  const ticking = verdict.ticking.length === 0 ? {} : { ticking: verdict.ticking };
  const result: Result = {
    ...{ cell: name, store: store.name, topology: store.topology, seed, command, seconds, rounds: run.rounds },
    ...figures(verdict),
    ...ticking,
    otherViolations: others.length + problems.length,
  };
  return { result, violations: verdict.violations, problems, history };
}

/** Without a leader a cluster cannot be reached, whatever it was that led to an election: also the end of a fault. */
function watchLeader(run: Run, cluster: TestCluster): { stop(): Promise<void> } {
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      if (!(await cluster.isLed())) await run.during(noLeader, () => cluster.leader());
      await delay(betweenLooksMs);
    }
  })();
  // It is reported when it is stopped.
  watching.catch(() => {});
  return {
    stop: () => {
      isOver = true;
      return watching;
    },
  };
}

function figures(verdict: Verdict) {
  const abrupt = verdict.gaps.filter(({ after }) => after !== 'released').map(({ ms }) => ms);
  const clean = verdict.gaps
    .filter(({ after }) => after === 'released')
    .map(({ ms }) => ms)
    .sort((a, b) => a - b);
  return {
    acquisitions: verdict.acquisitions,
    workItems: verdict.workItems,
    overlaps: verdict.overlaps,
    longestOverlapMs: rounded(verdict.longestOverlapMs),
    excusedOverlaps: verdict.excusedOverlaps,
    writesRefused: verdict.writesRefused,
    staleWritesAccepted: verdict.staleWritesAccepted,
    longestNextHolderMs: Math.round(abrupt.reduce((most, ms) => Math.max(most, ms), 0)),
    releaseMedianMs: rounded(clean[Math.floor(clean.length / 2)]),
    releaseP99Ms: rounded(clean[Math.floor(clean.length * 0.99)]),
  };
}

function rounded(ms = 0): number {
  return Math.round(ms * 10) / 10;
}

function keep(history: readonly HistoryEvent[], { store, cell, seed }: Result): string {
  const folder = join(resultsFolder(), 'failed');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${`${store}-${cell}-${seed}`.replaceAll(/[^a-z0-9]+/gi, '-')}.jsonl`);
  writeFileSync(path, history.map((event) => `${encodeEvent(event)}\n`).join(''));
  return path;
}
