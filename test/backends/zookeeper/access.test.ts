import { once } from 'node:events';
import { createServer } from 'node:net';
import { isLeft, isRight } from 'fp-ts/lib/Either.js';
import { createClient } from 'node-zookeeper-client';
import { firstValueFrom, lastValueFrom, takeUntil, timer } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { AuthenticationFailed, PermissionDenied } from '../../../src/backends/errors.js';
import { parseUrl } from '../../../src/backends/shared/url.js';
import { type ZooKeeperOptions, zookeeper, zookeeperFromUrl } from '../../../src/backends/zookeeper/index.js';
import { lock } from '../../../src/observables/locks/lock.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startZooKeeper } from '../../../src/testing/servers/zookeeper.js';
import { Backends, lockNamed, Stander } from './support.js';

let server: TestServer;
let backends: Backends;

beforeAll(async () => {
  server = await startZooKeeper({ config: ['enforceQuota=true'] });
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => {
  backends = new Backends();
});
afterEach(() => backends[Symbol.asyncDispose]());

function optionsOf(url: string): ZooKeeperOptions | string {
  const parsed = parseUrl(url);
  if (isLeft(parsed)) return parsed.left.message;
  const options = zookeeperFromUrl(parsed.right);
  return isRight(options) ? options.right : options.left.message;
}

describe('a URL', () => {
  test('names hosts, credentials, chroot and options', () => {
    expect(optionsOf('zookeeper://ann:secret@a:1,b/apps/shop?ttlMs=9000&tickTimeMs=500')).toEqual({
      hosts: [
        { host: 'a', port: 1 },
        { host: 'b', port: undefined },
      ],
      chroot: '/apps/shop',
      auth: { scheme: 'digest', auth: 'ann:secret' },
      ttlMs: 9_000,
      tickTimeMs: 500,
    });
  });

  test('with IPv6 is refused, and never repeats the password', () => {
    const refused = optionsOf('zookeeper://ann:secret@[::1]:2181/');
    expect(refused).toMatch(/::1.*IPv6/);
    expect(refused).not.toContain('secret');
  });
});

test('what only its creator may touch is closed to others, with an error that says so', async () => {
  const acl = [{ permissions: 31, scheme: 'auth', id: '' }];
  const auth = { scheme: 'digest', auth: 'ann:secret' };
  const mine = backends.connect(server.port, { namespace: 'closed', acl, auth });
  await new Stander(mine, lockNamed('private')).untilAdmitted();
  const stranger = backends.connect(server.port, { namespace: 'closed' });
  const intruder = await new Stander(stranger, lockNamed('private')).until(({ error }) => error !== undefined);
  expect(intruder.error).toBeInstanceOf(PermissionDenied);
  const friend = backends.connect(server.port, { namespace: 'closed', acl, auth });
  await new Stander(friend, lockNamed('private')).until(({ places }) => places.length > 0);
});

test('of the credentials of a client that was given, and those beside it, none is left out', async () => {
  const acl = [{ permissions: 31, scheme: 'auth', id: '' }];
  const client = createClient(`127.0.0.1:${server.port}`);
  for (const auth of ['ann:secret', 'bob:secret']) client.addAuthInfo('digest', Buffer.from(auth));
  const carl = { scheme: 'digest', auth: 'carl:secret' };
  const mine = backends.connect(server.port, { hosts: undefined, client, auth: carl, namespace: 'shared', acl });
  await new Stander(mine, lockNamed('private')).untilAdmitted();
  for (const auth of ['ann:secret', 'bob:secret', carl.auth]) {
    const friend = backends.connect(server.port, { namespace: 'shared', auth: { scheme: 'digest', auth } });
    await new Stander(friend, lockNamed('private')).until(({ places }) => places.length > 0);
  }
});

test('credentials of a kind that the server does not know end the backend', async () => {
  const backend = backends.connect(server.port, { auth: { scheme: 'no such scheme', auth: 'x' } });
  const failure: unknown = await lastValueFrom(backend.session$).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(AuthenticationFailed);
});

test('a host that is no ZooKeeper is taken for one that is not there', async () => {
  const impostor = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'.repeat(100));
  });
  impostor.listen(0, '127.0.0.1');
  await once(impostor, 'listening');
  const address = impostor.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const backend = backends.connect(port, { failFastMs: 700 });
  await expect(lastValueFrom(backend.session$)).rejects.toThrow(/Could not reach/);
  impostor.close();
});

/** A server that answers the first eviction with `code`, and says of each later one that nobody stands there. */
async function serverThatRefuses(code: number): Promise<{ port: number; evictions: number[] } & AsyncDisposable> {
  const evictions: number[] = [];
  const noNode = -101;
  let connections = 0;
  const fake = createServer((socket) => {
    let isOpen = false;
    const connection = connections++;
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      if (chunk.toString() === 'srvr') return socket.end('Mode: standalone\n');
      for (let at = 0; at < chunk.length; at += 4 + chunk.readInt32BE(at)) {
        const xid = chunk.readInt32BE(at + 4);
        const isEviction = chunk.subarray(at, at + 4 + chunk.readInt32BE(at)).includes('__lock__');
        if (isEviction) evictions.push(connection);
        const isGoodbye = chunk.readInt32BE(at + 8) === -11;
        const answer = isEviction && evictions.length === 1 ? code : isGoodbye ? 0 : noNode;
        socket.write(isOpen ? reply(xid, answer) : welcome(3_000));
        isOpen = true;
      }
      return undefined;
    });
  });
  fake.listen(0, '127.0.0.1');
  await once(fake, 'listening');
  const address = fake.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    evictions,
    async [Symbol.asyncDispose]() {
      fake.close();
    },
  };
}

const nobody = `${'0'.repeat(32)}__lock__0000000000`;

test('an error code that the client does not know fails one request, and breaks nothing', async () => {
  await using fake = await serverThatRefuses(-127);
  const backend = backends.connect(fake.port);
  expect(await firstValueFrom(backend.evict(lockNamed('any'), nobody))).toBe(false);
  expect(fake.evictions).toHaveLength(2);
  expect(fake.evictions[1]).toBe(fake.evictions[0]);
  expect(backends.faults).toEqual([expect.stringMatching(/evict .*throttled \(-127\).*It is retried/)]);
  expect((await firstValueFrom(backend.session$)).state).toBe('live');
  await backend.close();
});

test('what the server goes on refusing is not tried again in silence', async () => {
  const client = createClient(`127.0.0.1:${server.port}`);
  client.connect();
  await once(client, 'connected');
  const quota = Buffer.from('count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=1');
  for (const [path, data] of [
    ['/full'],
    ['/zookeeper/quota/full'],
    ['/zookeeper/quota/full/zookeeper_limits', quota],
    ['/zookeeper/quota/full/zookeeper_stats', Buffer.from('count=1,bytes=0')],
  ] as const)
    await new Promise<void>((made, failed) => {
      client.create(path, data ?? Buffer.alloc(0), (error) => (error ? failed(error) : made()));
    });
  const backend = backends.connect(server.port, { chroot: '/full' });
  const waiting = new Stander(backend, lockNamed('no room'));
  await expect
    .poll(() => backends.faults, { timeout: 5_000 })
    .toContainEqual(expect.stringMatching(/quotaExceeded \(-125\)/));
  expect(waiting.error).toBeUndefined();
  waiting.leave();
  client.close();
});

test('where a server takes no writes, they are not sent to it over the same connection again', async () => {
  await using fake = await serverThatRefuses(-119);
  const backend = backends.connect(fake.port);
  expect(await firstValueFrom(backend.evict(lockNamed('any'), nobody))).toBe(false);
  expect(fake.evictions).toHaveLength(2);
  expect(fake.evictions[1]).toBeGreaterThan(fake.evictions[0] ?? 0);
  await backend.close();
});

function reply(xid: number, code: number): Buffer {
  const packet = Buffer.alloc(20);
  packet.writeInt32BE(16, 0);
  packet.writeInt32BE(xid, 4);
  packet.writeInt32BE(code, 16);
  return packet;
}

function welcome(timeoutMs: number): Buffer {
  const packet = Buffer.alloc(41);
  packet.writeInt32BE(37, 0);
  packet.writeInt32BE(timeoutMs, 8);
  packet.writeInt32BE(1, 16);
  packet.writeInt32BE(16, 20);
  return packet;
}

test('a client that was made elsewhere says where to connect, and is not used itself', async () => {
  const client = createClient(`127.0.0.1:${server.port}/elsewhere`, { sessionTimeout: 5_000 });
  client.connect();
  await once(client, 'connected');
  await using backend = zookeeper({ client, ttlMs: 2_000 });
  const grant = await firstValueFrom(lock(backend, 'ledger'));
  expect(grant.token).toBeGreaterThan(0n);
  await backend.close();
  const folders = await new Promise((told, failed) =>
    client.getChildren('/conclave', (error: unknown, children: unknown) => (error ? failed(error) : told(children))),
  );
  expect(folders).toContain('locks');
  const closed = once(client, 'disconnected');
  client.close();
  await closed;
});

test('a client that cannot be wrapped is refused', () => {
  expect(() => zookeeper({ client: {} })).toThrow('client must be made by createClient');
  expect(() => zookeeper({ client: () => ({}) })).toThrow(/hosts|client/);
});

test('renewing leaves alone what others have put where nothing is', async () => {
  const client = createClient(`${server.host}:${server.port}`);
  client.connect();
  await once(client, 'connected');
  await new Promise<void>((made, failed) => {
    client.mkdirp('/theirs/heartbeat', (error) => (error ? failed(error) : made()));
  });
  const backend = backends.connect(server.port, { chroot: '/theirs', namespace: '', ttlMs: 1_000 });
  const holder = await new Stander(backend, lockNamed('beside it')).untilAdmitted();
  await lastValueFrom(backend.session$.pipe(takeUntil(timer(1_500))));
  expect(holder.places.at(-1)?.isValid()).toBe(true);
  const isThere = await new Promise<boolean>((tell, failed) => {
    client.exists('/theirs/heartbeat', (error, stat) => (error ? failed(error) : tell(stat !== null)));
  });
  expect(isThere).toBe(true);
  client.close();
});
