import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

/*
 * In place of `here.cts` of the library: a thread loads no TypeScript, and it would be slow to. So the sources of what it
 * runs are bundled, by whoever first needs them.
 */
const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = join(root, 'node_modules', '.cache', `conclave-thread-${process.pid}`);

mkdirSync(folder, { recursive: true });
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
buildSync({
  entryPoints: [join(root, 'src/backends/thread/worker.ts')],
  outdir: folder,
  bundle: true,
  // These find files of theirs beside them.
  external: ['etcd3', 'node-zookeeper-client', 'redis'],
  platform: 'node',
  format: 'cjs',
  target: 'node20',
});

const here: string = join(folder, 'here.cjs');

export default here;
