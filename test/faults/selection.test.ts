import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ROWS, ROWS_OF_ONE, WEAKENINGS } from './selection.js';
import { weakenings } from './weakened/weakenings.mjs';

const sources = readdirSync(import.meta.dirname)
  .filter((name) => name !== 'selection.ts' && name.endsWith('.ts'))
  .map((name) => readFileSync(`${import.meta.dirname}/${name}`, 'utf8'));

test.each([...ROWS, ...ROWS_OF_ONE.keys()])('the row %s exists', (row) => {
  expect(sources.some((source) => source.includes(`name: '${row}'`))).toBe(true);
});

test.each([...WEAKENINGS])('the weakening %s exists', (weakening) => {
  expect(Object.keys(weakenings)).toContain(weakening);
});

const edits = Object.entries(weakenings).flatMap(([name, { edits: each }]) => each.map((edit) => ({ name, ...edit })));

test.each(edits)('what $name weakens in $file stands there', ({ file, from }) => {
  expect(readFileSync(`${import.meta.dirname}/../..${file}`, 'utf8')).toContain(from);
});
