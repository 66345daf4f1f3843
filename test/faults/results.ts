import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Ticking } from './checks/ticks.js';

/** What one cell of the fault matrix came to on one store. */
export interface Result {
  readonly cell: string;
  readonly store: string;
  readonly topology: string;
  readonly seed: string;
  readonly command: string;
  readonly seconds: number;
  readonly rounds: number;
  readonly acquisitions: number;
  readonly workItems: number;
  readonly overlaps: number;
  readonly longestOverlapMs: number;
  /** Overlaps of somebody who was stopped or blocked all along, and did no guarded work. */
  readonly excusedOverlaps: number;
  readonly writesRefused: number;
  readonly staleWritesAccepted: number;
  /** Other claims that were broken. */
  readonly otherViolations: number;
  /** After the end of a holder that did not release; without the time in which the store could not be reached. */
  readonly longestNextHolderMs: number;
  readonly releaseMedianMs: number;
  readonly releaseP99Ms: number;
  /** What became of the ticks of each schedule, where there were any. */
  readonly ticking?: readonly Ticking[];
}

/** What was found with a part of the library taken out. */
export interface Weakened {
  /** The part's name. */
  readonly weakening: string;
  readonly what: string;
  readonly result: Result;
  /** The first claim that was broken. */
  readonly first: string;
}

const defaultFolder = fileURLToPath(new URL('../../reports/faults', import.meta.url));

export const resultsFolder = (): string => process.env['CONCLAVE_FAULTS_REPORTS'] ?? defaultFolder;
const weakenedFolder = (): string => join(resultsFolder(), 'weakened');

export function writeResult(result: Result): void {
  write(resultsFolder(), `${result.store}-${result.topology}-${result.cell}`, result);
}

export function readResults(): Result[] {
  return read<Result>(resultsFolder());
}

export function writeWeakened(weakened: Weakened): void {
  write(weakenedFolder(), `${weakened.weakening}-${weakened.result.cell}`, weakened);
}

export function readWeakened(): Weakened[] {
  return read<Weakened>(weakenedFolder());
}

function write(folder: string, name: string, value: unknown): void {
  mkdirSync(folder, { recursive: true });
  const file = `${name.replaceAll(/[^a-z0-9]+/gi, '-')}.json`;
  writeFileSync(join(folder, file), `${JSON.stringify(value, undefined, 2)}\n`);
}

function read<T>(folder: string): T[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as T);
}
