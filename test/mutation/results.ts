import { existsSync, readFileSync } from 'node:fs';
import { fromRoot } from './parts.js';

interface Position {
  readonly line: number;
  readonly column: number;
}

/** One change of the source, and what became of it, as Stryker writes them (schema of mutation-testing-elements). */
interface Mutant {
  readonly location: { readonly start: Position; readonly end: Position };
  readonly replacement?: string;
  readonly status: string;
}

interface Report {
  readonly files: Readonly<Record<string, { readonly source: string; readonly mutants: readonly Mutant[] }>>;
}

/** What became of the mutants of one file. */
export interface FileResult {
  readonly file: string;
  readonly total: number;
  /** A test failed, or nothing came to an end any more. */
  readonly killed: number;
  /** Those of `killed` that did not come to an end. */
  readonly timedOut: number;
  /** In the words that `survivors.ts` uses, in order. */
  readonly survived: readonly string[];
}

const REPORT = 'reports/mutation/incremental.json';

/** Files that are not any more what they were when they were run. Stryker drops the mutants of what has changed in them. */
export function changedSinceRun(): string[] {
  return Object.entries(readReport())
    .filter(([file, { source }]) => existsSync(fromRoot(file)) && readFileSync(fromRoot(file), 'utf8') !== source)
    .map(([file]) => file);
}

/** The results of all runs so far; a later run of a file replaces the earlier. */
export function readResults(): readonly FileResult[] {
  return Object.entries(readReport())
    .map(([file, { source, mutants }]) => {
      const counted = mutants.filter(({ status }) => status !== 'Ignored');
      // `RuntimeError`: an uncaught error ended the runner together with the tests, so it was noticed.
      const known = ['Killed', 'Timeout', 'RuntimeError', 'Survived', 'NoCoverage'];
      const unknown = counted.find(({ status }) => !known.includes(status));
      if (unknown !== undefined)
        throw new Error(`a mutant of ${file} is ${unknown.status}: ${inWords(source, unknown)}`);
      const survivors = counted.filter(({ status }) => status === 'Survived' || status === 'NoCoverage');
      return {
        file,
        total: counted.length,
        killed: counted.length - survivors.length,
        timedOut: counted.filter(({ status }) => status === 'Timeout').length,
        survived: survivors
          .sort(
            (a, b) =>
              a.location.start.line - b.location.start.line || a.location.start.column - b.location.start.column,
          )
          .map((mutant) => inWords(source, mutant)),
      };
    })
    .sort((a, b) => (a.file < b.file ? -1 : 1));
}

function readReport(): Report['files'] {
  return existsSync(fromRoot(REPORT)) ? (JSON.parse(readFileSync(fromRoot(REPORT), 'utf8')) as Report).files : {};
}

/** The line with the change in it: what is taken out in [- -], what is put there in {+ +}. It outlives moved lines. */
function inWords(source: string, { location: { start, end }, replacement = '' }: Mutant): string {
  const lines = source.split('\n');
  const text = lines.slice(start.line - 1, end.line).join('\n');
  const taken = text.slice(start.column - 1, text.length - (lines[end.line - 1] ?? '').length + end.column - 1);
  const [before, after] = [
    (lines[start.line - 1] ?? '').slice(0, start.column - 1),
    (lines[end.line - 1] ?? '').slice(end.column - 1),
  ];
  return `${before}[-${shortened(taken)}-]{+${shortened(replacement)}+}${after}`.trim().replaceAll(/\s+/g, ' ');
}

function shortened(code: string): string {
  const line = code.replaceAll(/\s+/g, ' ');
  return line.length <= 160 ? line : `${line.slice(0, 120)} … ${line.slice(-30)}`;
}
