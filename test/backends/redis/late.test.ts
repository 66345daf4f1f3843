import { firstValueFrom, lastValueFrom, type Observable } from 'rxjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { StoreSession } from '../../../src/backends/store.js';
import { until } from '../../../src/testing/processes/probes.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { ask, LOCK, openBare, stand, startUsedRedis, storeContext, useBefore } from './support.js';

let server: TestServer;
beforeAll(async () => {
  server = await startUsedRedis();
});
afterAll(() => server[Symbol.asyncDispose]());

interface Late {
  readonly session: StoreSession;
  /** Sends it over a connection that is given up, and has it arrive when `meanwhile` was done over the next one. */
  overtake(held: () => Observable<unknown>, meanwhile: () => Promise<unknown>): Promise<void>;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** How many scripts have come to the server, refused ones, too. */
async function scriptsRun(): Promise<number> {
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(await ask(server, 'INFO', 'commandstats'))?.[1] ?? 0);
}

async function late(namespace: string, act: (each: Late) => Promise<void>): Promise<void> {
  await useBefore(server, namespace);
  // What it holds back arrives although the client has given the connection up.
  await using slow = await startProxy({ port: server.port });
  const route = { port: slow.port };
  await using front = await startProxy(route);
  const { session, cut } = await openBare({ host: front.host, port: front.port, namespace }, storeContext(60_000, 300));
  const overtake: Late['overtake'] = async (held, meanwhile) => {
    slow.dropDirection('toServer');
    route.port = server.port;
    const down = firstWithin(session.link$, (up) => !up, 5_000, 'a connection that is given up');
    await expect(lastValueFrom(held())).rejects.toMatchObject({ _tag: 'Unavailable' });
    await down;
    await firstWithin(session.link$, (up) => up, 5_000, 'another connection');
    await meanwhile();
    const before = await scriptsRun();
    await slow.heal();
    await until(async () => (await scriptsRun()) > before, 5_000, 'what was held back');
  };
  await act({ session, overtake });
  await lastValueFrom(session.end(false));
  cut();
}

test('an update that arrives late does not undo a later one', () =>
  late('update', async ({ session, overtake }) => {
    const request = stand();
    await firstValueFrom(session.enter(LOCK, request));
    await overtake(
      () => session.update(LOCK, request, bytes('old')),
      () => lastValueFrom(session.update(LOCK, request, bytes('new'))),
    );
    expect((await firstValueFrom(session.entries(LOCK)))[0]?.payload).toEqual(bytes('new'));
  }));

test('an entry that arrives late, after it was given up, does not stand in line', () =>
  late('enter', async ({ session, overtake }) => {
    const request = stand();
    await overtake(
      () => session.enter(LOCK, request),
      () => lastValueFrom(session.leave(LOCK, request, true)),
    );
    expect(await firstValueFrom(session.entries(LOCK))).toEqual([]);
  }));

test('the first copy of a write that was repeated, and others have overwritten, does nothing when it arrives late', () =>
  late('write', async ({ session, overtake }) => {
    await overtake(
      () => session.swap('cell', 'any', bytes('first'), 'w1'),
      async () => {
        expect(await lastValueFrom(session.swap('cell', 'any', bytes('first'), 'w1'))).toMatchObject({ swapped: true });
        await lastValueFrom(session.swap('cell', 'any', bytes('later'), 'w2'));
      },
    );
    expect((await firstValueFrom(session.cell('cell')))?.value).toEqual(bytes('later'));
  }));

test('what arrives after the end of its session changes nothing', async () => {
  await using slow = await startProxy({ port: server.port });
  const group = { kind: 'group', name: 'late' } as const;
  await useBefore(server, 'ended');
  const options = { host: slow.host, port: slow.port, namespace: 'ended' };
  const { session, cut } = await openBare(options, storeContext(60_000, 10_000));
  const other = await openBare({ ...options, port: server.port });
  const request = stand();
  const { entry } = await firstValueFrom(other.session.enter(LOCK, request));
  await firstValueFrom(session.renew());
  slow.dropDirection('toServer');
  const requests: Observable<unknown>[] = [
    session.enter(LOCK, stand()),
    session.evict(LOCK, entry.id, 'w0'),
    session.register(group, 'w1'),
    session.swap('cell', 'any', bytes('late'), 'w2'),
  ];
  const writes = requests.map((each) => firstValueFrom(each).catch((error: unknown) => error));
  await ask(server, 'ZREM', '{ended:0}:s', session.id);
  const before = await scriptsRun();
  await slow.heal();
  expect(await Promise.all(writes)).toEqual(writes.map(() => expect.objectContaining({ _tag: 'SessionLost' })));
  expect(await scriptsRun()).toBeGreaterThan(before);
  expect(await firstValueFrom(other.session.entries(LOCK))).toHaveLength(1);
  expect((await firstValueFrom(other.session.registered('group'))).size).toBe(0);
  expect(await firstValueFrom(other.session.cell('cell'))).toBeUndefined();
  await lastValueFrom(other.session.end(false));
  other.cut();
  cut();
});
