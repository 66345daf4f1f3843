/*
 * Changes the sources in many small ways, and tells which changes no test notices: npm run mutation [-- <part or file> ...]
 * Writes docs/mutation.md when every part has been run. Fails where survivors and explanations differ.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { page } from './page.js';
import { fromRoot, parts } from './parts.js';
import { type FileResult, readResults } from './results.js';
import { type Explanation, explanations } from './survivors.js';

const CONFIG = 'test/mutation/stryker.config.json';

function mutate(patterns: readonly string[]): void {
  const { status, signal } = spawnSync(
    fromRoot('node_modules/.bin/stryker'),
    // Forced: kept results do not see that another file or a test's body has changed.
    ['run', CONFIG, '--force', '--mutate', patterns.join(',')],
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

const asked = process.argv.slice(2);
const shouldRun = !asked.includes('--no-run');
const chosen = asked.filter((one) => one !== '--no-run');
if (shouldRun) for (const one of chosen.length === 0 ? Object.keys(parts) : chosen) mutate(parts[one] ?? [one]);

const results = readResults();
const wrong = differences(results, explanations);
for (const one of wrong) console.error(one);
const covered = ['src/operators/', 'src/observables/', 'src/backends/lease', 'src/backends/keys'];
if (covered.every((beginning) => results.some(({ file }) => file.startsWith(beginning)))) {
  const { version } = JSON.parse(readFileSync(fromRoot('node_modules/@stryker-mutator/core/package.json'), 'utf8')) as {
    version: string;
  };
  writeFileSync(
    fromRoot('docs/mutation.md'),
    page(results, explanations, `Stryker ${version} on Node ${process.versions.node}`),
  );
}
process.exitCode = wrong.length === 0 ? 0 : 1;
