import { fileURLToPath } from 'node:url';

export const fromRoot = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

const sessions = ['create-backend', 'session', 'lease', 'participation'].map((name) => `src/backends/${name}.ts`);

/** What is mutated, in the portions in which it is run: what a portion has found is kept when the next is cut off. */
export const parts: Readonly<Record<string, readonly string[]>> = {
  operators: ['src/operators/*.ts'],
  observables: ['src/observables/*.ts'],
  sessions,
  kernel: ['src/backends/*.ts', ...sessions.map((file) => `!${file}`)],
};
