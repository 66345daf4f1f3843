import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { root } from './code-blocks.js';

/** Whether importing the module does something besides giving what it exports: then a bundler must not drop it. */
function hasEffects(file: string): boolean {
  const source = ts.createSourceFile(file, readFileSync(join(root, file), 'utf8'), ts.ScriptTarget.Latest, true);
  return source.statements.some(
    (statement) =>
      ts.isExpressionStatement(statement) || ts.isIfStatement(statement) || ts.isIterationStatement(statement, true),
  );
}

test('what does something when it is imported is named in `sideEffects`, so that no bundler drops it', () => {
  const { sideEffects } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  const effective = files
    .filter((file) => hasEffects(join('src', file)))
    .map((file) => `./dist/esm/${file.replace(/\.ts$/, '.js')}`);
  expect(effective.sort()).toEqual([...sideEffects].sort());
  expect(effective).toContain('./dist/esm/testing/vitest.js');
});
