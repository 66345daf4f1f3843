/*
 * Above the adapters there is no clock, no timer and no promise: time comes from a scheduler, so that every recipe
 * runs in a TestScheduler. Prints file:line for each use and fails.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('..', import.meta.url));
const folders = ['src/observables', 'src/operators'];
const names = new Set(['Promise', 'setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'performance']);
const members = new Set(['Date.now', 'process.hrtime', 'process.nextTick']);

/** @param {string} folder */
const sources = (folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(folder, file));

/**
 * What a node does that depends on real time, in the words of the source; undefined for the rest.
 *
 * @param {ts.Node} node
 * @returns {string | undefined}
 */
const realTime = (node) => {
  if (ts.isIdentifier(node) && names.has(node.text)) return node.text;
  if (ts.isPropertyAccessExpression(node) && members.has(node.getText())) return node.getText();
  if (ts.isNewExpression(node) && node.expression.getText() === 'Date' && !node.arguments?.length) return 'new Date()';
  if (ts.isAwaitExpression(node)) return 'await';
  if (node.kind === ts.SyntaxKind.AsyncKeyword) return 'async';
  return undefined;
};

/** @param {string} file */
const findings = (file) => {
  const source = ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest, true);
  /** @type {string[]} */
  const found = [];
  /** @param {ts.Node} node */
  const visit = (node) => {
    const what = realTime(node);
    if (what !== undefined) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
      found.push(`${file}:${line + 1}: ${what}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
};

const found = folders.flatMap(sources).flatMap(findings);
for (const line of found) console.error(line);
if (found.length > 0) {
  console.error(`\n${found.length} uses of real time above the adapters: take time from a scheduler.`);
  process.exitCode = 1;
}
