import { once } from 'node:events';
import { createRequire } from 'node:module';
import { createServer, type Server } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster, Redis } from 'ioredis';
import { Redis as Redis5 } from 'ioredis-5';
import { createClient, createCluster, createSentinel } from 'redis';
import {
  createClient as createClient5,
  createCluster as createCluster5,
  createSentinel as createSentinel5,
} from 'redis-5';
import { firstValueFrom } from 'rxjs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RedisClient, type RedisOptions, redis } from '../../../src/backends/redis/index.js';
import { nodeRedis$ } from '../../../src/backends/redis/node-redis.js';
import { connect } from '../../../src/connect.js';
import { until } from '../../../src/testing/processes/probes.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { ManglingProxy } from '../../hostile/mangling-proxy.js';
import { nothingEscapes, typed } from '../../hostile/support.js';
import { ask, client as clientOf, enter, entriesOnce, LOCK, startUsedRedis, TTL_MS, waiting } from './support.js';

nothingEscapes();

let server: TestServer;
beforeAll(async () => {
  server = await startUsedRedis();
});
afterAll(() => server[Symbol.asyncDispose]());

interface Place {
  readonly host: string;
  readonly port: number;
}

interface Said {
  readonly db?: number;
  readonly keyPrefix?: string;
  readonly username?: string;
  readonly password?: string;
}

type Make = (place: Place, said?: Said) => RedisClient;

/** Models of either library, each in both versions; `keyPrefix` is new in node-redis 6. */
const libraries: readonly (readonly [name: string, make: Make])[] = [
  ['ioredis 6', ({ host, port }, said) => new Redis({ host, port, ...said, lazyConnect: true })],
  ['ioredis 5', ({ host, port }, said) => new Redis5({ host, port, ...said, lazyConnect: true })],
  [
    'node-redis 6',
    ({ host, port }, { db = 0, ...said } = {}) => createClient({ socket: { host, port }, database: db, ...said }),
  ],
  [
    'node-redis 5',
    ({ host, port }, { db = 0, ...said } = {}) => createClient5({ socket: { host, port }, database: db, ...said }),
  ],
];

const nonsense = [
  ...['$2147483647\r\n', '*1000000000\r\n', '*-5\r\n', '$-7\r\n', ':x\r\n', '+\r\n', '-\r\n', '\r\n\r\n', '$5\r\nab'],
  ...['%1\r\n', '_\r\n', '=3\r\nxyz', '*1\r\n'.repeat(5_000), 'HTTP/1.1 200 OK\r\n\r\n', '<html>', '\xff\xff\0\0'],
].map((text) => Buffer.from(text, 'latin1'));

/** Accepts connections and answers each time the same, or never says a word. */
class Speaker implements AsyncDisposable {
  readonly host = '127.0.0.1';

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  static async start(answer?: Buffer): Promise<Speaker> {
    const server = createServer((socket) => {
      // Clients hang up as they please.
      socket.on('error', () => undefined);
      socket.on('data', () => answer !== undefined && socket.write(answer));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const address = server.address();
    if (typeof address !== 'object' || address === null) throw new Error('it has no port');
    return new Speaker(server, address.port);
  }

  async accepted(): Promise<void> {
    await once(this.server, 'connection');
  }

  connections(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.close();
  }
}

const loggedIn = (): Promise<string> => ask(server, 'CLIENT', 'LIST');

/** What both versions of ioredis have. */
interface IoredisModel extends RedisClient {
  select(db: number): Promise<unknown>;
  on(event: string, listener: () => void): unknown;
  once(event: string, listener: () => void): unknown;
  disconnect(): void;
}

const again = { db: 2, lazyConnect: true, retryStrategy: () => 10 };

const choosers: readonly (readonly [name: string, make: (place: Place) => IoredisModel])[] = [
  ['ioredis 6', ({ host, port }) => new Redis({ host, port, ...again })],
  ['ioredis 5', ({ host, port }) => new Redis5({ host, port, ...again })],
];

describe.each(choosers)('a client of %s that has chosen a database by a command', (_name, make) => {
  const event = (model: IoredisModel, name: 'close' | 'ready'): Promise<void> =>
    new Promise((resolve) => {
      model.once(name, resolve);
    });

  test('leads to that one, as it does itself, also while it is cut off and when it is connected again', async () => {
    const { host, port } = server;
    await using proxy = await startProxy({ host, port });
    const model = make(proxy);
    model.on('error', () => undefined);
    await model.select(5);
    await using theirs = clientOf(server, { db: 5 });
    const holder = enter(theirs.backend);
    await holder.admitted(3 * TTL_MS);
    const backends = [redis({ client: model, ttlMs: TTL_MS })];
    proxy.refuse();
    proxy.resetAll();
    await event(model, 'close');
    backends.push(redis({ client: model, ttlMs: TTL_MS }));
    await proxy.heal();
    await event(model, 'ready');
    backends.push(redis({ client: model, ttlMs: TTL_MS }));
    const others = backends.map((backend) => enter(backend));
    for (const other of others) expect(await waiting(other)).toMatchObject({ admitted: false });
    for (const stay of [...others, holder]) stay.leave();
    model.disconnect();
    await Promise.all(backends.map((backend) => backend.close()));
  });
});

describe.each(libraries)('a client of %s that was given', (name, make) => {
  const given = (said?: Said, options: RedisOptions = {}): RedisOptions => ({
    ttlMs: TTL_MS,
    ...options,
    client: make(server, said),
  });

  test('leads to its server, is not used itself, and leaves no connection behind', async () => {
    const before = (await loggedIn()).split('\n').length;
    const model = make(server);
    const backend = redis({ client: model, ttlMs: TTL_MS });
    await using theirs = clientOf(server);
    const holder = enter(backend);
    const place = await holder.admitted();
    const next = enter(theirs.backend);
    await waiting(next);
    holder.leave();
    expect((await next.admitted(500)).entry.token).toBeGreaterThan(place.entry.token);
    next.leave();
    expect('status' in model ? model.status : (model as unknown as { isOpen: boolean }).isOpen).toBe(
      'status' in model ? 'wait' : false,
    );
    await backend.close();
    await theirs.backend.close();
    await until(async () => (await loggedIn()).split('\n').length <= before, 2_000, 'no more connections than before');
  });

  test('that is cut off loses what it holds before the next is admitted, and takes part again by itself', async () => {
    await using proxy = await startProxy({ port: server.port });
    await using mine = redis({ client: make(proxy), ttlMs: TTL_MS, maxBackoffMs: 100 });
    await using theirs = clientOf(server);
    const roster = { kind: 'lock', name: `cut off from ${name}` } as const;
    const holder = enter(mine, roster);
    await holder.admitted();
    const next = enter(theirs.backend, roster);
    await waiting(next);
    const order: string[] = [];
    proxy.blackhole();
    await Promise.all([
      holder.lost().then(() => order.push('lost')),
      next.admitted().then(() => order.push('admitted')),
    ]);
    expect(order).toEqual(['lost', 'admitted']);
    await proxy.heal();
    const again = enter(mine, roster);
    next.leave();
    await again.admitted();
    proxy.resetAll();
    await again.admitted();
    again.leave();
  });

  test('is made by a function when it is first needed, and once', async () => {
    let made = 0;
    const backend = redis({
      ttlMs: TTL_MS,
      client: () => {
        made += 1;
        return make(server);
      },
    });
    expect(made).toBe(0);
    for (let time = 0; time < 2; time += 1) {
      const stay = enter(backend);
      await stay.admitted();
      stay.leave();
    }
    await backend.close();
    expect(made).toBe(1);
  });

  test('whose database is another one excludes nobody in this one', async () => {
    await using mine = redis(given({ db: 5 }));
    await using theirs = clientOf(server);
    const [one, other] = [enter(mine), enter(theirs.backend)];
    await Promise.all([one.admitted(3 * TTL_MS), other.admitted()]);
    for (const stay of [one, other]) stay.leave();
  });

  test('whose database the server does not have is told so', async () => {
    await using mine = redis(given({ db: 99 }));
    expect(await enter(mine).lost()).toMatchObject({ _tag: 'InvalidOptions' });
  });

  test('whose password is wrong is told so, without the password', async () => {
    await ask(server, 'ACL', 'SETUSER', 'her', 'reset', 'on', '>right', '~*', '&*', '+@all');
    await using mine = redis(given({ username: 'her', password: 'wrong-one' }));
    const failure = await enter(mine).lost();
    expect(failure).toMatchObject({ _tag: 'AuthenticationFailed' });
    expect(JSON.stringify(failure)).not.toContain('wrong-one');
    await using able = redis(given({ username: 'her', password: 'right' }));
    const stay = enter(able);
    await stay.admitted();
    stay.leave();
  });

  test('whose user needs no password is logged in as that user', async () => {
    await ask(server, 'ACL', 'SETUSER', 'open', 'reset', 'on', 'nopass', '~*', '&*', '+@all');
    await using mine = redis(given({ username: 'open' }));
    const stay = enter(mine);
    await stay.admitted();
    expect(await loggedIn()).toContain('user=open');
    stay.leave();
  });

  test('whose password is not asked for does no harm', async () => {
    await using mine = redis(given({ password: 'unasked' }));
    const stay = enter(mine);
    await stay.admitted();
    stay.leave();
  });

  test.each([
    ['greets', { password: 'secret' }],
    ['is asked', {}],
  ])('ends its connections to a server that is silent when it %s, also while they are made', async (_, said) => {
    await using silent = await Speaker.start();
    for (const elapsedMs of [undefined, 0, 20]) {
      const backend = redis({ client: make(silent, said), ttlMs: 60_000 });
      backend.session$.subscribe();
      if (elapsedMs === undefined) await silent.accepted();
      else await delay(elapsedMs);
      await backend.close();
      await until(async () => (await silent.connections()) === 0, 1_000, 'no connection');
    }
  });

  test('gives up a server that accepts connections and is silent, and tries it again', async () => {
    await using silent = await Speaker.start();
    await using mine = redis({ ...given({ password: 'secret' }), client: make(silent, { password: 'secret' }) });
    await firstWithin(
      mine.session$,
      (session) => session.state === 'connecting' && session.attempt > 1,
      4 * TTL_MS,
      'two attempts',
    );
  });

  if (name !== 'node-redis 5')
    test('whose keyPrefix is another one is apart from the others, in keys and channels', async () => {
      await using dev = redis(given({ keyPrefix: 'dev:' }));
      await using prod = redis(given({ keyPrefix: 'prod:' }));
      await using again = redis(given({ keyPrefix: 'dev:' }));
      const [inDev, inProd] = [enter(dev), enter(prod)];
      await Promise.all([inDev.admitted(3 * TTL_MS), inProd.admitted(3 * TTL_MS)]);
      const next = enter(again);
      expect(await waiting(next)).toMatchObject({ admitted: false });
      expect(await entriesOnce(again)).toHaveLength(2);
      expect(await ask(server, 'KEYS', 'dev:{conclave:0}:s')).toContain('dev:');
      expect(await ask(server, 'PUBSUB', 'CHANNELS', 'dev:{conclave:0}:c:*')).toContain('dev:');
      inDev.leave();
      await next.admitted(500);
      for (const stay of [next, inProd]) stay.leave();
    });

  if (name !== 'node-redis 5')
    test('whose keyPrefix its user is confined to needs no other rights, and is told which it lacks', async () => {
      const rights = ['+@read', '+@write', '+@pubsub', '+@scripting', '+info', '+time'];
      const allow = (keys: string, channels: string): Promise<string> =>
        ask(server, 'ACL', 'SETUSER', 'dev', 'reset', 'on', '>dev', keys, channels, ...rights);
      const said = { keyPrefix: 'dev2:', username: 'dev', password: 'dev' };
      await allow('~dev2:{conclave:*', '&other');
      await using poor = redis(given(said));
      expect(await enter(poor).lost()).toMatchObject({
        _tag: 'PermissionDenied',
        message: expect.stringContaining('~dev2:{conclave:* &dev2:{conclave:*'),
      });
      await allow('~dev2:{conclave:*', '&dev2:{conclave:*');
      await using mine = redis(given(said));
      const stay = enter(mine);
      await stay.admitted(3 * TTL_MS);
      stay.leave();
    });
});

/** As in a project of which a part has an ioredis of its own. */
function anotherCopy(): typeof import('ioredis') {
  const require = createRequire(import.meta.url);
  const loaded = Object.keys(require.cache).filter((path) => /[\\/]ioredis[\\/]/.test(path));
  for (const path of loaded) Reflect.deleteProperty(require.cache, path);
  return require('ioredis');
}

const { Redis: AnotherRedis } = anotherCopy();

test.each<readonly [name: string, make: Make]>([
  ...libraries,
  ['another copy of ioredis 6', ({ host, port }) => new AnotherRedis({ host, port, lazyConnect: true })],
])('a client of %s that is answered nonsense is told a typed error, and nothing escapes', async (_name, make) => {
  expect(AnotherRedis).not.toBe(Redis);
  const told = nonsense.map(async (bytes) => {
    await using speaker = await Speaker.start(bytes);
    await using mine = redis({ client: make(speaker), ttlMs: TTL_MS, failFastMs: 500 });
    expect(typed(await enter(mine).lost())).toBeInstanceOf(Error);
  });
  await Promise.all(told);
});

test('what users do in the next tick is theirs, also when they are told that ioredis stumbled over a reply', async () => {
  await using proxy = await ManglingProxy.start(server.port);
  const place = { host: server.host, port: proxy.port };
  await using mine = redis({ client: new Redis5({ ...place, lazyConnect: true }), ttlMs: TTL_MS });
  await firstWithin(mine.session$, ({ state }) => state === 'live', 3_000, 'a session');
  const { nextTick } = process;
  const suspended = firstWithin(mine.session$, ({ state }) => state === 'suspended', 3_000, 'a suspension');
  const seen: boolean[] = [];
  mine.session$.subscribe(() => seen.push(process.nextTick === nextTick));
  proxy.mangle = (direction, bytes) => (direction === 'toClient' ? { bytes: Buffer.from('\xff\xff') } : { bytes });
  await suspended;
  expect(seen).toEqual([true, true]);
});

test.each([
  ['redis', '?client=node-redis'],
  ['redis', '?client=ioredis'],
])('%s:// is used with the library that the URL names, and its user: %s', async (scheme, query) => {
  await ask(server, 'ACL', 'SETUSER', 'anyone', 'reset', 'on', 'nopass', '~*', '&*', '+@all');
  await using mine = connect(`${scheme}://anyone@${server.host}:${server.port}${query}`, { ttlMs: TTL_MS });
  const stay = enter(mine);
  await stay.admitted();
  expect(await loggedIn()).toContain('user=anyone');
  stay.leave();
});

test('connections of node-redis share the class that it makes of all commands, which takes long', async () => {
  const make = await firstValueFrom(nodeRedis$);
  const [one, other] = [1, 2].map((port) => make({ socket: { port } }));
  expect(one?.constructor).toBe(other?.constructor);
});

const nowhere = { host: '127.0.0.1', port: 1 };
const seeds = [nowhere];

test.each<[what: string, client: RedisClient | (() => RedisClient), words: RegExp]>([
  [
    'a replica, of ioredis',
    new Redis({ sentinels: seeds, name: 'm', role: 'slave', lazyConnect: true }),
    /role is slave/,
  ],
  ['reading only, of ioredis', new Redis({ ...nowhere, readOnly: true, lazyConnect: true }), /readOnly is true/],
  ['reading only, of ioredis 5', new Redis5({ ...nowhere, readOnly: true, lazyConnect: true }), /readOnly is true/],
  ['reading only, of node-redis', createClient({ socket: nowhere, readonly: true }), /readonly is true/],
  ['SRV records', new Cluster(seeds, { useSRVRecords: true, lazyConnect: true }), /useSRVRecords/],
  ['a login in one node', new Cluster(['redis://me:pass@h:1'], { lazyConnect: true }), /in redisOptions/],
  ['a login in one root node', createCluster({ rootNodes: [{ url: 'redis://me:pass@h:1' }] }), /in defaults/],
  ['a login in one root node of 5', createCluster5({ rootNodes: [{ url: 'rediss://h:1' }] }), /in defaults/],
  ['a slot', new Cluster(seeds, { keyPrefix: '{a}', lazyConnect: true }), /without \{/],
  ['a slot, of node-redis', createCluster({ rootNodes: [{ socket: nowhere }], keyPrefix: '{a}' }), /without \{/],
  ['sentinels of node-redis', createSentinel({ name: 'm', sentinelRootNodes: seeds }), /option sentinels/],
  ['sentinels of node-redis 5', createSentinel5({ name: 'm', sentinelRootNodes: seeds }) as never, /option sentinels/],
  ['anything else', { duplicate: () => undefined }, /one of ioredis, or one of createClient/],
])('a client for %s is refused, in words that say what to do', (_, client, words) => {
  expect(() => redis({ client })).toThrow(words);
  expect(() => redis({ client })).toThrow(expect.objectContaining({ _tag: 'InvalidOptions' }));
});

test('a function that makes a client that cannot be used is told of when it is first needed', async () => {
  await using mine = redis({ client: () => new Redis({ ...nowhere, readOnly: true, lazyConnect: true }) });
  expect(await enter(mine).lost()).toMatchObject({ _tag: 'InvalidOptions' });
});

test.each<[options: string, make: () => RedisClient]>([
  ['numbers as text', () => new Redis({ port: server.port, lazyConnect: true, stringNumbers: true })],
  ['haste', () => new Redis({ port: server.port, lazyConnect: true, commandTimeout: 1, connectTimeout: 1 })],
  ['RESP3', () => new Redis({ port: server.port, lazyConnect: true, protocol: 3, replyMapping: 'resp3' })],
  ['pipelines', () => new Redis({ port: server.port, lazyConnect: true, enableAutoPipelining: true })],
  ['retries', () => new Redis({ port: server.port, lazyConnect: true, reconnectOnError: () => 2 })],
  ['a name', () => new Redis({ port: server.port, lazyConnect: true, connectionName: 'mine' })],
  ['a cache', () => createClient({ url: server.url, RESP: 3, clientSideCache: { ttl: 0 } })],
  ['pings', () => createClient({ url: server.url, pingInterval: 5 })],
  ['idle sockets', () => createClient({ socket: { port: server.port, socketTimeout: 50 } })],
  ['a short queue', () => createClient({ url: server.url, commandsQueueMaxLength: 1 })],
  ['a name, in node-redis', () => createClient({ url: server.url, name: 'mine' })],
  [
    'mapped types',
    () => createClient({ url: server.url, commandOptions: { typeMapping: { 36: Buffer, 58: String } } }),
  ],
  ['an aborted signal', () => createClient({ url: server.url, commandOptions: { abortSignal: AbortSignal.abort() } })],
  ['invalidations', () => createClient5({ url: server.url, RESP: 3, emitInvalidate: true })],
  ['an offline queue', () => createClient5({ url: server.url, disableOfflineQueue: false })],
])('what a client says for its own commands changes nothing: %s', async (_, make) => {
  await using mine = redis({ client: make(), ttlMs: TTL_MS });
  const states: string[] = [];
  mine.session$.subscribe(({ state }) => states.push(state));
  const holder = enter(mine);
  await holder.admitted();
  const payload = new Uint8Array([0, 255, 128, 13, 10]);
  await firstValueFrom(mine.swap('odd', 'any', payload));
  expect((await firstValueFrom(mine.cell('odd')))?.value).toEqual(payload);
  expect(await entriesOnce(mine, LOCK)).toHaveLength(1);
  expect(states).not.toContain('suspended');
  holder.leave();
});
