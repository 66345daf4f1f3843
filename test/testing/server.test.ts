import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import mysql from 'mysql2/promise';
import { createClient } from 'node-zookeeper-client';
import pg from 'pg';
import { expect, test } from 'vitest';
import { askHttp } from '../../src/testing/servers/ask.js';
import { startEtcd } from '../../src/testing/servers/etcd.js';
import { startMariaDb } from '../../src/testing/servers/mariadb.js';
import { loopback } from '../../src/testing/servers/ports.js';
import { startPostgres } from '../../src/testing/servers/postgres.js';
import { askRedis, startRedis } from '../../src/testing/servers/redis.js';
import { onFreePorts, startServer, type TestServer } from '../../src/testing/servers/server.js';
import { askZooKeeper, startZooKeeper } from '../../src/testing/servers/zookeeper.js';
import { accepts } from '../support/accepts.js';

interface Case {
  readonly start: () => Promise<TestServer>;
  /** Rejects when the server does not answer in time. */
  readonly ask: (server: TestServer) => Promise<unknown>;
  readonly write: (server: TestServer) => Promise<void>;
  readonly holdsWhatWasWritten: (server: TestServer) => Promise<boolean>;
}

const key = Buffer.from('key').toString('base64');
const value = Buffer.from('value').toString('base64');

const cases: Record<string, Case> = {
  redis: {
    start: () => startRedis({ appendonly: true, appendfsync: 'always' }),
    ask: ({ url }) => askRedis(url, 'PING'),
    write: async ({ url }) => {
      await askRedis(url, 'SET', 'key', 'value');
    },
    holdsWhatWasWritten: async ({ url }) => (await askRedis(url, 'GET', 'key')).includes('value'),
  },
  etcd: {
    start: () => startEtcd(),
    ask: ({ port }) => askHttp(`http://${loopback}:${port}/health`),
    write: async ({ port }) => {
      await askHttp(`http://${loopback}:${port}/v3/kv/put`, { key, value });
    },
    holdsWhatWasWritten: async ({ port }) =>
      (await askHttp(`http://${loopback}:${port}/v3/kv/range`, { key })).includes(value),
  },
  zookeeper: {
    start: () => startZooKeeper(),
    ask: (server) => askZooKeeper(server, 'srvr'),
    write: (server) => withZooKeeper(server, (client, done) => client.create('/key', (error) => done(error))),
    holdsWhatWasWritten: async (server) => /Node count: 6/.test(await askZooKeeper(server, 'srvr')),
  },
  postgres: {
    start: startPostgres,
    ask: (server) => askPostgres(server, 'SELECT'),
    write: async (server) => {
      await askPostgres(server, 'CREATE TABLE written ()');
    },
    holdsWhatWasWritten: async (server) =>
      (await askPostgres(server, "SELECT FROM pg_tables WHERE tablename = 'written'")) > 0,
  },
  mariadb: {
    start: startMariaDb,
    ask: (server) => askMariaDb(server, 'SELECT 1'),
    write: async (server) => {
      await askMariaDb(server, 'CREATE TABLE written (a int)');
    },
    holdsWhatWasWritten: async (server) => (await askMariaDb(server, 'SHOW TABLES')) > 0,
  },
};

test.each(Object.entries(cases))('%s stops answering while it is paused', async (_, { start, ask }) => {
  await using server = await start();
  await ask(server);
  await server.pause();
  await expect(ask(server)).rejects.toThrow();
  server.resume();
  await ask(server);
});

test('what has been disposed of stays so, and nobody is left with a server that nothing ends', async () => {
  const server = await startRedis();
  const restarted = server.restart().catch((error: unknown) => error);
  await Promise.all([server[Symbol.asyncDispose](), server[Symbol.asyncDispose]()]);
  expect(String(await restarted)).toMatch(/has been disposed of|before it answered/);
  await server[Symbol.asyncDispose]();
  await expect(server.start()).rejects.toThrow(/has been disposed of: start another one/);
  expect(() => server.pid).toThrow(/does not run/);
  expect(existsSync(server.dataDir)).toBe(false);
});

test.each(Object.entries(cases))('%s keeps its port and, unless told otherwise, its data', async (_, each) => {
  await using server = await each.start();
  const { port, pid } = server;
  await each.write(server);
  await server.restart();
  expect(server.port).toBe(port);
  expect(server.pid).not.toBe(pid);
  expect(await each.holdsWhatWasWritten(server)).toBe(true);
  await server.kill();
  expect(await accepts(port)).toBe(false);
  await server.start();
  expect(await each.holdsWhatWasWritten(server)).toBe(true);
  await server.restart({ keepData: false });
  expect(await each.holdsWhatWasWritten(server)).toBe(false);
});

test.each(Object.entries(cases))(
  '%s is gone with its data when it is disposed of, even paused',
  async (_, { start }) => {
    const server = await start();
    const { pid, port, dataDir } = server;
    expect(existsSync(dataDir)).toBe(true);
    await server.pause();
    await server[Symbol.asyncDispose]();
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    expect(await accepts(port)).toBe(false);
    expect(existsSync(dirname(dataDir))).toBe(false);
  },
);

test.each([
  ['redis', startRedis],
  ['postgres', startPostgres],
])('%s that is paused can be stopped', async (_, start) => {
  await using server = await start();
  await server.pause();
  await server.stop();
  expect(() => server.pid).toThrow(/does not run: call start\(\) first/);
});

test('PostgreSQL is stopped, though a client is connected', async () => {
  await using server = await startPostgres();
  const client = new pg.Client(server.url);
  await client.connect();
  const cut = new Promise((resolve) => client.on('error', resolve));
  await server.stop();
  expect(String(await cut)).toMatch(/administrator command/);
  expect(() => server.pid).toThrow(/does not run/);
});

test('a server that cannot start says why', async () => {
  await expect(startRedis({ args: ['--no-such-setting', '1'] })).rejects.toThrow(
    /redis at 127\.0\.0\.1:\d+ ended with code 1 before it answered; its log ends with:[\s\S]*no-such-setting/,
  );
});

test('a program that is missing is named', async () => {
  const spec = { product: 'nothing', url: '', port: 1, answers: async () => true } as const;
  await expect(startServer({ ...spec, command: () => ['no-such-server'] })).rejects.toThrow(/no-such-server ENOENT/);
});

test('a port that something else took is replaced by another', async () => {
  await using _stranger = createServer();
  const tried: number[] = [];
  await using server = await onFreePorts(async (ports) => {
    const port = await ports.take();
    tried.push(port);
    if (tried.length === 1) await new Promise<void>((done) => _stranger.listen(port, loopback, done));
    const answers = async (): Promise<boolean> => tried.length > 1 && accepts(port);
    const command = (dataDir: string) => ['redis-server', '--port', `${port}`, '--dir', dataDir] as const;
    return startServer({ product: 'redis', url: '', port, ports, answers, command });
  });
  expect(tried).toHaveLength(2);
  expect(server.port).toBe(tried[1]);
});

test('Redis with a login', async () => {
  await using server = await startRedis({ username: 'bob', password: 'pass/word' });
  expect(server.url).toMatch(/^redis:\/\/bob:pass%2Fword@127\.0\.0\.1:\d+$/);
  expect(await askRedis(server.url, 'ACL', 'WHOAMI')).toContain('bob');
  await expect(askRedis(server.url.replace('word', ''), 'PING')).rejects.toThrow(/refused the login/);
});

/** Resolves with the number of rows. */
async function askPostgres({ url }: TestServer, query: string): Promise<number> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  await client.connect();
  try {
    return (await client.query(query)).rowCount ?? 0;
  } finally {
    await client.end();
  }
}

/** Resolves with the number of rows. */
async function askMariaDb({ url }: TestServer, query: string): Promise<number> {
  const client = await mysql.createConnection({ uri: url, connectTimeout: 2_000 });
  try {
    const [rows] = await client.query(query);
    return Array.isArray(rows) ? rows.length : 0;
  } finally {
    await client.end();
  }
}

function withZooKeeper(
  { host, port }: TestServer,
  work: (client: ReturnType<typeof createClient>, done: (error: unknown) => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const client = createClient(`${host}:${port}`);
    client.once('connected', () => {
      work(client, (error) => {
        client.close();
        if (error) reject(error);
        else resolve();
      });
    });
    client.connect();
  });
}
