import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { root } from './code-blocks.js';

const typeScriptLoader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

test('the example of fencing runs to its end, and shows a holder of the past refused', {
  timeout: 30_000,
}, async () => {
  const args = ['--import', typeScriptLoader, 'examples/fencing.ts'];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { cwd: root, timeout: 20_000 });
  expect(stderr).toBe('');
  expect(stdout).toMatch(/^the next holder has written: \{"status":"paid","fencing_token":"\d+"\}$/m);
  expect(stdout).toMatch(/^the paused one has not: StaleToken: document http/m);
  expect(stdout).toMatch(/^it is still: \{"status":"paid"/m);
});
