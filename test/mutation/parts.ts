import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const fromRoot = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

const filesOf = (folder: string): string[] =>
  readdirSync(fromRoot(folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${folder}/${name}`)
    .sort();

const sessions = ['create-backend', 'session', 'lease', 'participation'].map(
  (name) => `src/backends/kernel/${name}.ts`,
);

/** What is mutated, in the portions in which it is run: what a portion has found is kept when the next is cut off. */
export const parts: Readonly<Record<string, readonly string[]>> = {
  operators: filesOf('src/operators'),
  observables: filesOf('src/observables'),
  sessions,
  // The other two at the door are types only.
  kernel: [
    ...filesOf('src/backends/kernel').filter((file) => !sessions.includes(file)),
    ...filesOf('src/backends/shared'),
    'src/backends/errors.ts',
    'src/backends/validity.ts',
  ],
};
