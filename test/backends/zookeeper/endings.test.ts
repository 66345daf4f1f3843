import { randomUUID } from 'node:crypto';
import { asyncScheduler, firstValueFrom, lastValueFrom, shareReplay, switchMap } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { timingOf } from '../../../src/backends/shared/options.js';
import { orThrow } from '../../../src/backends/shared/or-throw.js';
import type { StandRequest, StoreSession } from '../../../src/backends/store.js';
import { resolveOptions } from '../../../src/backends/zookeeper/options.js';
import { zookeeperStore } from '../../../src/backends/zookeeper/zookeeper-store.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy, type TcpProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { startZooKeeper } from '../../../src/testing/servers/zookeeper.js';
import { Backends, lockNamed, Stander } from './support.js';

let server: TestServer;
let proxy: TcpProxy;
let backends: Backends;
/** So long that nothing here ends by itself. */
const ttlMs = 60_000;

beforeAll(async () => {
  server = await startZooKeeper();
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(async () => {
  proxy = await startProxy({ port: server.port });
  backends = new Backends();
});
afterEach(async () => {
  await backends[Symbol.asyncDispose]();
  await proxy.close();
});

/** A session as the kernel has it, over the proxy, that holds the lock. */
async function holding(name: string): Promise<StoreSession & Disposable> {
  const options = { hosts: [{ host: '127.0.0.1', port: proxy.port }], ttlMs, requestTimeoutMs: 500, maxBackoffMs: 200 };
  const timing = orThrow(timingOf(options));
  const newId = (): string => randomUUID().replaceAll('-', '');
  const context = { timing, newId, now: () => performance.now(), scheduler: asyncScheduler, fault: () => undefined };
  const opened$ = zookeeperStore(orThrow(resolveOptions(options))).pipe(
    switchMap((store) => store.open(context)),
    shareReplay(1),
  );
  const running = opened$.subscribe();
  const session = await firstValueFrom(opened$);
  const request: StandRequest = {
    id: newId(),
    mode: 'exclusive',
    permits: 1,
    payload: new Uint8Array(),
    registered: false,
    sent: () => undefined,
  };
  await lastValueFrom(session.enter(lockNamed(name), request));
  return Object.assign(session, { [Symbol.dispose]: () => running.unsubscribe() });
}

const untilDown = (session: StoreSession): Promise<unknown> =>
  firstWithin(session.link$, (isUp) => !isUp, 5_000, 'the end of the connection');

test('a session that was given up during an outage is ended as soon as the link is back, and nobody waits for it', async () => {
  using session = await holding('ghost');
  proxy.refuse();
  proxy.resetAll();
  await untilDown(session);
  const ended = lastValueFrom(session.end(true), { defaultValue: undefined });
  await proxy.heal();
  await ended;
  await new Stander(backends.connect(server.port), lockNamed('ghost')).untilAdmitted(2_000);
});

test('a restarted server keeps no session that was given up while it was down', async () => {
  using session = await holding('restarted');
  await server.kill();
  await untilDown(session);
  const ended = lastValueFrom(session.end(true), { defaultValue: undefined });
  await server.start();
  await ended;
  await new Stander(backends.connect(server.port), lockNamed('restarted')).untilAdmitted(2_000);
});

test('who asks again for an end whose answer was lost is told that the session is over', async () => {
  using session = await holding('asked again');
  const lost = proxy.swallowNext('toClient', undefined, true);
  const first = session.end(true).subscribe({ error: () => undefined });
  await lost;
  first.unsubscribe();
  await expect(lastValueFrom(session.link$)).rejects.toMatchObject({ name: 'SessionLost', byStore: true });
  await expect(lastValueFrom(session.end(true))).rejects.toMatchObject({ name: 'SessionLost' });
});

test('after an outage for longer than the ttl nobody waits behind what it held itself before', async () => {
  const longMs = 8_000;
  const mine = backends.connect(server.port, { ttlMs: longMs, maxBackoffMs: 200 });
  const roster = lockNamed('own ghost');
  const holder = await new Stander(mine, roster).untilAdmitted();
  await server.kill();
  await holder.until(({ error }) => error !== undefined, longMs);
  const again = new Stander(mine, roster);
  await server.start();
  // The server lets the lost session live for its whole lifetime from when it is up again.
  await again.untilAdmitted(longMs / 2);
  expect(again.token).toBeGreaterThan(holder.token);
});
