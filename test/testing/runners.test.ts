import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { installForNode } from '../support/package-for-node.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const modules = join(root, 'node_modules');
const jest = join(modules, 'jest', 'bin', 'jest.js');
const folder = mkdtempSync(join(tmpdir(), 'conclave-runners-'));
const timeout = 120_000;

/** One test that holds, one that does not: the same for each runner. */
const tests = (imports: string): string => `${imports}
import { leadership } from 'conclave';
import { marbles, partition } from 'conclave/testing';

const takeover = (whenTold) =>
  marbles(({ cluster, expectObservable }) => {
    cluster.faults('3s p', { p: partition('a', 20_000) });
    const values = { f: false, t: true };
    expectObservable(leadership(cluster.backend('a'), 'e'), '^ 15s !').toBe(whenTold, values);
    expectObservable(leadership(cluster.backend('b'), 'e'), '^ 15s !').toBe('f 11999ms t', values);
  });

test('holds', () => takeover('(ft) 11396ms f'));
test('does not hold', () => takeover('(ft) 12s f'));
`;

/** What a runner prints; it fails, since one of the tests does. */
async function outputOf(args: readonly string[]): Promise<string> {
  const failed = await promisify(execFile)(process.execPath, args, { cwd: folder, timeout }).then(
    () => Promise.reject(new Error('all tests passed')),
    (error) => error,
  );
  return `${failed.stdout}${failed.stderr}`;
}

beforeAll(async () => {
  await installForNode(folder);
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', private: true }));
  writeFileSync(join(folder, 'jest.test.js'), tests(''));
  writeFileSync(join(folder, 'node-test.js'), tests("import { test } from 'node:test';"));
}, timeout);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a marble test runs in other test runners, and draws what differs', () => {
  const diagrams = /expected {2}\(ft\) 11396ms - +603ms f\n\s*actual {4}\(ft\) 11396ms f/;

  it('jest', { timeout }, async () => {
    const output = await outputOf(['--experimental-vm-modules', jest, '--rootDir', folder, '--colors=false']);
    expect(output).toMatch(/✓ holds/);
    expect(output).toMatch(/✕ does not hold/);
    expect(output).toMatch(diagrams);
  });

  it('node:test', { timeout }, async () => {
    const output = await outputOf(['--test', '--test-reporter=spec', 'node-test.js']);
    expect(output).toMatch(/✔ holds/);
    expect(output).toMatch(/✖ does not hold/);
    expect(output).toMatch(diagrams);
  });
});
