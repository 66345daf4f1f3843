import { mkdirSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildForNode } from '../../scripts/node-form.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The package as it is built for Node, next to what it needs, in a folder outside of this repository. */
export async function installForNode(folder: string): Promise<void> {
  const installed = join(folder, 'node_modules');
  mkdirSync(join(installed, 'conclave'), { recursive: true });
  symlinkSync(join(root, 'package.json'), join(installed, 'conclave', 'package.json'));
  const { dependencies } = createRequire(import.meta.url)(join(root, 'package.json'));
  for (const name of ['rxjs', 'tslib', ...Object.keys(dependencies)]) {
    mkdirSync(dirname(join(installed, name)), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(installed, name));
  }
  await buildForNode(join(installed, 'conclave', 'dist', 'cjs'));
}
