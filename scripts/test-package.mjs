/*
 * Tries the package as its users get it: packed, installed into an empty folder next to rxjs and ioredis only,
 * imported by bare Node and compiled against by a TypeScript program. Then publint and attw look at the tarball.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const work = mkdtempSync(join(tmpdir(), 'conclave-package-'));

/**
 * @param {string} cwd
 * @param {string} command
 * @param {readonly string[]} args
 */
const run = (cwd, command, args) => {
  console.log(`\n$ ${command} ${args.join(' ')}`);
  execFileSync(command, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'], timeout: 300_000 });
};

/** @param {string} name */
const bin = (name) => join(root, 'node_modules', '.bin', name);

/** @param {string} name */
const peer = (name) => `${name}@${manifest.peerDependencies[name]}`;

const program = `
import assert from 'node:assert/strict';
import { connect, leadership, lock, MissingPackage } from 'conclave';
import * as memory from 'conclave/memory';
import * as redis from 'conclave/redis';
import * as authoring from 'conclave/backend';
import { MissingProgram, startRedis } from 'conclave/testing/servers';
import { explore, marbles, partition } from 'conclave/testing';
import { firstValueFrom, lastValueFrom } from 'rxjs';

for (const [name, module] of Object.entries({ memory, redis, backend: authoring })) {
  assert.notEqual(Object.keys(module).length, 0, \`conclave/\${name} exports nothing\`);
}

// Without its client an adapter either loads, since it needs the client later, or says which package is missing…
const missing = { etcd: 'etcd3', zookeeper: 'node-zookeeper-client' };
for (const [adapter, client] of Object.entries(missing)) {
  const outcome = await import(\`conclave/\${adapter}\`).then(
    () => 'loads without',
    (error) => {
      assert.equal(error.code, 'ERR_MODULE_NOT_FOUND');
      assert.match(error.message, new RegExp(\`'\${client}'\`));
      return 'asks for';
    },
  );
  console.log(\`conclave/\${adapter} \${outcome} \${client}\`);
}

// …and \`connect\` says what to install.
for (const [adapter, client] of Object.entries(missing)) {
  const backend = connect(\`\${adapter}://127.0.0.1:1\`);
  await assert.rejects(lastValueFrom(backend.session$), (error) => {
    assert.ok(error instanceof MissingPackage, String(error));
    assert.match(error.message, new RegExp(\`npm install \${client}\`));
    console.log(\`\${error.name}: \${error.message}\`);
    return true;
  });
  await backend.close();
}

// The test kit needs no test runner, and fast-check only to explore.
marbles(({ cluster, expectObservable }) => {
  cluster.faults('3s p', { p: partition('a') });
  expectObservable(leadership(cluster.backend('a'), 'e')).toBe('(ft) 11396ms f', { f: false, t: true });
});
await assert.rejects(explore({ seeds: 1, steps: 1 }, () => undefined, () => true), /npm install .*fast-check/);
console.log('conclave/testing: marbles run');

const backend = connect('memory:');
const grant = await firstValueFrom(lock(backend, 'invoice-42'));
assert.equal(typeof grant.token, 'bigint');
console.log(\`lock on memory: token \${grant.token}\`);
await backend.close();

// A real server, started and ended by what the package brings.
const server = await startRedis();
const onRedis = connect(server.url, { ttlMs: 1_000 });
assert.equal(typeof (await firstValueFrom(lock(onRedis, 'invoice-42'))).token, 'bigint');
console.log(\`lock on \${server.url}\`);
await onRedis.close();
const { pid } = server;
await server[Symbol.asyncDispose]();
assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
process.env.PATH = '';
await assert.rejects(startRedis(), (error) => error instanceof MissingProgram && error.program === 'redis-server');
`;

const typedProgram = `
import { connect, type Backend, type CoordinationError, lock } from 'conclave';
import * as memory from 'conclave/memory';
import * as redis from 'conclave/redis';
import { createBackend, type Store } from 'conclave/backend';
import { backendConformance, type Quirks, remote, withinProcess } from 'conclave/testing/conformance';
import { startEtcd, startZooKeeper, type TestCluster } from 'conclave/testing/servers';
import * as testing from 'conclave/testing';
import { map, type Observable, of } from 'rxjs';

const backend: Backend = connect('memory:');
export const token$: Observable<bigint> = lock(backend, 'invoice-42').pipe(map((grant) => grant.token));
export const faults$: Observable<CoordinationError> = backend.faults$;
export const adapters = [memory, redis];
export const made = (store: Store): Backend => createBackend(store.name, store.characteristics, of(store), {});
export const clusters: readonly (() => Promise<TestCluster>)[] = [() => startEtcd({ nodes: 3 }), startZooKeeper];
export const tried = (quirks: Quirks): void => backendConformance((options) => connect('memory:tried', options), quirks);
export const quirksMade = [remote, withinProcess];
export const cluster: testing.Cluster = testing.simulate();
`;

const typedProject = {
  compilerOptions: {
    target: 'ES2023',
    lib: ['ES2023', 'ESNext.Disposable'],
    module: 'NodeNext',
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    noEmit: true,
  },
  files: ['consumer.ts'],
};

try {
  run(root, 'npm', ['pack', '--pack-destination', work]);
  const tarball = join(work, `${manifest.name}-${manifest.version}.tgz`);

  const consumer = mkdtempSync(join(work, 'consumer-'));
  writeFileSync(join(consumer, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  run(consumer, 'npm', [
    'install',
    '--no-audit',
    '--no-fund',
    tarball,
    peer('rxjs'),
    peer('ioredis'),
    `@types/node@${manifest.devDependencies['@types/node']}`,
  ]);
  for (const name of ['etcd3', 'node-zookeeper-client']) {
    if (existsSync(join(consumer, 'node_modules', name))) throw new Error(`${name} was installed, but is optional`);
  }

  writeFileSync(join(consumer, 'program.mjs'), program);
  run(consumer, process.execPath, ['program.mjs']);

  writeFileSync(join(consumer, 'consumer.ts'), typedProgram);
  writeFileSync(join(consumer, 'tsconfig.json'), JSON.stringify(typedProject));
  run(consumer, bin('tsc'), ['-p', 'tsconfig.json']);

  // A backend outside of the package passes the suite of the package: with processes of its own, over nothing but exports.
  for (const name of ['vitest', 'tsx']) {
    symlinkSync(join(root, 'node_modules', name), join(consumer, 'node_modules', name), 'junction');
  }
  cpSync(join(root, 'examples', 'map-backend'), join(consumer, 'map-backend'), { recursive: true });
  run(consumer, bin('vitest'), ['run', 'map-backend']);

  run(root, bin('publint'), ['run', tarball, '--strict']);
  run(root, bin('attw'), [tarball, '--profile', 'esm-only']);
  console.log('\nThe package works.');
} finally {
  rmSync(work, { recursive: true, force: true });
}
