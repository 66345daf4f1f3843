// Bundles what stands in the folder in which it is run, with all that is installed there.
import { renameSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [tools, out, kind] = process.argv.slice(2);
const load = async (name) => {
  const { resolve } = createRequire(join(tools, 'package.json'));
  return await import(pathToFileURL(resolve(name)).href);
};
const isPage = kind === 'page';
const entry = join(process.cwd(), isPage ? 'page.js' : 'bundled.mjs');
const sizes = {};

const esbuild = await load('esbuild');
const { warnings, metafile } = await esbuild.build({
  entryPoints: [entry],
  outfile: join(out, isPage ? 'page.esbuild.js' : 'esbuild.cjs'),
  bundle: true,
  minify: isPage,
  metafile: true,
  platform: isPage ? 'browser' : 'node',
  format: isPage ? 'iife' : 'cjs',
  logLevel: 'silent',
});
if (warnings.length > 0) throw new Error(JSON.stringify(warnings));
sizes.esbuild = Object.values(metafile.outputs)[0].bytes;

const { default: webpack } = await load('webpack');
const stats = await new Promise((resolve, reject) =>
  webpack(
    {
      mode: 'production',
      target: isPage ? 'web' : 'node',
      entry,
      output: isPage ? { path: out, filename: 'page.webpack.js' } : { path: process.cwd(), filename: 'webpack.cjs' },
      performance: { hints: false },
    },
    (error, done) =>
      error ? reject(error) : resolve(done.toJson({ all: false, errors: true, warnings: true, assets: true })),
  ),
);
if (stats.errors.length + stats.warnings.length > 0) throw new Error(JSON.stringify([stats.errors, stats.warnings]));
sizes.webpack = stats.assets.reduce((sum, { size }) => sum + size, 0);

const vite = await load('vite');
const built = await vite.build({
  configFile: false,
  logLevel: 'error',
  ssr: { noExternal: true },
  build: {
    ssr: !isPage,
    outDir: isPage ? join(out, 'vite') : out,
    emptyOutDir: false,
    modulePreload: false,
    rolldownOptions: {
      input: entry,
      output: { entryFileNames: isPage ? 'page.vite.js' : 'vite.mjs', ...(isPage && { format: 'iife' }) },
    },
  },
});
sizes.vite = built.output.reduce((sum, { code = '' }) => sum + code.length, 0);
if (isPage) renameSync(join(out, 'vite', 'page.vite.js'), join(out, 'page.vite.js'));

console.log(
  Object.entries(sizes)
    .map(([name, size]) => `${name} ${Math.round(size / 1_000)} kB`)
    .join(', '),
);
