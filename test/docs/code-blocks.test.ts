import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import * as conclave from 'conclave';
import * as backend from 'conclave/backend';
import * as etcd from 'conclave/etcd';
import * as memory from 'conclave/memory';
import * as redis from 'conclave/redis';
import * as testing from 'conclave/testing';
import * as conformance from 'conclave/testing/conformance';
import * as servers from 'conclave/testing/servers';
import * as zookeeper from 'conclave/zookeeper';
import * as rxjs from 'rxjs';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { blocksOfDocuments, examplesInSources, root } from './code-blocks.js';
import { typeCheck } from './type-check.js';

/** Where the names come from that the examples in comments use without an import; the first one that has it. */
const packages: readonly (readonly [name: string, module: object])[] = [
  ['conclave', conclave],
  ['conclave/memory', memory],
  ['conclave/redis', redis],
  ['conclave/etcd', etcd],
  ['conclave/zookeeper', zookeeper],
  ['conclave/backend', backend],
  ['conclave/testing', testing],
  ['conclave/testing/servers', servers],
  ['conclave/testing/conformance', conformance],
  ['rxjs', rxjs],
  ['node:os', { hostname: true }],
];

/** What the examples in comments leave to the reader. */
const readersOwn = `
  declare const backend: import('conclave').Backend;
  declare const invoice: { readonly id: string };
  declare const invoices$: import('rxjs').Observable<{ readonly id: string }>;
  declare const ticks$: import('rxjs').Observable<number>;
  declare function mapBackend(options: import('conclave/backend').BackendOptions): import('conclave').Backend;
  declare function post(tick: number): void;
  declare function rebalance(...sets: ReadonlySet<string>[]): void;
  declare function runJob(): void;
  declare function step(tick: number): Promise<void>;
  declare function settle(subject: { readonly id: string }, token: bigint): Promise<void>;
`;

const documented = blocksOfDocuments();
const examples = examplesInSources();

function withImports(code: string): string {
  const used = new Set(code.match(/[A-Za-z_$][\w$]*/g));
  const declared = declaredIn(code);
  const imports = packages.map(([name, module], index) => {
    const isElsewhere = (word: string) => packages.slice(0, index).some(([, earlier]) => word in earlier);
    const words = Object.keys(module).filter((word) => used.has(word) && !declared.has(word) && !isElsewhere(word));
    return words.length === 0 ? '' : `import { ${words.join(', ')} } from '${name}';\n`;
  });
  const own = readersOwn
    .split('\n')
    .filter((line) => !declared.has(/(?:const|function) ([\w$]+)/.exec(line)?.[1] ?? ''));
  return `${imports.join('')}${own.join('\n')}\n${code}\nexport {};\n`;
}

function declaredIn(code: string): ReadonlySet<string> {
  const made = [...code.matchAll(/\b(?:const|let|using|function|class) +([\w$]+)/g)].map(([, name = '']) => name);
  const imported = [...code.matchAll(/\bimport \{(.*?)\}/gs)].flatMap(([, names = '']) => names.match(/[\w$]+/g) ?? []);
  return new Set([...made, ...imported]);
}

describe('TypeScript in the documents and in the comments', () => {
  const modules = new Map(
    [
      ...documented.map(({ place, code }): [string, string] => [`${place}.ts`, `${code}\nexport {};\n`]),
      ...examples.map(({ place, code }): [string, string] => [`${place}.ts`, withImports(code)]),
    ].map(([name, code]) => [name.replaceAll(/[/:]/g, '_'), code]),
  );

  it('is found', () => {
    expect(documented.length).toBeGreaterThan(3);
    expect(examples.length).toBeGreaterThan(20);
  });

  it('type-checks', { timeout: 60_000 }, () => {
    const mistake = `import { connect } from 'conclave';\nexport const backend: string = connect('memory:');\n`;
    const { 'mistake.ts': seen, ...wrong } = Object.fromEntries(
      [...typeCheck(new Map([...modules, ['mistake.ts', mistake]]))].filter(([, messages]) => messages.length > 0),
    );
    expect(seen).toHaveLength(1);
    expect(wrong).toEqual({});
  });
});

describe('a block that is marked `run`', () => {
  const typeScriptLoader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

  it.each(documented.filter(({ words }) => words.includes('run')))(
    'runs to its end: $place',
    { timeout: 30_000 },
    async ({ code }) => {
      const { outputText } = ts.transpileModule(code, {
        compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
      });
      const args = ['--import', typeScriptLoader, '--input-type=module', '--eval', outputText];
      const { stderr } = await promisify(execFile)(process.execPath, args, { cwd: root, timeout: 20_000 });
      expect(stderr).toBe('');
    },
  );
});
