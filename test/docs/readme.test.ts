import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as conclave from 'conclave';
import { describe, expect, it } from 'vitest';
import type { Characteristics } from '../../src/backends/backend.js';
import { etcdCharacteristics } from '../../src/backends/etcd/characteristics.js';
import { memoryCharacteristics } from '../../src/backends/memory/characteristics.js';
import { redisCharacteristics } from '../../src/backends/redis/characteristics.js';
import { timingOf } from '../../src/backends/shared/options.js';
import { zookeeperCharacteristics } from '../../src/backends/zookeeper/characteristics.js';
import { root } from './code-blocks.js';

const textOf = (file: string): string => readFileSync(join(root, file), 'utf8');
const readme = textOf('README.md');
const [guide, stores, errors] = ['guide', 'backends', 'errors'].map((name) => textOf(`docs/${name}.md`)) as [
  string,
  string,
  string,
];

/** What the guide begins with. */
const [, overview = ''] = guide.split(/^## /m);
const rows = overview.match(/^\|.*$/gm) ?? [];

describe('the README', () => {
  it('is read in a few minutes', () => {
    expect(readme.split('\n').length).toBeLessThanOrEqual(200);
  });

  it('and the other documents lead nowhere that is not there', () => {
    const files = ['README.md', 'CONTRIBUTING.md', ...readdirSync(join(root, 'docs')).map((file) => `docs/${file}`)];
    const links = files.flatMap((file) =>
      [...textOf(file).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)].map(([, path = '', anchor]) => ({
        from: file,
        to: path === '' ? file : join(dirname(file), path),
        anchor,
      })),
    );
    expect(links.length).toBeGreaterThan(15);
    for (const { from, to, anchor } of links) {
      expect(existsSync(join(root, to)), `${from} leads to ${to}`).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(textOf(to)), `${from} leads to ${to}`).toContain(anchor);
    }
  });
});

describe('the documents', () => {
  it('says of each backend what its characteristics say', () => {
    const all: readonly Characteristics[] = [
      memoryCharacteristics,
      redisCharacteristics,
      etcdCharacteristics,
      zookeeperCharacteristics,
    ];
    const fields = [
      'distributed',
      'fair',
      'tokensSurviveRestart',
      'tokensSurviveDataLoss',
      'consistentFailover',
    ] as const;
    for (const field of fields) {
      const [, ...cells] = cellsOf(new RegExp(`^\\| \`${field}\`:.*$`, 'm'));
      expect({ [field]: cells }).toEqual({ [field]: all.map((one) => (one[field] ? 'yes' : 'no')) });
    }
  });

  it('name each primitive and each operator in one table', () => {
    const functions = Object.entries(conclave).filter(
      ([name, value]) => !/^[A-Z]/.test(name) && value instanceof Function,
    );
    expect(functions.length).toBeGreaterThan(40);
    for (const [name] of functions) expect(rows.join('\n')).toContain(`\`${name}\``);
  });

  it('keep that table on one screen', () => {
    expect(rows.length).toBeLessThanOrEqual(22);
    for (const row of rows) expect(row.length, row).toBeLessThanOrEqual(100);
  });

  it('names each error', () => {
    const names = Object.keys(conclave).filter((name) => /^[A-Z]/.test(name));
    for (const name of names) expect(errors).toContain(`\`${name}\``);
  });

  it('says of each error whether it can heal, as retryWithBackoff goes by', () => {
    const table = errors.slice(errors.indexOf('| error |'));
    const said = table.split('\n').flatMap((row) => {
      const [, names = '', , retry = ''] = row.split('|').map((cell) => cell.trim());
      return [...names.matchAll(/`(\w+)`/g)].map(([, name = '']) => [name, !retry.startsWith('no')] as const);
    });
    const types = Object.entries(conclave).filter(([name]) => /^[A-Z]/.test(name) && name !== 'CoordinationError');
    const are = types.map(
      ([name, type]) => [name, conclave.canHeal((type as { prototype: unknown }).prototype)] as const,
    );
    expect(Object.fromEntries(said)).toEqual(Object.fromEntries(are));
    expect(said.filter(([, heals]) => !heals).length).toBeGreaterThan(8);
  });

  it('names each option, and its default', () => {
    const timing = timingOf({});
    if (timing._tag === 'Left') throw timing.left;
    const { ttlMs, renewEveryMs, guardMs, drift, requestTimeoutMs, initialBackoffMs, maxBackoffMs, closeTimeoutMs } =
      timing.right;
    expect({ renewEveryMs, guardMs, requestTimeoutMs }).toEqual({
      renewEveryMs: ttlMs / 5,
      guardMs: ttlMs / 20,
      requestTimeoutMs: (ttlMs * 3) / 10,
    });
    const written = (value: number): string => value.toLocaleString('en-US');
    expect(cellsOf(/^\| `ttlMs` .*$/m)[1]).toBe(written(ttlMs));
    expect(cellsOf(/^\| `renewEveryMs` .*$/m)[1]).toBe('`ttlMs / 5`');
    expect(cellsOf(/^\| `guardMs` .*$/m)[1]).toBe('`ttlMs / 20`');
    expect(cellsOf(/^\| `requestTimeoutMs` .*$/m)[1]).toBe('`ttlMs * 3 / 10`');
    expect(cellsOf(/^\| `drift` .*$/m)[1]).toBe(written(drift));
    expect(cellsOf(/^\| `initialBackoffMs`.*$/m)[1]).toBe(`${written(initialBackoffMs)}, ${written(maxBackoffMs)}`);
    expect(cellsOf(/^\| `closeTimeoutMs` .*$/m)[1]).toBe(written(closeTimeoutMs));
    for (const option of ['failFastMs', 'giveUpAt', 'tokenBase', 'namespace', 'codec', 'scheduler'])
      expect(cellsOf(new RegExp(`^\\| \`${option}\` .*$`, 'm'))).toHaveLength(3);
  });
});

/** The cells of the row of a table that matches. */
function cellsOf(row: RegExp): readonly string[] {
  const [line = ''] = row.exec(stores) ?? [];
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
}

/** The anchors that a page's headings have. */
function anchorsOf(page: string): readonly string[] {
  return [...page.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  );
}
