import { connect, type Socket } from 'node:net';
import { createClient } from 'node-zookeeper-client';
import { firstValueFrom } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { firstWithin } from '../../../src/testing/processes/until.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startZooKeeper } from '../../../src/testing/servers/zookeeper.js';
import { Backends, lockNamed, Stander } from './support.js';

const mostConnections = 10;

let server: TestServer;
let backends: Backends;

beforeAll(async () => {
  server = await startZooKeeper({ config: [`maxClientCnxns=${mostConnections}`] });
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => {
  backends = new Backends();
});
afterEach(() => backends[Symbol.asyncDispose]());

/** Takes connections until the server takes no more. */
async function occupy(): Promise<Socket[]> {
  const sockets: Socket[] = [];
  for (;;) {
    const socket = connect({ host: server.host, port: server.port });
    const isRefused = await new Promise<boolean>((tell) => {
      socket.on('error', () => undefined).on('close', () => tell(true));
      socket.on('connect', () => setTimeout(tell, 100, false)).resume();
    });
    if (isRefused) return sockets;
    sockets.push(socket);
  }
}

test('where the server has room for one connection more, a session with a short ttl opens', async () => {
  const occupied = await occupy();
  expect(occupied.length).toBeGreaterThan(1);
  // With the default tickTimeMs, a follower could not prove anything in time, so the role must be known.
  const backend = backends.connect(server.port, { ttlMs: 2_000 });
  const waiting = new Stander(backend, lockNamed('the last place'));
  await firstWithin(
    backend.session$,
    ({ state, ...rest }) => state === 'connecting' && 'cause' in rest,
    3_000,
    'a try',
  );
  occupied.pop()?.destroy();
  await waiting.untilAdmitted();
  expect((await firstValueFrom(backend.session$)).state).toBe('live');
  for (const socket of occupied) socket.destroy();
});

test('the session outlives the last number that a request can have', async () => {
  const client = (): object => {
    const made = createClient(`${server.host}:${server.port}`);
    return Object.assign(made, { connectionManager: Object.assign(managerOf(made), { xid: 2 ** 31 - 20 }) });
  };
  const backend = backends.connect(server.port, { client, hosts: undefined });
  const holder = await new Stander(backend, lockNamed('numbered')).untilAdmitted();
  const states: string[] = [];
  backend.session$.subscribe(({ state }) => states.push(state));
  const nobody = `${'0'.repeat(32)}__lock__0000000000`;
  for (let request = 0; request < 40; request++) await firstValueFrom(backend.evict(lockNamed('numbered'), nobody));
  expect(states).toEqual(['live']);
  expect(holder.places.at(-1)?.isValid()).toBe(true);
});

/** What the types of the client do not tell. */
function managerOf(client: object): object {
  if (!('connectionManager' in client) || typeof client.connectionManager !== 'object' || !client.connectionManager)
    throw new Error('another client');
  return client.connectionManager;
}
