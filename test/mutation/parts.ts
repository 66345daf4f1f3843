import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const fromRoot = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

const filesOf = (folder: string): string[] =>
  readdirSync(fromRoot(folder))
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${folder}/${name}`);

const sessions = ['create-backend', 'session', 'lease', 'participation'].map((name) => `src/backends/${name}.ts`);
/** Types, and what is handed on: nothing that a mutant could change. */
const withoutCode = ['backend', 'store', 'index'].map((name) => `src/backends/${name}.ts`);

/** What is mutated, in the portions in which it is run: what a portion has found is kept when the next is cut off. */
export const parts: Readonly<Record<string, readonly string[]>> = {
  operators: filesOf('src/operators'),
  observables: filesOf('src/observables'),
  sessions,
  kernel: filesOf('src/backends').filter((file) => ![...sessions, ...withoutCode].includes(file)),
};
