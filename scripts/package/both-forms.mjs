// One process that loads the package both ways has one copy of it: one state, one class of each error.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { connect, InvalidOptions, InvalidUrl, leadership, lock, tryLock } from 'conclave';
import { registerScheme } from 'conclave/backend';
import { filter, firstValueFrom, lastValueFrom, Observable, Subject, shareReplay } from 'rxjs';

const require = createRequire(import.meta.url);
const entries = ['', '/memory', '/redis', '/etcd', '/zookeeper', '/backend', '/testing', '/testing/servers'];
for (const entry of entries) {
  const required = require(`conclave${entry}`);
  const imported = await import(`conclave${entry}`);
  const names = Object.keys(required);
  assert.ok(names.length > 0, `conclave${entry} exports nothing`);
  // Named one by one, since Node finds them by reading the text of what it imports.
  for (const name of names) assert.equal(imported[name], required[name], `conclave${entry}: ${name}`);
}

// What an adapter throws is of the class that the package itself exports.
for (const adapter of ['memory', 'redis', 'etcd', 'zookeeper'])
  assert.throws(() => require(`conclave/${adapter}`)[adapter]({ ttlMs: -1 }), InvalidOptions, adapter);

const other = require('conclave');
assert.throws(() => other.connect('nonsense'), InvalidUrl);

// A store in memory that has a name, seen from both sides.
const [a, b] = [connect('memory:shared'), other.connect('memory:shared')];
assert.ok(a.session$ instanceof Observable && b.session$ instanceof Observable, 'another copy of rxjs');
const held = lock(a, 'invoice-42').subscribe();
const taken = await lastValueFrom(other.tryLock(b, 'invoice-42'));
assert.equal(taken._tag, 'Left');
held.unsubscribe();
assert.equal((await firstValueFrom(tryLock(b, 'invoice-42')))._tag, 'Right');

// A scheme that was registered through one, used through the other.
registerScheme('mine', (_url, options) => connect('memory:shared', options));
const mine = other.connect('mine:');
await Promise.all([a, b, mine].map((backend) => backend.close()));

// A bundle that took in the ES modules is a second copy. A gate of that one asks for losses of this one's sessions.
const bundled = await import(
  pathToFileURL(join(dirname(require.resolve('conclave/package.json')), 'dist/esm/index.js'))
);
assert.notEqual(bundled.whileLeader, other.whileLeader);
const ttlMs = 1_000;
const backend = connect('memory:', { ttlMs });
const leads$ = leadership(backend, 'scheduler').pipe(shareReplay({ bufferSize: 1, refCount: true }));
const [source, passed] = [new Subject(), []];
const gate = source.pipe(bundled.whileLeader(leads$)).subscribe((item) => passed.push(item));
await firstValueFrom(leads$.pipe(filter((leads) => leads)));
source.next('while it leads');
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ttlMs);
source.next('after its deadline');
assert.deepEqual(passed, ['while it leads']);
assert.equal(bundled.canHeal(new InvalidUrl('nonsense', 'it is none')), false);
gate.unsubscribe();
await backend.close();
console.log(`${entries.length} entries: imported and required, they are the same`);
