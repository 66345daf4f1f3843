/*
 * Changes the sources in many small ways, and tells which changes no test notices: npm run mutation [-- <part or file> ...]
 * Runs also what has changed since it was run: its results would be those of another source.
 * Writes docs/mutation.md of all results there are, and fails where survivors and explanations differ.
 * --reuse: tries only what a changed source or an added test may have changed; --no-run: nothing, and writes the page.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { page } from './page.js';
import { fromRoot, parts } from './parts.js';
import { changedSinceRun, type FileResult, readResults } from './results.js';
import { type Explanation, explanations } from './survivors.js';

const CONFIG = 'test/mutation/stryker.config.json';

function mutate(patterns: readonly string[], isReusing: boolean): void {
  const { status, signal } = spawnSync(
    fromRoot('node_modules/.bin/stryker'),
    // Forced: what is reused does not see that another file or a test's body has changed.
    ['run', CONFIG, '--mutate', patterns.join(','), ...(isReusing ? [] : ['--force'])],
    { cwd: fromRoot('.'), stdio: 'inherit' },
  );
  if (status !== 0) throw new Error(`stryker has ended with ${signal ?? status}`);
}

/** What survived and is not explained, and what is explained and did not survive, in words. Each is matched once. */
function differences(results: readonly FileResult[], explained: readonly Explanation[]): string[] {
  return results.flatMap(({ file, survived }) => {
    const expected = explained.flatMap(({ mutants }) => mutants[file] ?? []);
    return [
      ...lacking(survived, expected).map((change) => `survived: ${file}: ${change}`),
      ...lacking(expected, survived).map((change) => `explained, but does not survive: ${file}: ${change}`),
    ];
  });
}

function lacking(these: readonly string[], those: readonly string[]): string[] {
  const left = [...those];
  return these.filter((one) => {
    const at = left.indexOf(one);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { reuse: { type: 'boolean', default: false }, 'no-run': { type: 'boolean', default: false } },
});
const chosen = positionals.length === 0 ? Object.keys(parts) : positionals;
if (!values['no-run']) {
  const files = chosen.map((one) => parts[one] ?? [one]);
  const changed = changedSinceRun().filter((file) => !files.flat().includes(file));
  for (const portion of changed.length === 0 ? files : [changed, ...files]) mutate(portion, values.reuse);
}

const results = readResults();
const wrong = differences(results, explanations);
for (const one of wrong) console.error(one);
const stryker: { version: string } = JSON.parse(
  readFileSync(fromRoot('node_modules/@stryker-mutator/core/package.json'), 'utf8'),
);
const versions = `Stryker ${stryker.version} on Node ${process.versions.node}`;
writeFileSync(fromRoot('docs/mutation.md'), page(results, explanations, versions));
process.exitCode = wrong.length === 0 ? 0 : 1;
