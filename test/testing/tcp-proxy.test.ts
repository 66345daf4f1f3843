import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from '../../src/testing/processes/probes.js';
import { loopback } from '../../src/testing/servers/ports.js';
import { cutOff } from '../../src/testing/servers/proxied-lane.js';
import { startProxy, type TcpProxy } from '../../src/testing/servers/tcp-proxy.js';

/** Long enough for what is on its way through an unbroken proxy, on a busy machine. */
const quietMs = 100;

let server: Server;
let accepted: Socket[];
let heard: string;
let endsHeard: number;
let proxy: TcpProxy;
let clients: Socket[];

beforeEach(async () => {
  accepted = [];
  heard = '';
  endsHeard = 0;
  clients = [];
  server = createServer({ allowHalfOpen: true }, (socket) => {
    accepted.push(socket);
    socket.on('data', (chunk) => {
      heard += chunk;
      socket.write(`echo ${chunk}`);
    });
    socket.on('end', () => {
      endsHeard += 1;
    });
    socket.on('error', () => {});
  });
  server.listen(0, loopback);
  await once(server, 'listening');
  proxy = await startProxy({ port: (server.address() as AddressInfo).port });
});

afterEach(async () => {
  await proxy.close();
  for (const socket of [...clients, ...accepted]) socket.destroy();
  server.close();
});

interface Client {
  readonly socket: Socket;
  received: string;
  error: NodeJS.ErrnoException | undefined;
}

async function dial(): Promise<Client> {
  const socket = connect({ port: proxy.port, host: proxy.host, allowHalfOpen: true });
  const client: Client = { socket, received: '', error: undefined };
  clients.push(socket);
  socket.on('data', (chunk) => {
    client.received += chunk;
  });
  socket.on('error', (error) => {
    client.error = error;
  });
  await once(socket, 'connect');
  return client;
}

const hears = (text: string): Promise<void> => until(() => heard === text, 5_000, `'${text}' at the server`);
const say = async ({ socket }: Client, text: string, all = text): Promise<void> => {
  socket.write(text);
  await hears(all);
};
const receives = (client: Client, text: string): Promise<void> =>
  until(() => client.received === text, 5_000, `'${text}' at the client`);

async function greeted(): Promise<Client> {
  const client = await dial();
  client.socket.write('a');
  await receives(client, 'echo a');
  return client;
}

test('passes on what both sides send, and counts it', async () => {
  const chunks: string[] = [];
  const stop = proxy.onData((direction, chunk, first) => chunks.push(`${direction} ${chunk} (${first})`));
  const client = await greeted();
  stop();
  client.socket.write('b');
  await receives(client, 'echo aecho b');
  expect(chunks).toEqual(['toServer a (a)', 'toClient echo a (a)']);
  expect(proxy.counters).toEqual({
    toServerBytes: 2,
    toServerChunks: 2,
    toClientBytes: 12,
    toClientChunks: 2,
    connectionsAccepted: 1,
  });
  expect(proxy.url('redis')).toBe(`redis://127.0.0.1:${proxy.port}`);
});

test('megabytes arrive whole, through a reader that is slow to begin', async () => {
  const client = await greeted();
  heard = '';
  accepted[0]?.pause();
  const sent = 'x'.repeat(8_000_000);
  client.socket.write(sent);
  await delay(quietMs);
  accepted[0]?.resume();
  await until(() => heard.length === sent.length, 10_000, 'all of it');
  await until(() => client.received.length > sent.length, 10_000, 'the echo');
});

test('a half-open connection goes on in the other direction', async () => {
  const client = await greeted();
  client.socket.end();
  await until(() => endsHeard === 1, 5_000, 'the end');
  accepted[0]?.write(', still here');
  await receives(client, 'echo a, still here');
  expect(client.socket.readableEnded).toBe(false);
  accepted[0]?.end();
  await until(() => proxy.connections() === 0, 5_000, 'the end of the connection');
});

test('a socket that is just saying its end is cut off, and leaves no handle behind', async () => {
  const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
  const client = await greeted();
  const before = sockets();
  client.socket.end();
  cutOff(client.socket);
  await until(() => sockets() < before, 5_000, 'the handle to go');
});

test('a black hole swallows data and ends, accepts what leads nowhere, and delivers all when it heals', async () => {
  const client = await greeted();
  proxy.blackhole();
  client.socket.end('b');
  accepted[0]?.write('c');
  const late = await dial();
  late.socket.write('d');
  await delay(quietMs);
  expect([heard, client.received, endsHeard, accepted.length, proxy.connections()]).toEqual(['a', 'echo a', 0, 1, 2]);
  await proxy.heal();
  await receives(late, 'echo d');
  await receives(client, 'echo acecho b');
  await until(() => endsHeard === 1, 5_000, 'the end');
});

test('a black hole hides that a client or the server is gone', async () => {
  const [one, two] = [await greeted(), await greeted()];
  proxy.blackhole();
  one.socket.resetAndDestroy();
  const errors: unknown[] = [];
  accepted[0]?.on('error', (error) => errors.push(error));
  accepted[1]?.resetAndDestroy();
  await delay(quietMs);
  expect([errors.length, two.error, two.socket.readableEnded]).toEqual([0, undefined, false]);
  await proxy.heal();
  await until(() => errors.length === 1 && two.error !== undefined, 5_000, 'both resets');
});

test.each([
  ['toServer', 'a', 'echo ac'],
  ['toClient', 'ab', 'echo a'],
] as const)('only what goes %s is cut', async (direction, heardMeanwhile, receivedMeanwhile) => {
  const client = await greeted();
  proxy.dropDirection(direction);
  client.socket.write('b');
  accepted[0]?.write('c');
  await until(() => heard === heardMeanwhile && client.received === receivedMeanwhile, 5_000, 'the open direction');
  await delay(quietMs);
  expect([heard, client.received]).toEqual([heardMeanwhile, receivedMeanwhile]);
  await proxy.heal();
  await until(() => client.received.length === 'echo acecho b'.length, 5_000, 'the rest');
});

test('a black hole for some connections leaves the others', async () => {
  proxy.blackhole((greeting) => greeting.toString().startsWith('x'));
  const cut = await dial();
  cut.socket.write('x');
  const client = await greeted();
  await delay(quietMs);
  expect([heard, cut.received, client.received]).toEqual(['a', '', 'echo a']);
  await proxy.heal();
  await receives(cut, 'echo x');
});

test('refuses new connections and keeps the old ones', async () => {
  const client = await greeted();
  proxy.refuse();
  await expect(dial()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  client.socket.write('b');
  await receives(client, 'echo aecho b');
  await proxy.heal();
  await greeted();
});

test('resets both sides of every connection', async () => {
  const both = [await greeted(), await greeted()];
  const resets = accepted.map((socket) => once(socket, 'error'));
  proxy.resetAll();
  await until(() => both.every(({ error }) => error?.code === 'ECONNRESET'), 5_000, 'the resets of the clients');
  for (const [error] of await Promise.all(resets)) expect(error).toMatchObject({ code: 'ECONNRESET' });
  await until(() => proxy.connections() === 0, 5_000, 'the end of the connections');
  await greeted();
});

test('a server that is down resets the connection', async () => {
  server.close();
  const client = await dial();
  await until(() => client.error?.code === 'ECONNRESET', 5_000, 'the reset');
});

test('a patient proxy waits for a server that does not listen yet', async () => {
  const { port } = server.address() as AddressInfo;
  server.close();
  await using patient = await startProxy({ port, patienceMs: 10_000 });
  const client = connect({ port: patient.port, host: patient.host });
  clients.push(client);
  client.write('a');
  await delay(quietMs);
  server.listen(port, loopback);
  await hears('a');
});

test('delays one direction and keeps the order', async () => {
  const client = await greeted();
  proxy.delay({ toClientMs: 200 });
  const sentAt = performance.now();
  client.socket.write('b');
  await hears('ab');
  client.socket.write('c');
  await receives(client, 'echo aecho becho c');
  expect(performance.now() - sentAt).toBeGreaterThanOrEqual(200);
  proxy.delay({ toClientMs: 60_000 });
  client.socket.write('d');
  await hears('abcd');
  await proxy.heal();
  await receives(client, 'echo aecho becho cecho d');
});

test('throttles', async () => {
  const client = await greeted();
  proxy.throttle(10_000);
  const sentAt = performance.now();
  client.socket.write('x'.repeat(1_000));
  await hears(`a${'x'.repeat(1_000)}`);
  expect(performance.now() - sentAt).toBeGreaterThanOrEqual(95);
});

test('swallows the next chunk that matches, and nothing else', async () => {
  const client = await greeted();
  const swallowed = proxy.swallowNext('toClient', (chunk) => chunk.includes('b'));
  client.socket.write('c');
  await receives(client, 'echo aecho c');
  client.socket.write('b');
  await swallowed;
  client.socket.write('d');
  await receives(client, 'echo aecho cecho d');
  expect(heard).toBe('acbd');
});

test('swallows a reply and cuts: the server has heard, the client never learns it', async () => {
  const client = await greeted();
  const swallowed = proxy.swallowNext('toClient', undefined, true);
  client.socket.write('b');
  await swallowed;
  await until(() => client.error?.code === 'ECONNRESET', 5_000, 'the cut');
  expect([heard, client.received]).toEqual(['ab', 'echo a']);
});

test('a stranded request is on its way when its client has long gone, and arrives late, once', async () => {
  const [late, other] = [await dial(), await dial()];
  await say(late, 'a');
  const stranding = proxy.strandNext((chunk) => chunk.includes('b'));
  late.socket.write('b');
  const stranded = await stranding;
  await until(() => late.error !== undefined, 5_000, 'the reset at the client');
  await say(other, 'c', 'ac');
  proxy.blackhole();
  await proxy.heal();
  expect([heard, endsHeard]).toEqual(['ac', 0]);
  await stranded.arrive();
  expect(heard).toBe('acb');
  await say(other, 'd', 'acbd');
  await stranded.arrive();
  expect([heard, late.received]).toEqual(['acbd', 'echo a']);
  await until(() => proxy.connections() === 1, 5_000, 'the end of the stranded connection');
});

test('a stranded request arrives at a server that has closed its connection no more', async () => {
  const client = await dial();
  await say(client, 'a');
  const stranding = proxy.strandNext(() => true);
  client.socket.write('b');
  const stranded = await stranding;
  accepted[0]?.destroy();
  await stranded.arrive();
  expect(heard).toBe('a');
});

test('what was to be swallowed and never came is an error when the proxy closes', async () => {
  const swallowed = proxy.swallowNext('toServer');
  await proxy.close();
  await expect(swallowed).rejects.toThrow(/was closed before a chunk came/);
});
