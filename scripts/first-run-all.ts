/*
 * The first run on all four backends, one after the other: on real servers, which are started here unless a variable
 * names one that is there already. Fails if one of them fails.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { startEtcd } from '../src/testing/servers/etcd.js';
import { startRedis } from '../src/testing/servers/redis.js';
import type { TestServer } from '../src/testing/servers/server.js';
import { startZooKeeper } from '../src/testing/servers/zookeeper.js';
import { ensureServers, products } from '../test/support/install.js';

const limitMs = 20_000;
const root = fileURLToPath(new URL('..', import.meta.url));
const typeScriptLoader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

/** What `npm start -- <url>` does. */
async function firstRun(...args: readonly string[]): Promise<boolean> {
  console.log(`\n$ ${['npm start', ...args].join(' -- ')}`);
  const child = spawn(process.execPath, ['--import', typeScriptLoader, 'examples/first-run.ts', ...args], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const tooLate = setTimeout(() => child.kill('SIGKILL'), limitMs);
  const [code, signal] = await once(child, 'exit');
  clearTimeout(tooLate);
  if (signal !== null) console.error(`It was ended by ${signal}: ${limitMs} ms had passed.`);
  return code === 0;
}

async function firstRunOn(given: string | undefined, start: () => Promise<TestServer>): Promise<boolean> {
  if (given) return firstRun(given);
  const server = await start();
  try {
    return await firstRun(server.url);
  } finally {
    await server[Symbol.asyncDispose]();
  }
}

await ensureServers();
const runs: readonly (readonly [name: string, run: () => Promise<boolean>])[] = [
  ['memory', () => firstRun()],
  ['Redis', () => firstRunOn(process.env[products.redis.variable], startRedis)],
  ['etcd', () => firstRunOn(process.env[products.etcd.variable], startEtcd)],
  ['ZooKeeper', () => firstRunOn(process.env[products.zookeeper.variable], startZooKeeper)],
];
const failed: string[] = [];
for (const [name, run] of runs) if (!(await run())) failed.push(name);
console.log(
  failed.length === 0 ? '\nThe first run works on all four.' : `\nThe first run failed on ${failed.join(', ')}.`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
