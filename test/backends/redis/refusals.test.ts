import { firstValueFrom } from 'rxjs';
import { expect, test } from 'vitest';
import { failureOf } from '../../../src/backends/redis/failures.js';
import type { RedisOptions } from '../../../src/backends/redis/index.js';
import { serverOf } from '../../../src/backends/redis/server.js';
import { until } from '../../../src/testing/processes/probes.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { startRedis } from '../../../src/testing/servers/redis.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy } from '../../../src/testing/servers/tcp-proxy.js';
import {
  ask,
  client,
  enter,
  entriesOnce,
  LOCK,
  request,
  startReplicaOf,
  startUsedRedis,
  TTL_MS,
  untilFollowed,
  waiting,
} from './support.js';

const DOCUMENTED = ['~{conclave:*', '&{conclave:*', '+@read', '+@write', '+@pubsub', '+@scripting', '+info', '+time'];

/** Lets `poor` do what is documented, and then as `rules` say. */
async function poor(server: TestServer, ...rules: string[]): Promise<{ username: string; password: string }> {
  const reply = await ask(server, 'ACL', 'SETUSER', 'poor', 'reset', 'on', '>poor', ...DOCUMENTED, ...rules);
  expect(reply).toContain('OK');
  return { username: 'poor', password: 'poor' };
}

async function failureOfLock(target: { host: string; port: number }, options: RedisOptions): Promise<unknown> {
  await using mine = client(target, options);
  return await firstValueFrom(mine.backend.enter(LOCK, request())).then(
    () => 'it stands in line',
    (error) => error,
  );
}

async function connectionsReceived(server: TestServer): Promise<number> {
  return Number(/total_connections_received:(\d+)/.exec(await ask(server, 'INFO', 'stats'))?.[1]);
}

test.each<{ what: string; rules: string[]; named: RegExp; options?: RedisOptions }>([
  { what: 'INFO', rules: ['-info'], named: /INFO/ },
  { what: 'SUBSCRIBE', rules: ['-subscribe'], named: /SUBSCRIBE/ },
  { what: 'a session channel', rules: ['resetchannels', '&other'], named: /SUBSCRIBE .*&\{conclave:\*/ },
  { what: 'the keys of the namespace', rules: ['resetkeys', '~mine:*'], named: /EVALSHA .*~\{conclave:\*/ },
  { what: 'EVALSHA', rules: ['-evalsha'], named: /EVALSHA/ },
  { what: 'a command of the script that opens', rules: ['-zadd'], named: /ZADD/ },
  { what: 'TIME within scripts', rules: ['-time'], named: /TIME/ },
  { what: 'a command of the script that enters', rules: ['-sadd'], named: /SADD/ },
  { what: 'another one of it', rules: ['-zrank'], named: /ZRANK/ },
  { what: 'PUBLISH within scripts', rules: ['-publish'], named: /PUBLISH/ },
  { what: 'SELECT', rules: [], named: /SELECT .*\+select/, options: { db: 1 } },
  { what: 'WAIT', rules: [], named: /WAIT .*\+wait/, options: { waitReplicas: 1 } },
])(
  'who may not use $what is told that at once, and what to allow to whom and where',
  async ({ rules, named, options }) => {
    await using server = await startRedis();
    const login = await poor(server, ...rules);
    const failure = await failureOfLock(server, { ...login, ...options });
    expect(failure).toMatchObject({ _tag: 'PermissionDenied' });
    const { message } = failure as Error;
    expect(message).toMatch(named);
    expect(message).toContain(`redis at ${server.host}:${server.port}`);
    expect(message).toContain('the user "poor"');
  },
);

test('a script that is not in the cache of a server, and may not be sent, is told of', async () => {
  await using server = await startRedis();
  const login = await poor(server, '-eval');
  expect(await failureOfLock(server, login)).toMatchObject({
    _tag: 'PermissionDenied',
    message: expect.stringContaining('EVAL was refused to the user "poor"'),
  });
});

test.each(['INFO', 'SUBSCRIBE', 'EVALSHA', 'ZADD', 'SADD', 'PUBLISH'])(
  'a server on which %s was renamed is told of as such, not as too old',
  async (command) => {
    await using server = await startRedis({ args: ['--rename-command', command, ''] });
    const failure = await failureOfLock(server, {});
    expect(failure).toMatchObject({ _tag: 'NotSupported' });
    const { message } = failure as Error;
    expect(message).toContain(
      `the server at ${server.host}:${server.port}, which does not know ${command}: it was renamed`,
    );
    expect(message).not.toContain('6.2');
  },
);

test('what a refused script had written before keeps nobody waiting', async () => {
  await using server = await startUsedRedis();
  for (const denied of ['-zrank', '-publish']) {
    const login = await poor(server, denied);
    await using mine = client(server, login);
    await firstWithin(mine.backend.session$, ({ state }) => state === 'live', 2_000, 'a session');
    await expect(firstValueFrom(mine.backend.enter(LOCK, request()))).rejects.toMatchObject({
      _tag: 'PermissionDenied',
    });
    await using theirs = client(server);
    const stay = enter(theirs.backend);
    await stay.admitted(500);
    stay.leave();
  }
});

test('one who may not follow the entries of a roster is told that, and what is held beside it stays held', async () => {
  await using server = await startUsedRedis();
  const login = await poor(server);
  await using mine = client(server, login);
  const place = await enter(mine.backend).admitted();
  await poor(server, 'resetchannels', '&{conclave:0}:c:*');
  await expect(firstValueFrom(mine.backend.entries(LOCK))).rejects.toMatchObject({
    _tag: 'PermissionDenied',
    message: expect.stringContaining('SUBSCRIBE was refused'),
  });
  await expect(firstValueFrom(mine.backend.enter({ kind: 'lock', name: 'b' }, request()))).rejects.toMatchObject({
    _tag: 'PermissionDenied',
    message: expect.stringContaining('PUBLISH was refused'),
  });
  // What is seen is that nothing happens for longer than the ttl.
  await new Promise((resolve) => setTimeout(resolve, 1.5 * TTL_MS));
  expect(place.isValid()).toBe(true);
});

test('who waits in line and may not ask for its place any more is told that, and what is held beside it stays held', async () => {
  await using server = await startUsedRedis();
  const login = await poor(server);
  await using mine = client(server, login);
  await using theirs = client(server);
  const place = await enter(mine.backend, { kind: 'lock', name: 'b' }).admitted();
  const holder = enter(theirs.backend);
  await holder.admitted();
  const next = enter(mine.backend);
  const { entry } = await waiting(next);
  await poor(server, '-zrank');
  // As when its owner must ask, since whoever told it could not know whether it may be admitted.
  const [sessionId] = entry.id.split('.');
  await ask(server, 'PUBLISH', `{conclave:0}:c:${sessionId}`, `${entry.id}:`);
  expect(await next.lost(2_000)).toMatchObject({ _tag: 'PermissionDenied' });
  await new Promise((resolve) => setTimeout(resolve, 1.5 * TTL_MS));
  expect(place.isValid()).toBe(true);
  await poor(server);
  holder.leave();
  expect(await entriesOnce(theirs.backend)).toEqual([]);
});

test('a password that is changed later is told of, ends what is held in time, and then whoever asks', async () => {
  await using server = await startUsedRedis();
  const login = await poor(server);
  await using mine = client(server, login);
  const stay = enter(mine.backend);
  await stay.admitted();
  await ask(server, 'ACL', 'SETUSER', 'poor', 'resetpass', '>other');
  const ended = new Promise((error) => mine.backend.session$.subscribe({ error }));
  await ask(server, 'CLIENT', 'KILL', 'USER', 'poor');
  expect(await stay.lost(TTL_MS + 500)).toMatchObject({ _tag: 'PlaceLost' });
  expect(mine.faults).toContainEqual(expect.objectContaining({ _tag: 'AuthenticationFailed' }));
  expect(await ended).toMatchObject({ _tag: 'AuthenticationFailed' });
});

test('a master that is made a replica is left at once, and the endpoint followed to the new one', async () => {
  await using first = await startUsedRedis();
  await using second = await startReplicaOf(first);
  const route = { port: first.port };
  await using access = await startProxy(route);
  await using mine = client(access, { ttlMs: 5_000 });
  const place = await enter(mine.backend).admitted(6_000);
  await untilFollowed(first);
  await ask(second, 'REPLICAOF', 'NO', 'ONE');
  route.port = second.port;
  // Its clients stay connected to it.
  await ask(first, 'REPLICAOF', second.host, `${second.port}`);
  const refused = await firstWithin(
    mine.backend.faults$,
    ({ message }) => /READONLY/.test(message),
    2_000,
    'its refusal',
  );
  expect(refused).toMatchObject({ _tag: 'Unavailable' });
  await firstWithin(mine.backend.session$, ({ state }) => state === 'live', 2_000, 'the session at the new master');
  expect(await ask(second, 'CLIENT', 'LIST')).toMatch(/cmd=eval/);
  expect(place.isValid()).toBe(true);
});

test.each(['yes', 'no'])(
  'a server that stays a replica (serving stale data: %s) is asked again with back-off, over new connections',
  async (stale) => {
    await using server = await startUsedRedis();
    await using mine = client(server, { ttlMs: 10_000 });
    await firstWithin(mine.backend.session$, ({ state }) => state === 'live', 2_000, 'a session');
    await ask(server, 'CONFIG', 'SET', 'replica-serve-stale-data', stale);
    const before = await connectionsReceived(server);
    await ask(server, 'REPLICAOF', '127.0.0.1', '1');
    await firstWithin(mine.backend.session$, ({ state }) => state === 'suspended', 3_000, 'a suspension');
    const told = mine.faults.length;
    // What is counted is what is tried in two seconds.
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const tried = (await connectionsReceived(server)) - before;
    expect(tried).toBeGreaterThan(2);
    expect(tried).toBeLessThan(20);
    expect(mine.faults.length - told).toBeLessThan(2);
    await ask(server, 'REPLICAOF', 'NO', 'ONE');
    await firstWithin(mine.backend.session$, ({ state }) => state === 'live', 3_000, 'the session after its promotion');
  },
);

test('no session is opened at a replica, which is told of, and one is opened when it is promoted', async () => {
  await using server = await startRedis({ args: ['--replicaof', '127.0.0.1', '1'] });
  await using mine = client(server);
  const told = await firstWithin(
    mine.backend.session$,
    (session) => session.state === 'connecting' && session.attempt > 2,
    3_000,
    'a few attempts',
  );
  expect(told).toMatchObject({ cause: { message: expect.stringContaining('is a replica') } });
  await ask(server, 'REPLICAOF', 'NO', 'ONE');
  await firstWithin(mine.backend.session$, ({ state }) => state === 'live', 3_000, 'a session');
});

test('a master that has lost its replicas and must not write meets no storm, and goes on when they are back', async () => {
  await using server = await startUsedRedis();
  await using mine = client(server, { ttlMs: 10_000 });
  const following = mine.backend.registered('group').subscribe();
  await firstWithin(mine.backend.session$, ({ state }) => state === 'live', 2_000, 'a session');
  await ask(server, 'CONFIG', 'SET', 'min-replicas-to-write', '1');
  await firstWithin(mine.backend.faults$, ({ message }) => /NOREPLICAS/.test(message), 3_000, 'its refusal');
  const before = await connectionsReceived(server);
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  expect((await connectionsReceived(server)) - before).toBeLessThan(20);
  await ask(server, 'CONFIG', 'SET', 'min-replicas-to-write', '0');
  await firstWithin(mine.backend.session$, ({ state }) => state === 'live', 3_000, 'the session');
  following.unsubscribe();
});

test('want of memory is told while it lasts, and ends nothing', async () => {
  await using server = await startUsedRedis();
  await using mine = client(server, { ttlMs: 5_000 });
  await firstWithin(mine.backend.session$, ({ state }) => state === 'live', 2_000, 'a session');
  await ask(server, 'CONFIG', 'SET', 'maxmemory', '1');
  const stay = enter(mine.backend);
  await until(async () => mine.faults.filter(({ message }) => /OOM/.test(message)).length > 1, 3_000, 'two faults');
  await ask(server, 'CONFIG', 'SET', 'maxmemory', '0');
  await stay.admitted(3_000);
  stay.leave();
});

test.each([
  ['redis_version:6.0.16', true, true],
  ['redis_version:6.2.0', false, true],
  ['redis_version:7.0.15', false, false],
  ['redis_version:10.1.0', false, false],
  ['role:master', false, false],
])('of a server that says %s, only what it says is held against it', (info, isTooOld, isTooOldForClusters) => {
  const server = serverOf(`# Server\r\n${info}\r\n`, { now: () => 0 });
  expect(server).toMatchObject({ isTooOld, isTooOldForClusters });
});

const LUA = "local PUBLISH = 'SPUBLISH'\nreturn redis.call('SADD', 'a', 'b')\nreturn redis.call(PUBLISH, 'a', '')";

test.each([
  [
    "ERR Error running script (call to f_0a): @user_script:2: @user_script: 2: -READONLY You can't write against a read only replica.",
    'Unavailable',
    'READONLY',
  ],
  [
    "ERR Error running script (call to f_0a): @user_script:2: @user_script: 2: The user executing the script can't run this command or subcommand",
    'PermissionDenied',
    'SADD was refused',
  ],
  [
    "ERR The user executing the script can't publish to the channel mentioned in the command script: 0a, on @user_script:3.",
    'PermissionDenied',
    'SPUBLISH was refused',
  ],
  [
    "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments script: 0a, on @user_script:2.",
    'PermissionDenied',
    'SADD was refused',
  ],
  [
    "ERR ACL failure in script: User me has no permissions to run the 'sadd' command script: 0a, on @user_script:2.",
    'PermissionDenied',
    'SADD was refused',
  ],
  [
    "NOPERM User me has no permissions to run the 'cluster|slots' command",
    'PermissionDenied',
    'CLUSTER|SLOTS was refused',
  ],
  ['ERR unknown command `EVALSHA`, with args beginning with: `0a`, ', 'NotSupported', 'does not know EVALSHA'],
  [
    'ERR Error running script (call to f_0a): @user_script:2: @user_script: 2: Unknown Redis command called from Lua script',
    'NotSupported',
    'does not know SADD',
  ],
  ['ERR SELECT is not allowed in cluster mode', 'NotSupported', 'redis-cluster:'],
  ["OOM command not allowed when used memory > 'maxmemory'.", 'Unavailable', 'OOM'],
  [
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    'Unavailable',
    'MISCONF',
  ],
  ['BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.', 'Unavailable', 'BUSY'],
  ['ERR max number of clients reached', 'Unavailable', 'max number'],
])('of whatever version, "%s" is %s', (message, tag, words) => {
  const asked = { operation: 'enter', address: 'here:1', user: 'me', rights: '+@all', lua: LUA };
  const failure = failureOf(Object.assign(new Error(message), { name: 'ReplyError' }), asked);
  expect(failure).toMatchObject({ _tag: tag, message: expect.stringContaining(words) });
});
