/*
 * Runs tooz's own tests of a driver, from where Debian installs them, over conclave: `test/tooz` has the driver, in Python, and the
 * Node process that it talks to. Tells for each store what passed, failed and was skipped, and fails where that is not
 * as `test/tooz/explained.ts` says. Give names of stores to try only those.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { watchdog } from '../src/testing/processes/watchdog.js';
import { startEtcd } from '../src/testing/servers/etcd.js';
import { startRedis } from '../src/testing/servers/redis.js';
import type { TestServer } from '../src/testing/servers/server.js';
import { startZooKeeper } from '../src/testing/servers/zookeeper.js';
import { ensureServers } from '../test/support/install.js';
import { type Explained, explained, type StoreName } from '../test/tooz/explained.js';

/** For one store. */
const limitMs = 900_000;
const python = '/usr/bin/python3';
const packages = '/usr/lib/python3/dist-packages';
const folder = fileURLToPath(new URL('../test/tooz', import.meta.url));
const typeScriptLoader = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const bridge = [process.execPath, '--import', typeScriptLoader, `${folder}/bridge-process.ts`];

interface Outcome {
  readonly test: string;
  readonly outcome: 'passed' | Explained['outcome'];
  /** The reason of a skip, or the traceback of a failure. */
  readonly why: string;
}

/** What one run has told, and what it wrote beside that. */
interface Run {
  readonly outcomes: readonly Outcome[];
  readonly problems: readonly string[];
}

async function runTests(url: string): Promise<Run> {
  const child = spawn(python, [`${folder}/run.py`], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Its processes are a group of their own, which can be ended as one.
    detached: true,
    env: {
      ...process.env,
      PYTHONPATH: folder,
      PYTHONDONTWRITEBYTECODE: '1',
      XDG_CACHE_HOME: watchdog().folder,
      TOOZ_TEST_URL: url,
      CONCLAVE_TOOZ_BRIDGE: JSON.stringify(bridge),
    },
  });
  watchdog().watch(child);
  let [told, complaints] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    told += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text;
  });
  let isTooLate = false;
  const limit = setTimeout(() => {
    isTooLate = true;
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  }, limitMs);
  // Not before the bridges have ended as well, which write there, too.
  const [code, signal] = await once(child, 'close');
  clearTimeout(limit);
  const end = isTooLate ? `was not over after ${limitMs} ms` : `ended with ${signal ?? code}`;
  return {
    outcomes: told
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line)),
    problems: code === 0 ? [] : [`${python} ${end}:\n${complaints.slice(-8_000)}`],
  };
}

/** Everything that is not as it is explained. */
function problemsOf(store: StoreName, { outcomes, problems }: Run): readonly string[] {
  const known = explained.filter(({ on }) => on.includes(store));
  const unexplained = outcomes.filter(
    ({ test, outcome }) =>
      outcome !== 'passed' && !known.some((entry) => entry.test === test && entry.outcome === outcome),
  );
  const outdated = known.filter(
    (entry) => !outcomes.some(({ test, outcome }) => test === entry.test && outcome === entry.outcome),
  );
  return [
    ...problems,
    ...unexplained.map(({ test, outcome, why }) => `${test} ${outcome}: ${why.trim()}`),
    ...outdated.map(({ test, outcome }) => `${test} is explained as ${outcome}, which it is not`),
  ];
}

function tell(store: StoreName, run: Run): void {
  const of = (wanted: Outcome['outcome']): readonly Outcome[] =>
    run.outcomes.filter(({ outcome }) => outcome === wanted);
  const [passed, failed, skipped] = [of('passed'), of('failed'), of('skipped')];
  console.log(`${store}: ${passed.length} passed, ${failed.length} failed, ${skipped.length} skipped`);
  for (const { test, outcome, why } of [...failed, ...skipped]) {
    const reason = explained.find((entry) => entry.test === test && entry.on.includes(store))?.why;
    const said = why.trim().split('\n').at(-1);
    console.log(`  ${outcome}  ${test} (${said})${reason === undefined ? '' : `: ${reason}`}`);
  }
}

const starts: Readonly<Record<StoreName, () => Promise<TestServer | undefined>>> = {
  memory: async () => undefined,
  redis: startRedis,
  etcd: startEtcd,
  zookeeper: startZooKeeper,
};

function urlOn(store: StoreName, server: TestServer | undefined): string {
  const host = server === undefined ? '' : `${server.host}:${server.port}`;
  // A Redis that was started just now has lost nothing.
  const query = store === 'redis' ? '?trustEmpty=true' : '';
  return `conclave+${store}://${host}/tooz${query}`;
}

async function problemsOn(store: StoreName): Promise<readonly string[]> {
  const server = await starts[store]();
  try {
    const run = await runTests(urlOn(store, server));
    tell(store, run);
    return problemsOf(store, run);
  } finally {
    await server?.[Symbol.asyncDispose]();
  }
}

const isStore = (name: string): name is StoreName => Object.hasOwn(starts, name);
const named = process.argv.slice(2);
const unknown = named.filter((name) => !isStore(name));
if (unknown.length > 0)
  throw new Error(`there is no ${unknown.join(', ')}: say any of ${Object.keys(starts).join(', ')}`);

await ensureServers(
  ['tooz', 'testtools', 'fixtures'].map((name) => ({
    package: `python3-${name}`,
    isInstalled: () => existsSync(`${packages}/${name}`),
  })),
);
for (const store of (named.length > 0 ? named : Object.keys(starts)).filter(isStore)) {
  const problems = await problemsOn(store);
  for (const problem of problems) console.error(`\n${store}: ${problem}`);
  if (problems.length > 0) process.exitCode = 1;
}
