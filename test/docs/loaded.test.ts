import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { installForNode } from '../support/package-for-node.js';

interface Loaded {
  readonly files: number;
  readonly bytes: number;
}

const { loadedBesideRxjs } = JSON.parse(readFileSync(new URL('../../bench/budget.json', import.meta.url), 'utf8')) as {
  readonly loadedBesideRxjs: Readonly<Record<string, Loaded>>;
};
const folder = mkdtempSync(join(tmpdir(), 'conclave-loaded-'));
const timeout = 60_000;

const counting = (entry: string): string => `
  import { statSync } from 'node:fs';
  import { createRequire } from 'node:module';
  const { cache } = createRequire(import.meta.url);
  await import('rxjs');
  const [before, own] = [new Set(Object.keys(cache)), new Set(process.moduleLoadList)];
  await import('${entry}');
  const files = Object.keys(cache).filter((file) => !before.has(file));
  const ofNode = process.moduleLoadList.filter((name) => !own.has(name));
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0);
  console.log(JSON.stringify({ files: files.length, bytes, ofNode }));
`;

/** What a fresh process loads for an entry of the package, once it has loaded rxjs. */
async function loadedBy(entry: string): Promise<Loaded & { readonly ofNode: readonly string[] }> {
  const args = ['--input-type=module', '--eval', counting(entry)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder });
  return JSON.parse(stdout);
}

beforeAll(() => installForNode(folder), timeout);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// A time would depend on the machine. What takes it is counted: files to find and read, and text to compile.
describe('what Node loads for an import is within its budget', () => {
  it.each(Object.entries(loadedBesideRxjs))('%s: %o', { timeout }, async (entry, most) => {
    const { files, bytes } = await loadedBy(entry);
    expect(files).toBeGreaterThan(most.files / 2);
    expect(files).toBeLessThanOrEqual(most.files);
    expect(bytes).toBeGreaterThan(most.bytes / 2);
    expect(bytes).toBeLessThanOrEqual(most.bytes);
  });

  it.each(['conclave', 'conclave/memory', 'conclave/backend'])(
    '%s: nothing of Node itself',
    { timeout },
    async (entry) => {
      expect((await loadedBy(entry)).ofNode).toEqual([]);
    },
  );
});
