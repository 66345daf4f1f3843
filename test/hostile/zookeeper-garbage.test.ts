import fc from 'fast-check';
import zookeeper from 'node-zookeeper-client';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { connect } from '../../src/connect.js';
import { Everything, works } from './standing.js';
import { anyBytes, closed, nothingEscapes } from './support.js';

nothingEscapes();

const ttlMs = 2_000;
const answeredMs = 1_000;
const url = inject('zookeeperUrl');
const { CreateMode } = zookeeper;

let other: ReturnType<typeof zookeeper.createClient>;
beforeAll(async () => {
  other = zookeeper.createClient(new URL(url).host);
  const connected = new Promise<void>((resolve) => other.once('connected', resolve));
  other.connect();
  await connected;
});
afterAll(() => other.close());

/** What the server refuses to the other client, it refuses. */
const create = (path: string, data: Buffer, mode: number): Promise<unknown> =>
  new Promise((done) => other.create(path, data, mode, done));
const write = (path: string, data: Buffer): Promise<unknown> => new Promise((done) => other.setData(path, data, done));
const remove = (path: string): Promise<unknown> => new Promise((done) => other.remove(path, done));
const children = (path: string): Promise<readonly string[]> =>
  new Promise((done) => other.getChildren(path, (_, names) => done(names ?? [])));

async function below(path: string): Promise<readonly string[]> {
  const paths = (await children(path)).map((name) => `${path}/${name}`);
  return [...paths, ...(await Promise.all(paths.map(below))).flat()];
}

async function removeAll(path: string): Promise<void> {
  for (const child of await children(path)) await removeAll(`${path}/${child}`);
  await remove(path);
}

const mode = fc.constantFrom(
  CreateMode.PERSISTENT,
  CreateMode.EPHEMERAL,
  CreateMode.PERSISTENT_SEQUENTIAL,
  CreateMode.EPHEMERAL_SEQUENTIAL,
);

/** Names of children that the library does not make, and some that it might. */
const alienName = fc.constantFrom(
  ...['x', '-', '%', '%zz', '%2', 'é', '🙂', ' ', '__lock__', '__lock__0000000001', 'a__lock__99999999999'],
  ...['__member__', 'a__member__-000000001', 'a__xmember__2147483648', 'a__lock__-2147483648', '-lock-0000000000'],
  ...['_c_a-latch-9999999999', '__WRIT__0000000000', 'a__proto__0000000001', 'lease', 'locks', 'x'.repeat(4_000)],
);

const spoiling = fc.oneof(
  fc.tuple(fc.nat(30), anyBytes).map(([at, data]) => async (paths: readonly string[]) => {
    await write(paths[at % paths.length] ?? '', data);
  }),
  fc.tuple(fc.nat(30), alienName, anyBytes, mode).map(([at, name, data, how]) => async (paths: readonly string[]) => {
    await create(`${paths[at % paths.length]}/${name}`, data, how);
  }),
  fc.nat(30).map((at) => async (paths: readonly string[]) => {
    await removeAll(paths[at % paths.length] ?? '');
  }),
  // An ephemeral node cannot have children.
  fc.tuple(fc.nat(30), anyBytes, mode).map(([at, data, how]) => async (paths: readonly string[]) => {
    const path = paths[at % paths.length] ?? '';
    await removeAll(path);
    await create(path, data, how);
  }),
);

describe('what another client has written into ZooKeeper', () => {
  test('into any node, and beside it, ends streams with typed errors or is reported, and heals', async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(spoiling, { minLength: 1, maxLength: 4 }), async (spoilings) => {
        const namespace = `spoiled-${process.pid}-${++run}`;
        const backend = connect(url, {
          namespace,
          ttlMs,
          initialBackoffMs: 10,
          maxBackoffMs: 100,
          closeTimeoutMs: 300,
        });
        using everything = new Everything(backend);
        await everything.standing();
        const paths = [...(await below(`/${namespace}`))].sort();
        expect(paths.length).toBeGreaterThan(5);
        for (const spoil of spoilings) await spoil(paths);
        await everything.looksAreAnswered(answeredMs);
        await removeAll(`/${namespace}`);
        await works(backend);
        everything.isTyped();
        await closed(backend);
      }),
      { numRuns: 25, interruptAfterTimeLimit: 20_000 },
    );
  }, 60_000);
});
