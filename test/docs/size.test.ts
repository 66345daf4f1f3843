import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, type Plugin } from 'esbuild';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const { gzippedBytes } = JSON.parse(readFileSync(join(root, 'bench/budget.json'), 'utf8')) as {
  readonly gzippedBytes: Readonly<Record<string, number>>;
};

/** Bundled, minified and compressed, without rxjs, the clients of stores, and whatever `isOutside` names. */
async function sizeOf(code: string, isOutside: (path: string) => boolean = () => false): Promise<number> {
  const outside: Plugin = {
    name: 'outside',
    setup: ({ onResolve }) =>
      onResolve({ filter: /^\./ }, ({ path, resolveDir }) =>
        isOutside(join(resolveDir, path)) ? { path, external: true } : undefined,
      ),
  };
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: root },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'neutral',
    target: 'es2022',
    mainFields: ['module', 'main'],
    external: ['rxjs', 'ioredis', 'redis', 'etcd3', 'node-zookeeper-client', 'node:*'],
    alias: { conclave: './src/index.ts' },
    plugins: [outside],
  });
  return gzipSync(outputFiles[0]?.contents ?? '', { level: 9 }).length;
}

/** An adapter by itself: what stands in its own folder. */
function adapterSize(name: string): Promise<number> {
  const folder = join(root, 'src/backends', name);
  return sizeOf(
    `export * from './src/backends/${name}/index.ts'`,
    (path) => !`${dirname(path)}/`.startsWith(`${folder}/`),
  );
}

describe('what a page or a function has to load is within its budget', () => {
  it.each(Object.entries(gzippedBytes))('%s: %i bytes', async (what, most) => {
    const adapter = /^the (\w+) adapter$/.exec(what)?.[1];
    const bytes = adapter === undefined ? await sizeOf(what.replace(/^import/, 'export')) : await adapterSize(adapter);
    expect(bytes).toBeGreaterThan(most / 2);
    expect(bytes).toBeLessThanOrEqual(most);
  });
});
