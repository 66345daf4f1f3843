// The Redis backend with one client and no other: by URL, as a client that is given, and in a thread; imported and required.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import * as imported from 'conclave';
import * as importedRedis from 'conclave/redis';
import { firstValueFrom } from 'rxjs';

const require = createRequire(import.meta.url);
const name = process.argv[2];
const url = process.env.REDIS_URL;
const library = require(name);
const given = () =>
  name === 'ioredis' ? new library.Redis(url, { lazyConnect: true }) : library.createClient({ url });

const forms = [
  [imported, importedRedis],
  [require('conclave'), require('conclave/redis')],
];
for (const [{ connect, lock }, { redis }] of forms) {
  const options = { ttlMs: 2_000, trustEmpty: true, failFastMs: 5_000 };
  const inThread = connect(url, { ...options, renewal: 'thread' });
  for (const backend of [connect(url, options), redis({ ...options, client: given() }), inThread]) {
    const grant = await firstValueFrom(lock(backend, 'invoice-42'));
    assert.equal(typeof grant.token, 'bigint');
    await backend.close();
  }
}
