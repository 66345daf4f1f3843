import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestServer } from '../support/server.js';
import { check, type Verdict, type Violation } from './checker.js';
import { encodeEvent, type HistoryEvent } from './history.js';
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
  readonly habits?: Partial<Habits>;
  /** Which nodes the actor of an index knows. Default: all. */
  nodesOf?(store: StoreUnderTest): Promise<(index: number) => readonly TestServer[]>;
  /** Claims that are not made for this store and this fault. */
  readonly except?: readonly Violation['claim'][];
  scenario(run: Run): Promise<void>;
}

const mostShown = 10;

/** The same for every run, unless another is asked for: `random`, or any text. */
export function seedOf(): string {
  const asked = process.env['CONCLAVE_FAULTS_SEED'] ?? '1';
  return asked === 'random' ? `${Date.now()}` : asked;
}

const habitsOf: Record<StoreName, Habits> = {
  redis: { shortLocks: 3, shortHoldMs: [0, 4], shortPauseMs: [5, 40], workEveryMs: 2 },
  etcd: { shortLocks: 3, shortHoldMs: [0, 4], shortPauseMs: [5, 40], workEveryMs: 2 },
  zookeeper: { shortLocks: 3, shortHoldMs: [0, 4], shortPauseMs: [5, 40], workEveryMs: 2 },
};

/** Runs a cell, writes its result, and throws if a claim was broken. */
export async function runCell(laboratory: Laboratory, cell: Cell, seed: string, command: string): Promise<Result> {
  const { store } = laboratory;
  const {
    name,
    actors = 4,
    nextHolderMs = ttlMs + 1_000,
    membershipMs = ttlMs + 1_000,
    habits = {},
    except = [],
  } = cell;
  const startedAt = performance.now();
  const nodesOf = await cell.nodesOf?.(store);
  const run = await laboratory.begin({
    actors,
    habits: { ...habitsOf[store.name], ...habits },
    seed: `${seed}/${store.name}/${name}`,
    ...(nodesOf && { nodesOf }),
  });
  let failure: unknown;
  try {
    await run.untilAllTakePart();
    await cell.scenario(run);
  } catch (error) {
    failure = error;
  }
  const history = await run.end();
  const verdict = check(history, { membershipMs, nextHolderMs });
  const violations = verdict.violations.filter(({ claim }) => !except.includes(claim));
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  const result: Result = {
    ...{ cell: name, store: store.name, topology: store.topology, seed, command, seconds, rounds: run.rounds },
    ...figures(verdict),
    otherViolations:
      violations.filter(({ claim }) => claim !== 'exclusion' && claim !== 'fencing').length + run.escapes.length,
  };
  writeResult(result);
  if (violations.length > 0 || run.escapes.length > 0 || failure !== undefined) {
    const kept = keep(history, result);
    const found = violations.slice(0, mostShown).map(({ at, claim, message }) => `  ${at} ${claim}: ${message}`);
    const problems = [
      `${store.name}, ${name}, seed ${seed}: ${violations.length} violations, ${run.escapes.length} escapes`,
      ...found,
      ...run.escapes,
      ...(failure === undefined ? [] : [String(failure)]),
      `The history is in ${kept}. Again: ${command}`,
    ];
    throw new Error(problems.join('\n'), { cause: failure });
  }
  return result;
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
