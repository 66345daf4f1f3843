/*
 * Builds the package into `dist`: as CommonJS, which Node loads for `import` and for `require`, and as ES modules, for
 * bundlers. What needs vitest is there as ES modules only, and imports the rest by the name of the package.
 * docs/architecture.md says why.
 */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildForNode } from './node-form.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');

/**
 * @param {string} project
 * @param {readonly string[]} options
 */
const compile = (project, ...options) =>
  execFileSync(process.execPath, [tsc, '-p', project, ...options], { cwd: root, stdio: 'inherit' });

rmSync(dist, { recursive: true, force: true });
compile('tsconfig.cjs.json', '--emitDeclarationOnly');
await buildForNode(join(dist, 'cjs'));
// The same sources, checked above or by `npm run typecheck`.
compile('tsconfig.build.json', '--noCheck');
