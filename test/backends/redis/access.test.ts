import { execFile } from 'node:child_process';
import { inspect } from 'node:util';
import { isLeft, isRight } from 'fp-ts/lib/Either.js';
import { Redis } from 'ioredis';
import { firstValueFrom, retry, timer } from 'rxjs';
import { expect, test } from 'vitest';
import { redis } from '../../../src/backends/redis/index.js';
import { redisFromUrl } from '../../../src/backends/redis/options.js';
import { parseUrl } from '../../../src/backends/shared/url.js';
import { startRedis } from '../../../src/testing/servers/redis.js';
import { ask, client, enter, LOCK, request, startUsedRedis, waiting } from './support.js';

function optionsOf(text: string): ReturnType<typeof redisFromUrl> {
  const url = parseUrl(text);
  if (isLeft(url)) return url;
  return redisFromUrl(url.right);
}

test.each([
  ['redis://', {}],
  ['redis://host', { host: 'host' }],
  ['redis://:p%40ss@host:1234/3', { host: 'host', port: 1234, db: 3, password: 'p@ss' }],
  ['redis://me:pass@[::1]:1234', { host: '::1', port: 1234, username: 'me', password: 'pass' }],
  ['redis://host?waitReplicas=2', { host: 'host', waitReplicas: 2 }],
  ['rediss://host?ttlMs=500&namespace=x', { host: 'host', tls: true, ttlMs: 500, namespace: 'x' }],
  ['redis-cluster://a:1,b', { cluster: [{ host: 'a', port: 1 }, { host: 'b' }] }],
  ['redis-cluster://', { cluster: [{ host: 'localhost' }] }],
  [
    'rediss-cluster://me:pass@a?ttlMs=500',
    { cluster: [{ host: 'a' }], username: 'me', password: 'pass', tls: true, ttlMs: 500 },
  ],
])('reads %s', (text, expected) => {
  const options = optionsOf(text);
  expect(isRight(options) && JSON.parse(JSON.stringify(options.right))).toEqual(expected);
});

test.each([
  ['redis://a,b', /several hosts.*redis-cluster:/],
  ['redis-cluster://a/0', /no databases/],
  ['redis-clusters://a', /scheme/],
  ['redis://a/name', /index of a database/],
  ['redis://me:secret@a/x', /^((?!secret).)*$/],
  ['redis://a?foo=1', /foo is not an option/],
  ['http://a', /scheme/],
])('refuses %s', (text, message) => {
  const options = optionsOf(text);
  expect(isLeft(options) && options.left.message).toMatch(message);
});

test('options that contradict each other are refused at once', () => {
  expect(() => redis({ port: 0 })).toThrow(/port/);
  expect(() => redis({ db: -1 })).toThrow(/db/);
  for (const waitReplicas of [-1, 0.5, Number.NaN]) expect(() => redis({ waitReplicas })).toThrow(/waitReplicas/);
  expect(() => redis({ cluster: [] })).toThrow(/at least one node/);
  expect(() => redis({ cluster: [{ host: 'x', port: 0 }] })).toThrow(/cluster must be a list/);
  expect(() => redis({ cluster: [{ host: 'x', port: 1 }], db: 0 })).toThrow(/db must not be given beside cluster/);
  expect(() => redis({ host: 'x', client: () => new Redis() })).toThrow(/client says how to connect/);
});

test('a wrong password, a missing one and missing rights end what is subscribed to', async () => {
  await using server = await startRedis({ password: 'secret' });
  const failure = async (options: object): Promise<unknown> => {
    await using mine = client(server, options);
    return await firstValueFrom(
      mine.backend.enter(LOCK, { mode: 'exclusive', permits: 1, payload: new Uint8Array() }),
    ).then(
      () => 'admitted',
      (error) => error,
    );
  };
  const refused = await failure({ password: 'a wrong one' });
  expect(refused).toMatchObject({ _tag: 'AuthenticationFailed' });
  expect(inspect(refused, { depth: 9 })).not.toContain('a wrong one');
  expect(await failure({})).toMatchObject({ _tag: 'AuthenticationFailed' });
  expect(await failure({ username: 'nobody', password: 'secret' })).toMatchObject({ _tag: 'AuthenticationFailed' });
  await ask(server, 'ACL', 'SETUSER', 'poor', 'on', '>poor', '~*', '&*', '+@all', '-evalsha');
  expect(await failure({ username: 'poor', password: 'poor' })).toMatchObject({ _tag: 'PermissionDenied' });
  await ask(server, 'ACL', 'SETUSER', 'poor', '+@all', 'resetkeys', '~other*');
  expect(await failure({ username: 'poor', password: 'poor' })).toMatchObject({ _tag: 'PermissionDenied' });
  await ask(server, 'ACL', 'SETUSER', 'poor', '~*', 'resetchannels', '&other*');
  expect(await failure({ username: 'poor', password: 'poor' })).toMatchObject({ _tag: 'PermissionDenied' });
  expect(await failure({ password: 'secret', db: 99 })).toMatchObject({ _tag: 'InvalidOptions' });
});

test('a wrong password and a bare retry() make no storm of connections', async () => {
  await using server = await startRedis({ password: 'secret' });
  await using mine = client(server, { password: 'wrong' });
  const received = async (): Promise<number> =>
    Number(/total_connections_received:(\d+)/.exec(await ask(server, 'INFO', 'stats'))?.[1]);
  const before = await received();
  const trying = mine.backend.enter(LOCK, request()).pipe(retry()).subscribe();
  // What is counted is connections in two seconds.
  await firstValueFrom(timer(2_000));
  trying.unsubscribe();
  expect((await received()) - before).toBeLessThan(30);
});

test('the documented rights are enough', async () => {
  await using server = await startUsedRedis();
  const rights = ['+@read', '+@write', '+@pubsub', '+@scripting', '+info', '+time'];
  await ask(
    server,
    'ACL',
    'SETUSER',
    'able',
    'on',
    '>able',
    'resetchannels',
    '~{conclave:*',
    '&{conclave:*',
    ...rights,
  );
  await using mine = client(server, { username: 'able', password: 'able' });
  const stay = enter(mine.backend);
  await stay.admitted();
  stay.leave();
});

test('a password that is not asked for does no harm', async () => {
  await using server = await startUsedRedis();
  await using mine = client(server, { password: 'unasked' });
  const holder = enter(mine.backend);
  await holder.admitted();
  const next = enter(mine.backend);
  await waiting(next);
  holder.leave();
  await next.admitted(500);
  next.leave();
});

test('a client that was given is only a model: it is neither used nor closed', async () => {
  await using server = await startUsedRedis();
  const model = new Redis({ host: server.host, port: server.port, keyPrefix: 'mine:', lazyConnect: true });
  await model.set('a', 1);
  const backend = redis({ client: model, ttlMs: 1_000 });
  const stay = enter(backend);
  await stay.admitted();
  await backend.close();
  expect(await model.get('a')).toBe('1');
  model.disconnect();
});

test('a process that has closed its backend, or never reached the server, comes to its end', async () => {
  await using server = await startUsedRedis();
  const run = (body: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const code = `
        import { firstValueFrom, timer } from 'rxjs';
        import { redis } from './src/backends/redis/index.ts';
        const request = { mode: 'exclusive', permits: 1, payload: new Uint8Array() };
        const roster = { kind: 'lock', name: 'x' };
        ${body}
        console.log(process.getActiveResourcesInfo().filter((name) => /TCP|Timeout/.test(name)).join());
      `;
      execFile(
        process.execPath,
        ['--import', 'tsx', '--input-type=module', '-e', code],
        { timeout: 10_000 },
        (error, stdout, stderr) =>
          error === null ? resolve(stdout.trim()) : reject(new Error(stderr, { cause: error })),
      );
    });
  const connected = `redis({ host: '127.0.0.1', port: ${server.port}, ttlMs: 1000 })`;
  await run(`const b = ${connected}; await firstValueFrom(b.enter(roster, request)); await b.close();`);
  await run(`const b = ${connected}; b.session$.subscribe(); await b.close();`);
  await run(
    `const b = redis({ port: 1, ttlMs: 1000 }); b.session$.subscribe(); await firstValueFrom(timer(300)); await b.close();`,
  );
  expect(await ask(server, 'CLIENT', 'LIST')).not.toMatch(/\n.*\n.*cmd=(evalsha|subscribe)/);
});
