import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** A piece of TypeScript that stands in a document or in a comment. */
export interface CodeBlock {
  /** File and line of its first line of code. */
  readonly place: string;
  /** What follows `ts` after the fence: `run` for those that end by themselves. */
  readonly words: readonly string[];
  readonly code: string;
}

/** Every block fenced with ```ts in the project's documents. */
export function blocksOfDocuments(): readonly CodeBlock[] {
  const inDocs = existsSync(join(root, 'docs')) ? readdirSync(join(root, 'docs')).map((file) => `docs/${file}`) : [];
  const files = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...inDocs].filter((file) => file.endsWith('.md'));
  return files.flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8');
    return [...text.matchAll(/^```ts\b(.*)\n([\s\S]*?)^```$/gm)].map(({ 1: words = '', 2: code = '', index }) => ({
      place: `${file}:${lineAt(text, index) + 1}`,
      words: words.split(' ').filter((word) => word !== ''),
      code,
    }));
  });
}

/** What stands under `@example` in every doc comment of the sources. */
export function examplesInSources(): readonly CodeBlock[] {
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((f) => f.endsWith('.ts'));
  return files.sort().flatMap((file) => {
    const text = readFileSync(join(root, 'src', file), 'utf8');
    return [...text.matchAll(/^ *\* @example\n([\s\S]*?)^ *(?:\*\/|\* @)/gm)].map(({ 1: lines = '', index }) => ({
      place: `src/${file}:${lineAt(text, index) + 1}`,
      words: [],
      code: lines.replaceAll(/^ *\* ?/gm, '').replaceAll(/^```.*\n/gm, ''),
    }));
  });
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}
