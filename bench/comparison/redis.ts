import { createHash, randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { Mutex } from 'redis-semaphore';
import Redlock from 'redlock';
import { ENTER, LEAVE, OPEN, type Script } from '../../src/backends/redis/scripts.js';
import { askRedis, startRedis } from '../../src/testing/servers/redis.js';
import { redisCounts } from '../../test/support/counters.js';
import { ours } from './conclave.js';
import { type Client, overClients } from './over-clients.js';
import type { Store } from './store.js';

const TTL_MS = 10_000;
/** redlock's `acquire` extends nothing, and nothing may expire while it is measured. */
const REDLOCK_TTL_MS = 60_000;

export const redis: Store = {
  name: 'Redis',
  start: () => startRedis(),
  version: async ({ url }) => `Redis ${/redis_version:(\S+)/.exec(await askRedis(url, 'INFO', 'server'))?.[1]}`,
  counts: redisCounts,
  requests: /^(eval|evalsha|s?subscribe|s?unsubscribe|ping)$/,
  total: 'calls in scripts',
  floor: {
    name: 'floor: two bare EVALSHA',
    npmPackage: 'ioredis',
    isUncontendedOnly: true,
    open: overClients((url) => bare(url, 'awaited')),
  },
  participants: [
    {
      name: 'floor, release not awaited',
      npmPackage: 'ioredis',
      isUncontendedOnly: true,
      open: overClients((url) => bare(url, 'sent')),
    },
    {
      name: 'limit: a bare client with the scripts of conclave, release not awaited',
      npmPackage: 'ioredis',
      open: overClients(scriptsOnly),
    },
    { name: 'redlock', npmPackage: 'redlock', open: overClients(redlock), requests: /^(eval|evalsha)$/ },
    {
      name: 'redis-semaphore',
      npmPackage: 'redis-semaphore',
      open: overClients(redisSemaphore),
      requests: /^(eval|evalsha|set)$/,
    },
    ...ours,
  ],
  reader: async (url) => {
    const client = await connected(url);
    return { read: () => client.get('nothing'), [Symbol.asyncDispose]: () => quit(client) };
  },
};

const TAKE = script(`return redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])`);
const GIVE = script(`if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0`);

function script(text: string): { readonly text: string; readonly hash: string } {
  return { text, hash: createHash('sha1').update(text).digest('hex') };
}

async function bare(url: string, release: 'sent' | 'awaited'): Promise<Client> {
  const client = await connected(url);
  for (const { text } of [TAKE, GIVE]) await client.script('LOAD', text);
  const me = randomUUID();
  return {
    async acquire(name) {
      const taken = await client.evalsha(TAKE.hash, 1, name, me, TTL_MS);
      if (taken !== 'OK') throw new Error(`the bare client did not get ${name}, which is free`);
      return async () => {
        const given = client.evalsha(GIVE.hash, 1, name, me);
        if (release === 'awaited') await given;
      };
    },
    [Symbol.asyncDispose]: () => quit(client),
  };
}

/** The bare client renews nothing: its session outlives the run. */
const UNRENEWED_US = 3_600_000_000;

/** What conclave asks the server for, and hears of it, and nothing else: a client with these scripts cannot be faster. */
async function scriptsOnly(url: string): Promise<Client> {
  const client = await connected(url);
  const runId = /run_id:(\w+)/.exec(await client.info('server'))?.[1] ?? '';
  for (const { plain } of [OPEN, ENTER, LEAVE]) await client.script('LOAD', plain.lua);
  const session = randomUUID();
  const waiting = new Map<string, () => void>();
  const messages = await connected(url);
  messages.on('message', (_channel: string, message: string) => {
    for (const line of message.split(' ')) {
      const [entry = '', ahead] = line.split(':');
      if (ahead === '0') waiting.get(entry)?.();
    }
  });
  await messages.subscribe(`{bare:0}:c:${session}`);
  let requests = 0;
  const preamble = [session, UNRENEWED_US, 0, runId, 'inf', '', '0', '', 0].join(' ');
  const ask = async (script: Script, ...own: readonly string[]): Promise<unknown> =>
    client.evalsha(script.plain.sha, 1, '{bare:0}:m', ++requests, preamble, ...own);
  await ask(OPEN);
  return {
    async acquire(name) {
      const [roster, entry] = [`lock:${name}`, `${session}.${++requests}.x1`];
      const admitted = new Promise<void>((resolve) => waiting.set(entry, resolve));
      const reply = await ask(ENTER, roster, entry, '', '', '');
      const [, , told] = Array.isArray(reply) ? reply : [];
      if (!Array.isArray(told) || told[0] !== 'ok') throw new Error(`the bare client was refused ${name}`);
      if (told.at(-1) !== 0) await admitted;
      waiting.delete(entry);
      return async () => void ask(LEAVE, roster, entry);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([quit(client), quit(messages)]);
    },
  };
}

async function redlock(url: string): Promise<Client> {
  const client = await connected(url);
  const locks = new Redlock([client], { retryCount: -1 });
  return {
    async acquire(name) {
      const held = await locks.acquire([name], REDLOCK_TTL_MS);
      return () => held.release();
    },
    [Symbol.asyncDispose]: () => quit(client),
  };
}

async function redisSemaphore(url: string): Promise<Client> {
  const client = await connected(url);
  return {
    async acquire(name) {
      const mutex = new Mutex(client, name, { lockTimeout: TTL_MS, acquireTimeout: Number.POSITIVE_INFINITY });
      await mutex.acquire();
      return () => mutex.release();
    },
    [Symbol.asyncDispose]: () => quit(client),
  };
}

async function connected(url: string): Promise<Redis> {
  const client = new Redis(url, { lazyConnect: true });
  await client.connect();
  return client;
}

async function quit(client: Redis): Promise<void> {
  await client.quit();
}
