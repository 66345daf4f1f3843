// As a program on bare Node uses the package: with ioredis, without the clients of the other stores.
import assert from 'node:assert/strict';
import { connect, leadership, lock, MissingPackage } from 'conclave';
import * as authoring from 'conclave/backend';
import * as memory from 'conclave/memory';
import * as redis from 'conclave/redis';
import { explore, marbles, partition } from 'conclave/testing';
import { MissingProgram, startRedis } from 'conclave/testing/servers';
import { firstValueFrom, lastValueFrom } from 'rxjs';

for (const [name, module] of Object.entries({ memory, redis, backend: authoring })) {
  assert.notEqual(Object.keys(module).length, 0, `conclave/${name} exports nothing`);
}

// Without its client an adapter loads, since it needs it later, and \`connect\` says what to install.
const missing = { etcd: 'etcd3', zookeeper: 'node-zookeeper-client' };
for (const [adapter, client] of Object.entries(missing)) {
  await import(`conclave/${adapter}`);
  for (const renewal of /** @type {const} */ (['loop', 'thread'])) {
    const backend = connect(`${adapter}://127.0.0.1:1`, { renewal });
    await assert.rejects(lastValueFrom(backend.session$), (error) => {
      assert.ok(error instanceof MissingPackage, String(error));
      assert.match(error.message, new RegExp(`npm install ${client}`));
      console.log(`${error.name}: ${error.message}`);
      return true;
    });
    await backend.close();
  }
}

// The test kit needs no test runner, and fast-check only to explore.
marbles(({ cluster, expectObservable }) => {
  cluster.faults('3s p', { p: partition('a') });
  expectObservable(leadership(cluster.backend('a'), 'e')).toBe('(ft) 11396ms f', { f: false, t: true });
});
await assert.rejects(
  explore(
    { seeds: 1, steps: 1 },
    () => undefined,
    () => true,
  ),
  /npm install .*fast-check/,
);
console.log('conclave/testing: marbles run');

const backend = connect('memory:');
const grant = await firstValueFrom(lock(backend, 'invoice-42'));
assert.equal(typeof grant.token, 'bigint');
console.log(`lock on memory: token ${grant.token}`);
await backend.close();

// A real server, started and ended by what the package brings.
const server = await startRedis();
const onRedis = connect(server.url, { ttlMs: 1_000 });
assert.equal(typeof (await firstValueFrom(lock(onRedis, 'invoice-42'))).token, 'bigint');
console.log(`lock on ${server.url}`);
await onRedis.close();
const { pid } = server;
await server[Symbol.asyncDispose]();
assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
process.env.PATH = '';
await assert.rejects(startRedis(), (error) => error instanceof MissingProgram && error.program === 'redis-server');
