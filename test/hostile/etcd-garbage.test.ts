import { Etcd3 } from 'etcd3';
import fc from 'fast-check';
import { firstValueFrom } from 'rxjs';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { connect } from '../../src/connect.js';
import { breakLock } from '../../src/observables/locks/break-lock.js';
import { holders } from '../../src/observables/locks/holders.js';
import { lock } from '../../src/observables/locks/lock.js';
import { firstWithin } from '../../src/testing/processes/until.js';
import { Everything, works } from './standing.js';
import { anyBytes, closed, nothingEscapes } from './support.js';

nothingEscapes();

const ttlMs = 2_000;
const answeredMs = 1_000;
const url = inject('etcdUrl');
const impatient = { ttlMs, initialBackoffMs: 10, maxBackoffMs: 100, closeTimeoutMs: 300 };

let other: Etcd3;
beforeAll(() => {
  other = new Etcd3({ hosts: new URL(url).host });
});
afterAll(() => other.close());

async function keysOf(namespace: string): Promise<readonly Buffer[]> {
  const { kvs } = await other.kv.range({ key: Buffer.from(`${namespace}/`), range_end: Buffer.from(`${namespace}0`) });
  return kvs.map(({ key }) => key);
}

const put = (key: Buffer, value: Buffer): Promise<unknown> => other.kv.put({ key, value });
const remove = (key: Buffer): Promise<unknown> => other.kv.deleteRange({ key });

/** Where the library looks, and names that it does not make. */
const alien = fc.tuple(
  fc.constantFrom(
    'ledger/',
    'conclave/',
    'conclave/groups/crew/',
    'conclave/elections/chief/',
    'conclave/registry/group/',
  ),
  fc.oneof(
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    fc
      .constantFrom('', '/', 'a/b', '-', 'ffff', '%zz', '%', '.', '1-r', `1-${'0'.repeat(32)}r`, 'x'.repeat(5_000))
      .map((name) => Buffer.from(name)),
  ),
);

/** What another client does to what is there, and beside it. */
const spoiling = fc.oneof(
  fc.tuple(fc.nat(20), anyBytes).map(([index, value]) => async (keys: readonly Buffer[]) => {
    await put(keys[index % keys.length] ?? Buffer.from('none'), value);
  }),
  fc.nat(20).map((index) => async (keys: readonly Buffer[]) => {
    await remove(keys[index % keys.length] ?? Buffer.from('none'));
  }),
  fc.nat(20).map((index) => async (keys: readonly Buffer[]) => {
    const key = keys[index % keys.length] ?? Buffer.from('none');
    await remove(key);
    await put(key, Buffer.from('another'));
  }),
  fc.tuple(alien, anyBytes).map(([[folder, name], value]) => async (_: readonly Buffer[], namespace: string) => {
    await put(Buffer.concat([Buffer.from(`${namespace}/${folder}`), name]), value);
  }),
);

describe('what another client has written into etcd', () => {
  test('in any key, and beside it, ends streams with typed errors or is reported, and heals', async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(spoiling, { minLength: 1, maxLength: 4 }), async (spoilings) => {
        const namespace = `spoiled-${process.pid}-${++run}`;
        const backend = connect(url, { ...impatient, namespace });
        using everything = new Everything(backend);
        await everything.standing();
        const keys = await keysOf(namespace);
        expect(keys.length).toBeGreaterThan(3);
        for (const spoil of spoilings) await spoil(keys, namespace);
        await everything.looksAreAnswered(answeredMs);
        for (const key of await keysOf(namespace)) await remove(key);
        await works(backend);
        everything.isTyped();
        await closed(backend);
      }),
      { numRuns: 25, interruptAfterTimeLimit: 20_000 },
    );
  }, 60_000);

  test('as a lease that is revoked loses the session, and a new one opens', async () => {
    const namespace = `revoked-${process.pid}`;
    const backend = connect(url, { ...impatient, namespace });
    using everything = new Everything(backend);
    await everything.standing();
    const { kvs } = await other.kv.range({
      key: Buffer.from(`${namespace}/ledger/`),
      range_end: Buffer.from(`${namespace}/ledger0`),
    });
    await other.leaseClient.leaseRevoke({ ID: kvs[0]?.lease ?? '0' });
    await firstWithin(backend.session$, ({ state }) => state === 'lost' || state === 'connecting', 8_000, 'the loss');
    await works(backend);
    everything.isTyped();
    await closed(backend);
  });

  test('under a key that is not UTF-8 holds nobody up, and is not shown', async () => {
    const namespace = `not-utf8-${process.pid}`;
    const backend = connect(url, { ...impatient, namespace });
    const key = Buffer.concat([Buffer.from(`${namespace}/ledger/`), Buffer.of(0xff, 0xfe, 0x80)]);
    await put(key, Buffer.of(0xff));
    expect(await firstValueFrom(breakLock(backend, 'ledger'))).toBe(false);
    await firstWithin(lock(backend, 'ledger'), () => true, 8_000, 'the lock');
    await firstWithin(holders(backend, 'ledger'), ({ length }) => length === 0, 5_000, 'nobody');
    await remove(key);
    await closed(backend);
  });
});
