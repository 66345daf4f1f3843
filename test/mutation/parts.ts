import { fileURLToPath } from 'node:url';

export const fromRoot = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** What is mutated, in the portions in which it is run: what a portion has found is kept when the next is cut off. */
export const parts: Readonly<Record<string, readonly string[]>> = {
  operators: ['src/operators/*.ts'],
  observables: ['src/observables/*.ts'],
  sessions: ['src/backends/{create-backend,session,lease}.ts'],
  kernel: ['src/backends/!(create-backend|session|lease).ts'],
};
