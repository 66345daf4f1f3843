import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

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
}

const defaultFolder = fileURLToPath(new URL('../../reports/faults', import.meta.url));

export const resultsFolder = (): string => process.env['CONCLAVE_FAULTS_REPORTS'] ?? defaultFolder;

export function writeResult(result: Result): void {
  mkdirSync(resultsFolder(), { recursive: true });
  const name = `${result.store}-${result.topology}-${result.cell}`.replaceAll(/[^a-z0-9]+/gi, '-');
  writeFileSync(join(resultsFolder(), `${name}.json`), `${JSON.stringify(result, undefined, 2)}\n`);
}

export function readResults(): Result[] {
  return readdirSync(resultsFolder())
    .filter((file) => file.endsWith('.json'))
    .map((file) => JSON.parse(readFileSync(join(resultsFolder(), file), 'utf8')) as Result);
}
