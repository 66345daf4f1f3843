import { Cluster, Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis-5';
import { createClient, createCluster } from 'redis';
import { createClient as createClient5 } from 'redis-5';
import { firstValueFrom, lastValueFrom, type Observable } from 'rxjs';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { connect } from '../../src/connect.js';
import {
  fencedRedis,
  type IoredisClient,
  type NodeRedisClient,
  type RedisWrite,
} from '../../src/fencing/fenced-redis.js';
import { lock } from '../../src/observables/locks/lock.js';
import { withLock } from '../../src/observables/locks/with-lock.js';
import { type RedisCluster, startRedis, startRedisCluster } from '../../src/testing/servers/redis.js';
import type { TestServer } from '../../src/testing/servers/server.js';
import { randomOf } from '../faults/random.js';

type Client = IoredisClient | NodeRedisClient;
interface Open {
  readonly client: Client;
  ask(...command: readonly string[]): Promise<unknown>;
  end(): unknown;
}

const clients: readonly (readonly [name: string, open: (url: string) => Promise<Open>])[] = [
  ['ioredis 6', async (url) => ofIoredis(new Redis(url))],
  ['ioredis 5', async (url) => ofIoredis(new Redis5(url) as unknown as Redis)],
  ['node-redis 6', async (url) => ofNodeRedis(createClient({ url }))],
  ['node-redis 5', async (url) => ofNodeRedis(createClient5({ url }) as unknown as ReturnType<typeof createClient>)],
];

function ofIoredis(client: Redis): Open {
  return { client, ask: (name = '', ...args) => client.call(name, ...args), end: () => client.disconnect() };
}

async function ofNodeRedis(client: ReturnType<typeof createClient>): Promise<Open> {
  await client.connect();
  return { client, ask: (...command) => client.sendCommand([...command]), end: () => client.close() };
}

/** Resolves with the error, or with what was emitted. */
const outcome = (written: Observable<unknown>): Promise<unknown> => lastValueFrom(written).catch((error) => error);
const hashOf = (reply: unknown): Record<string, string> => {
  if (!Array.isArray(reply)) return { ...(reply as Record<string, string>) };
  return Object.fromEntries(Array.from({ length: reply.length / 2 }, (_, i) => [reply[2 * i], reply[2 * i + 1]]));
};

describe.each(clients)('fencedRedis with %s', (_, open) => {
  let server: TestServer;
  let used: Open;

  beforeAll(async () => {
    server = await startRedis();
    used = await open(server.url);
  });
  afterAll(async () => {
    await used?.end();
    await server?.[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await used.ask('FLUSHALL');
  });

  const write = (token: bigint, set: RedisWrite['set'], more: Partial<RedisWrite> = {}) =>
    outcome(fencedRedis(used.client, { key: 'invoice', set, token, create: true, ...more }));
  const hash = async (key = 'invoice') => hashOf(await used.ask('HGETALL', key));

  it('writes, and refuses a smaller token afterwards', async () => {
    expect(await write(7n, { status: 'paid', cents: 100 })).toBeUndefined();
    expect(await hash()).toEqual({ fencing_token: '7', status: 'paid', cents: '100' });
    const error = await write(6n, { status: 'late' });
    expect(error).toMatchObject({ _tag: 'StaleToken', resource: 'hash "invoice"', token: 6n, seen: 7n });
    expect(String(error)).toMatch(/tokenBase greater than 7/);
    for (const status of ['paid', 'void']) expect(await write(7n, { status })).toBeUndefined();
    expect(await write(8n, {})).toBeUndefined();
    expect(await write(7n, {})).toMatchObject({ _tag: 'StaleToken', token: 7n, seen: 8n });
    expect(await hash()).toEqual({ fencing_token: '8', status: 'void', cents: '100' });
  });

  it('says of a hash that is not there that it is not, unless it is to be made', async () => {
    expect(await write(7n, { a: 'x' }, { create: false })).toMatchObject({
      _tag: 'ResourceNotFound',
      resource: 'hash "invoice"',
    });
    expect(await used.ask('EXISTS', 'invoice')).toBe(0);
    await used.ask('HSET', 'invoice', 'status', 'open');
    expect(await write(7n, { a: 2n ** 70n }, { create: false })).toBeUndefined();
    expect(await hash()).toEqual({ fencing_token: '7', status: 'open', a: `${2n ** 70n}` });
  });

  it('tells tokens apart that are equal as numbers, and counts digits', async () => {
    for (const [seen, token] of [
      [2n ** 53n + 1n, 2n ** 53n],
      [10n, 9n],
      [2n ** 63n - 1n, 2n ** 63n - 2n],
      [1n, 0n],
    ] as const) {
      await used.ask('FLUSHALL');
      expect(await write(token, {})).toBeUndefined();
      expect(await write(seen, {})).toBeUndefined();
      expect(await write(token, { a: 'late' })).toMatchObject({ _tag: 'StaleToken', token, seen });
      expect(await hash()).toEqual({ fencing_token: `${seen}` });
    }
  });

  it('keeps any name and value', async () => {
    const odd = ` {}"'\n\0]]..ARGV[1] \u{1F600}`.replace('\0', '');
    expect(await write(7n, { [odd]: `${odd}\0`, n: -1.5 }, { key: odd, tokenField: `t${odd}` })).toBeUndefined();
    expect(await hash(odd)).toEqual({ [odd]: `${odd}\0`, [`t${odd}`]: '7', n: '-1.5' });
  });

  it('GarbledNumbers: numbers are written in decimal, however large or small', async () => {
    const numbers: readonly (readonly [number, string])[] = [
      [1e21, '1000000000000000000000'],
      [-1.25e25, '-12500000000000000000000000'],
      [1e-7, '0.0000001'],
      [-1.5e-9, '-0.0000000015'],
      [123_456_789_012_345_680_000, '123456789012345680000'],
      [0.000_001, '0.000001'],
      [-0, '0'],
      [Number.MAX_VALUE, `17976931348623157${'0'.repeat(292)}`],
      [Number.MIN_VALUE, `0.${'0'.repeat(323)}5`],
    ];
    expect(await write(7n, Object.fromEntries(numbers.map(([value], at) => [`f${at}`, value])))).toBeUndefined();
    const { fencing_token: _, ...written } = await hash();
    expect(written).toEqual(Object.fromEntries(numbers.map(([, text], at) => [`f${at}`, text])));
    for (const [value, text] of numbers) expect(Number(text)).toBe(value === 0 ? 0 : value);
  });

  it('writes more fields than a function of Lua takes arguments', async () => {
    const set = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`f${i}`, i]));
    expect(await write(7n, set)).toBeUndefined();
    expect(await used.ask('HLEN', 'invoice')).toBe(10_001);
  });

  it.each(['', '007', '-1', '1e3', 'abc', ' 7', '7\n', '0x7'])('does not take %o for a token', async (garbage) => {
    await used.ask('HSET', 'invoice', 'fencing_token', garbage);
    expect(await write(7n, { a: 'x' })).toMatchObject({
      _tag: 'UnfenceableResource',
      reason: `its fencing_token is ${JSON.stringify(garbage)}`,
      canHeal: false,
    });
    expect(await hash()).toEqual({ fencing_token: garbage });
  });

  it('tells what Redis says of a key that is no hash, and leaves it', async () => {
    await used.ask('SET', 'invoice', 'x');
    expect(String(await write(7n, { a: 'x' }))).toMatch(/WRONGTYPE/);
    expect(await used.ask('GET', 'invoice')).toBe('x');
  });

  it('StaleHolderBesideTheNext: what several write at once is that of the greatest token', async () => {
    const other = await open(server.url);
    const random = randomOf('late holders');
    const results = await Promise.all(
      Array.from({ length: 300 }, (_, index) => {
        const token = BigInt(1 + Math.floor(index / 30) + random.between(0, 3));
        const { client } = index % 2 === 0 ? used : other;
        const set = { last: String(token), [`by ${token}`]: 'was here' };
        return outcome(fencedRedis(client, { key: 'invoice', token, set, create: true }));
      }),
    );
    await other.end();
    const { last, fencing_token: seen } = await hash();
    expect(last).toBe(seen);
    const stale = results.filter((result) => result !== undefined);
    for (const error of stale) expect(error).toMatchObject({ _tag: 'StaleToken' });
    expect(stale.length).toBeGreaterThan(20);
  });

  it('writes for each subscription, and not before', async () => {
    const written = fencedRedis(used.client, { key: 'invoice', set: { a: 'x' }, token: 7n, create: true });
    expect(await used.ask('EXISTS', 'invoice')).toBe(0);
    await lastValueFrom(written);
    await used.ask('DEL', 'invoice');
    await lastValueFrom(written);
    expect(await hash()).toEqual({ a: 'x', fencing_token: '7' });
  });
});

describe('fencedRedis in a cluster', () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await startRedisCluster();
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());

  const keys = ['plain', 'a}b', '{}x', '{', '}{', 'a{b}c', '{{x}}', 'a{}b{c}'];

  it('writes to keys in any slot, with ioredis', async () => {
    const client = new Cluster(cluster.nodes.map(({ host, port }) => ({ host, port })));
    for (const key of keys) {
      const of = (token: bigint) => outcome(fencedRedis(client, { key, set: { a: 'x' }, token, create: true }));
      expect(await of(7n)).toBeUndefined();
      expect(await of(6n)).toMatchObject({ _tag: 'StaleToken' });
    }
    client.disconnect();
  });

  it('writes to keys in any slot, with node-redis', async () => {
    const client = createCluster({ rootNodes: cluster.nodes.map(({ url }) => ({ url })) });
    await client.connect();
    for (const key of keys) {
      const of = (token: bigint) => outcome(fencedRedis(client, { key, set: { a: 'x' }, token, create: true }));
      expect(await of(9n)).toBeUndefined();
      expect(await of(8n)).toMatchObject({ _tag: 'StaleToken' });
    }
    await client.close();
  });
});

describe('fencedRedis', () => {
  it('keeps a holder out that was paused while another had the lock, with the tokens of a real store', async () => {
    const url = inject('redisUrl');
    const backend = connect(`${url}?trustEmpty=true&namespace=fenced-redis`);
    const client = new Redis(url);
    const key = 'fenced-redis:invoice';
    const paused = await firstValueFrom(lock(backend, 'invoice'));
    await lastValueFrom(
      withLock(backend, 'invoice', ({ token }) =>
        fencedRedis(client, { key, set: { by: 'next' }, token, create: true }),
      ),
    );
    expect(await outcome(fencedRedis(client, { key, set: { by: 'past' }, token: paused.token }))).toMatchObject({
      _tag: 'StaleToken',
      token: paused.token,
    });
    expect(await client.hget(key, 'by')).toBe('next');
    await client.del(key);
    client.disconnect();
    await backend.close();
  });

  const right = { key: 'k', set: { a: 1 }, token: 1n };
  const violations = (write: unknown, client: unknown = { eval: async () => ['written', ''] }): unknown => {
    try {
      fencedRedis(client as never, write as never);
      return undefined;
    } catch (error) {
      return (error as { violations?: unknown }).violations ?? error;
    }
  };

  it.each([
    [{ token: 1 }, /^token must be/],
    [{ key: '' }, /^key must be/],
    [{ key: Buffer.from('k') }, /^key must be/],
    [{ set: { a: true } }, /^set\["a"\] must be a string, a finite number/],
    [{ set: { a: null } }, /^set\["a"\] must be a string, a finite number/],
    [{ set: { a: Number.NaN } }, /^set\["a"\] must be a string, a finite number/],
    [{ set: { a: undefined } }, /^set\["a"\] must be something/],
    [{ set: { '': 1 } }, /^a name in set must be/],
    [{ set: { fencing_token: 1 } }, /^set\["fencing_token"\] must be left out/],
    [{ set: [1] }, /^set must be/],
    [{ tokenField: '' }, /^tokenField must be/],
    [{ tokenColumn: 'x' }, /^tokenColumn is not an option/],
  ])('refuses %o at the call', (wrong, words) => {
    expect(violations({ ...right, ...wrong })).toEqual([expect.stringMatching(words)]);
  });

  it('refuses what is no write at all, and what is no client', () => {
    expect(violations(undefined)).toEqual([expect.stringMatching(/must be an object/)]);
    for (const none of [null, {}, { eval: 1 }])
      expect(violations(right, none)).toEqual([expect.stringMatching(/^client must be one of 'ioredis'/)]);
    expect(violations(right)).toBeUndefined();
  });

  it.each([undefined, null, [], ['stale'], 'OK', ['done', '']])(
    'does not take the answer %o for a yes',
    async (answer) => {
      expect(await outcome(fencedRedis({ eval: async () => answer } as never, right))).toMatchObject({
        _tag: 'UnfenceableResource',
      });
    },
  );
});
