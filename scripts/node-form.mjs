/*
 * Makes the CommonJS form, which is what Node loads. Node takes longest over finding, reading and compiling each file, so the
 * modules are linked into a few. What several entries need stands in files that they share, so there is one copy of everything. An entry
 * itself is only a list of names: where it is imported, Node reads the text of it for what it exports, which takes long too.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, transform } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const target = 'es2023';
const here = 'backends/thread/here';

/** Of the paths in package.json, what is beneath `dist/cjs`, without the extension. */
const entries = Object.values(exports).flatMap(
  ({ node }) => /^\.\/dist\/cjs\/(.+)\.js$/.exec(node?.default ?? '')?.slice(1) ?? [],
);

/** @type {import('esbuild').Plugin} */
const linking = {
  name: 'linking',
  setup: ({ onResolve, onLoad }) => {
    // It must be a file of its own: it says where it is, and the thread's file with it. Files that are shared stand above all folders.
    onResolve({ filter: /\/here\.cjs$/ }, () => ({ path: `./${here}.cjs`, external: true }));
    // A second entry for each: so what the first consists of is shared, and the first names it only.
    onResolve({ filter: /^again:/ }, ({ path }) => ({ path: path.slice('again:'.length), namespace: 'again' }));
    onLoad({ filter: /.*/, namespace: 'again' }, ({ path }) => ({
      contents: `export * from './${path}.ts'`,
      resolveDir: join(root, 'src'),
    }));
  },
};

/** @param {string} outdir */
export const buildForNode = async (outdir) => {
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: [
      ...[...entries, 'backends/thread/worker'].map((path) => ({ in: `./src/${path}.ts`, out: path })),
      ...entries.map((path) => ({ in: `again:${path}`, out: `again/${path}` })),
    ],
    outdir,
    bundle: true,
    splitting: true,
    // esbuild shares files between entries in this form only.
    format: 'esm',
    platform: 'node',
    target,
    packages: 'external',
    plugins: [linking],
    write: false,
  });
  /** @type {(path: string, code: string, loader?: 'js' | 'ts') => Promise<void>} */
  const write = async (path, source, loader = 'js') => {
    const { code } = await transform(source, {
      loader,
      format: 'cjs',
      platform: 'node',
      target,
      // Jest in CommonJS has none.
      supported: { 'dynamic-import': false },
      banner: '"use strict";',
    });
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, code);
  };
  for (const { path, text } of outputFiles) if (!path.startsWith(join(outdir, 'again'))) await write(path, text);
  await write(join(outdir, `${here}.cjs`), readFileSync(join(root, 'src', `${here}.cts`), 'utf8'), 'ts');
  writeFileSync(join(outdir, 'package.json'), `${JSON.stringify({ type: 'commonjs', sideEffects: false })}\n`);
};
