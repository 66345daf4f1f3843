import { once } from 'node:events';
import { createClient } from 'node-zookeeper-client';
import { firstValueFrom } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { InvalidPayload } from '../../../src/backends/errors.js';
import { until } from '../../../src/testing/processes/probes.js';
import { startProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { askZooKeeper, startZooKeeper, type ZooKeeperEnsemble } from '../../../src/testing/servers/zookeeper.js';
import { zooKeeperCounts } from '../../support/counters.js';
import { Backends, lockNamed, relay, Stander, untilStanding } from './support.js';

let server: ZooKeeperEnsemble;
let backends: Backends;

beforeAll(async () => {
  // The server looks for containers to delete once a minute, by default.
  const env = { JAVA_TOOL_OPTIONS: '-Dznode.container.checkIntervalMs=200 -Djute.maxbuffer=32768' };
  server = await startZooKeeper({ env });
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(async () => {
  backends = new Backends();
  // Makes what is made once.
  const first = backends.connect(server.port);
  (await new Stander(first, lockNamed('first')).untilAdmitted()).leave();
  await untilStanding(first, lockNamed('first'), 0);
  await first.close();
});
afterEach(() => backends[Symbol.asyncDispose]());

/** How many nodes there are, but for those that keep what the sessions have written: these end with the sessions. */
async function nodes(): Promise<number> {
  const { znode_count: all = 0 } = await zooKeeperCounts(server.url);
  const notes = (await askZooKeeper(server, 'dump')).split('\n').filter((line) => line.includes('/conclave/writes/'));
  return all - notes.length;
}

async function stranger(): Promise<ReturnType<typeof createClient>> {
  const client = createClient(`${server.host}:${server.port}`);
  client.connect();
  await once(client, 'connected');
  return client;
}

/** Asked by a client that makes nothing itself. */
async function untilDeleted(path: string): Promise<void> {
  const client = await stranger();
  const isThere = (): Promise<boolean> =>
    new Promise((tell, failed) => {
      client.exists(path, (error, stat) => (error ? failed(error) : tell(stat !== null)));
    });
  await until(async () => !(await isThere()), 5_000, `the deletion of ${path}`);
  client.close();
}

const standIn = (backend: ReturnType<Backends['connect']>, names: readonly string[]): Promise<Stander[]> =>
  Promise.all(names.map((name) => new Stander(backend, lockNamed(name)).untilAdmitted(15_000)));

const namesOf = (what: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${what} ${index}`);

test('nothing is left of a session that has expired, not even the parents of its entries', async () => {
  const before = await nodes();
  await using proxy = await startProxy({ port: server.port });
  const backend = backends.connect(proxy.port);
  await standIn(backend, namesOf('expired', 30));
  expect(await nodes()).toBeGreaterThanOrEqual(before + 60);
  const session = await firstValueFrom(backend.session$);
  proxy.blackhole();
  await server.expireSession('id' in session ? session.id : '');
  await until(async () => (await nodes()) <= before, 5_000, 'the deletion of the parents');
});

test('nothing is left of a closed backend, however many names it has used', async () => {
  const before = await nodes();
  const backend = backends.connect(server.port, { ttlMs: 30_000 });
  await standIn(backend, namesOf('closed', 700));
  await backend.close();
  await until(async () => (await nodes()) <= before, 10_000, 'the deletion of the parents');
});

test('a lock that was held for long goes on when its parent has been deleted by the server meanwhile', async () => {
  const backend = backends.connect(server.port, { ttlMs: 60_000 });
  const [holder] = await standIn(backend, ['again']);
  holder?.leave();
  await untilDeleted('/conclave/locks/again');
  const [next] = await standIn(backend, ['again']);
  expect(next?.token).toBeGreaterThan(holder?.token ?? 0n);
  expect(backends.faults).toEqual([]);
});

test('where the server knows no containers, parents are ordinary nodes, which are deleted on closing', async () => {
  const typeAt = 8;
  const [createContainer, unknown] = [19, 199];
  let refused = 0;
  await using old = await relay(
    () => server,
    (sent) => {
      for (let at = 0; at + typeAt + 4 <= sent.length; at += 4 + sent.readInt32BE(at)) {
        if (sent.readInt32BE(at + typeAt) !== createContainer) continue;
        sent.writeInt32BE(unknown, at + typeAt);
        refused++;
      }
      return sent;
    },
  );
  const before = await nodes();
  const backend = backends.connect(old.port);
  await standIn(backend, namesOf('old', 3));
  expect(refused).toBeGreaterThan(0);
  expect(await nodes()).toBeGreaterThanOrEqual(before + 6);
  await backend.close();
  await until(async () => (await nodes()) <= before, 5_000, 'the deletion of the parents');
  expect(backends.faults).toEqual([]);
});

test('a group that was made where somebody stood already stays when the last one has left', async () => {
  const backend = backends.connect(server.port);
  const roster = { kind: 'group', name: 'stood in before' } as const;
  const early = await new Stander(backend, roster, { shared: true }).untilAdmitted();
  expect(await firstValueFrom(backend.register(roster))).toBe(true);
  expect(await firstValueFrom(backend.unregister(roster))).toBe('occupied');
  early.leave();
  await untilStanding(backend, roster, 0);
  // By the time that another parent is gone, the server has looked at this one as well.
  const [other] = await standIn(backend, ['another']);
  other?.leave();
  await untilDeleted('/conclave/locks/another');
  expect(await firstValueFrom(backend.registered('group'))).toContain(roster.name);
  expect(await firstValueFrom(backend.unregister(roster))).toBe('removed');
  expect(await firstValueFrom(backend.registered('group'))).not.toContain(roster.name);
});

test('nothing is left of a lock for which nobody could be put into line', async () => {
  const before = await nodes();
  const backend = backends.connect(server.port);
  await standIn(backend, ['beside it']);
  // The server takes no more in one request.
  const payload = new Uint8Array(60_000);
  const refused = await new Stander(backend, lockNamed('too large'), { payload }).until(
    ({ error }) => error !== undefined,
    15_000,
  );
  expect(refused.error).toBeInstanceOf(InvalidPayload);
  await backend.close();
  await until(async () => (await nodes()) <= before, 5_000, 'the deletion of the parents');
});

test('a group can be deleted though others have deleted what keeps its node', async () => {
  const backend = backends.connect(server.port);
  const roster = { kind: 'group', name: 'meddled with' } as const;
  const early = await new Stander(backend, roster, { shared: true }).untilAdmitted();
  expect(await firstValueFrom(backend.register(roster))).toBe(true);
  const client = await stranger();
  await new Promise<void>((gone, failed) => {
    client.remove('/conclave/groups/meddled with/registered', (error) => (error ? failed(error) : gone()));
  });
  client.close();
  expect(await firstValueFrom(backend.unregister(roster))).toBe('occupied');
  early.leave();
  const told = await firstValueFrom(backend.unregister(roster));
  // The server may have deleted it before.
  expect(['removed', 'absent']).toContain(told);
  expect(await firstValueFrom(backend.registered('group'))).not.toContain(roster.name);
});

test('a group is none any more when its node was replaced by a parent between two looks', async () => {
  const backend = backends.connect(server.port);
  const roster = { kind: 'group', name: 'replaced' } as const;
  await firstValueFrom(backend.register(roster));
  const seen: boolean[] = [];
  const following = backend.registered('group').subscribe((names) => seen.push(names.has(roster.name)));
  await expect.poll(() => seen.at(-1), { interval: 5 }).toBe(true);
  const client = await stranger();
  await new Promise<void>((replaced, failed) => {
    const path = '/conclave/groups/replaced';
    client
      .transaction()
      .remove(path)
      .create(path, Buffer.from('conclave'))
      .commit((error) => (error ? failed(error) : replaced()));
  });
  client.close();
  await expect.poll(() => seen.at(-1), { interval: 5 }).toBe(false);
  following.unsubscribe();
});
