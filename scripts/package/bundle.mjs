// Bundles what stands in the folder in which it is run, with all that is installed there but what is to be left out.
import { renameSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [tools, out, file, ...external] = process.argv.slice(2);
const load = async (name) => {
  const { resolve } = createRequire(join(tools, 'package.json'));
  return await import(pathToFileURL(resolve(name)).href);
};
const isPage = file === 'page.js';
const entry = join(process.cwd(), file);
const sizes = {};

const esbuild = await load('esbuild');
/** What of the clients is CommonJS asks for Node's modules by `require`, of which an ES module has none. */
const requiring = {
  js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
};
const byEsbuild = isPage
  ? [{ outfile: join(out, 'page.esbuild.js'), format: 'iife', platform: 'browser', minify: true }]
  : [
      { outfile: join(out, 'esbuild.cjs'), format: 'cjs' },
      { outfile: join(out, 'esbuild.mjs'), format: 'esm', banner: requiring },
      { outfile: join(process.cwd(), 'esbuild-external.mjs'), format: 'esm', external: ['ioredis', ...external] },
    ];
for (const options of byEsbuild) {
  const common = { entryPoints: [entry], external, bundle: true, metafile: true, platform: 'node', logLevel: 'silent' };
  const { warnings, metafile } = await esbuild.build({ ...common, ...options });
  if (warnings.length > 0) throw new Error(JSON.stringify(warnings));
  sizes.esbuild ??= Object.values(metafile.outputs)[0].bytes;
}

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
  ssr: { noExternal: true, external },
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
