import fc from 'fast-check';
import { catchError, map, merge, type Observable, of } from 'rxjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect } from '../../src/connect.js';
import { groups } from '../../src/observables/groups/groups.js';
import { holders } from '../../src/observables/locks/holders.js';
import { firstWithin } from '../../src/testing/processes/until.js';
import { askRedis } from '../../src/testing/servers/redis.js';
import type { TestServer } from '../../src/testing/servers/server.js';
import { startUsedRedis } from '../backends/redis/support.js';
import { Everything, works } from './standing.js';
import { closed, nothingEscapes, typed } from './support.js';

nothingEscapes();

const ttlMs = 1_000;
/** Longer than a request may take. */
const answeredMs = 600;

let server: TestServer;
beforeAll(async () => {
  server = await startUsedRedis({}, ttlMs);
});
afterAll(() => server[Symbol.asyncDispose]());

const ask = (...command: readonly string[]): Promise<string> => askRedis(server.url, ...command);

/** Not a number, not an entry, not Unicode, not small. */
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom(
    '',
    '-1',
    'nan',
    'inf',
    '1e400',
    '99999999999999999999',
    '{}',
    '%zz',
    'a.b.x',
    'a.b.s99999',
    'x:y',
    ' ',
  ),
  fc.constantFrom('e:', 'ea.b.x:lock:ledger', 'x', 'x'.repeat(200_000)),
);
const score = fc.constantFrom('-inf', '+inf', '0', '-1', '1e308', '0.5', '9007199254740993');

/** What another client does to a key: makes another type of it, or writes into it what does not belong there. */
const spoiling = fc.oneof(
  text.map((value) => (key: string) => [
    ['DEL', key],
    ['SET', key, value],
  ]),
  text.map((value) => (key: string) => [
    ['DEL', key],
    ['RPUSH', key, value],
  ]),
  text.map((value) => (key: string) => [
    ['DEL', key],
    ['SADD', key, value],
  ]),
  fc.tuple(text, text).map(([field, value]) => (key: string) => [
    ['DEL', key],
    ['HSET', key, field, value],
  ]),
  fc.tuple(score, text).map(([at, member]) => (key: string) => [
    ['DEL', key],
    ['ZADD', key, at, member],
  ]),
  fc.tuple(score, text).map(([at, member]) => (key: string) => [['ZADD', key, at, member]]),
  text.map((value) => (key: string) => [['SADD', key, value]]),
  fc
    .tuple(fc.oneof(text, fc.constantFrom('run', 'seen', 'v', 'token', 'until', 'permits', 'value', 'version')), text)
    .map(([field, value]) => (key: string) => [['HSET', key, field, value]]),
  fc.constant((key: string) => [['DEL', key]]),
);

async function keysOf(namespace: string): Promise<readonly string[]> {
  const found = await ask('KEYS', `{${namespace}:0}*`);
  return [...found.matchAll(/^\{.*$/gm)].map(([key]) => key.trim()).sort();
}

describe('what another client has written into Redis', () => {
  test('in any key, under any type, ends streams with typed errors or is reported, and heals', async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(30), spoiling), { minLength: 1, maxLength: 3 }), async (spoilings) => {
        const namespace = `spoiled-${++run}`;
        const backend = connect(server.url, {
          namespace,
          ttlMs,
          initialBackoffMs: 10,
          maxBackoffMs: 100,
          closeTimeoutMs: 300,
        });
        using everything = new Everything(backend);
        await everything.standing();
        const keys = await keysOf(namespace);
        expect(keys.length).toBeGreaterThan(5);
        for (const [index, spoil] of spoilings)
          for (const command of spoil(keys[index % keys.length] ?? '')) await ask(...command);
        await everything.looksAreAnswered(answeredMs);
        for (const key of await keysOf(namespace)) await ask('DEL', key);
        await works(backend);
        everything.isTyped();
        await closed(backend);
      }),
      { numRuns: 20, interruptAfterTimeLimit: 9_000 },
    );
  }, 60_000);

  test('as another type under what is only looked at is reported, rather than waited for in silence', async () => {
    const namespace = 'silent';
    await using writer = connect(server.url, { namespace, ttlMs });
    using everything = new Everything(writer);
    await everything.standing();
    for (const key of [`{${namespace}:0}:e:lock:ledger`, `{${namespace}:0}:k:settings`, `{${namespace}:0}:g:group`]) {
      await ask('DEL', key);
      await ask('SET', key, 'another');
    }
    await using reader = connect(server.url, { namespace, ttlMs });
    const looks: readonly Observable<unknown>[] = [holders(reader, 'ledger'), groups(reader), reader.cell('settings')];
    for (const look of looks) {
      const told = await firstWithin(
        merge(
          reader.faults$.pipe(map(() => 'a fault')),
          look.pipe(
            map(() => 'a value'),
            catchError((error) => of(typed(error).name)),
          ),
        ),
        () => true,
        3_000,
        'a value, an error or a fault',
      );
      expect(told).not.toBe('a value');
    }
    everything.isTyped();
  });

  test('as messages in its channels is not taken for news', async () => {
    const namespace = 'shouted';
    const backend = connect(server.url, { namespace, ttlMs });
    using everything = new Everything(backend);
    await everything.standing();
    const session = /\{shouted:0\}:c:[\w-]+/.exec(await ask('PUBSUB', 'CHANNELS', '*'))?.[0] ?? '';
    const channels = [...(await ask('PUBSUB', 'CHANNELS', `{${namespace}:0}*`)).matchAll(/^\{.*$/gm)].map(([name]) =>
      name.trim(),
    );
    expect(channels).toContain(session);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...channels),
        fc.oneof(text, fc.constantFrom('beat:', 'beat:999999', 'beat:x', 'a:1 b:2', ':::', 'a.b.x:-1', 'a.b.x:1e9')),
        async (channel, message) => {
          await ask('PUBLISH', channel, message);
        },
      ),
      { numRuns: 200 },
    );
    await works(backend);
    everything.isTyped();
    expect(everything.complaints).toEqual([]);
    await closed(backend);
  });
});
