import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Etcd3 } from 'etcd3';
import { isLeft, isRight } from 'fp-ts/lib/Either.js';
import { firstValueFrom, timer } from 'rxjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backend } from '../../../src/backends/backend.js';
import {
  AuthenticationFailed,
  ConnectionRefused,
  InvalidOptions,
  InvalidUrl,
  PermissionDenied,
} from '../../../src/backends/errors.js';
import { etcd } from '../../../src/backends/etcd/index.js';
import { etcdFromUrl } from '../../../src/backends/etcd/options.js';
import { parseUrl, type StoreUrl } from '../../../src/backends/shared/url.js';
import { firstWithin } from '../../../src/testing/processes/until.js';
import { startEtcd } from '../../../src/testing/servers/etcd.js';
import { ReservedPorts } from '../../../src/testing/servers/ports.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { Backends, enableUsers, etcdctl, live, lock, Stay } from './support.js';

describe('with users', () => {
  let server: TestServer;
  const root = ['--user', 'root:secret'];

  beforeAll(async () => {
    server = await startEtcd();
    await enableUsers(server.port, { keeper: [['readwrite', '--prefix', 'shop/']] });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  it.each([
    ['a wrong password', { username: 'root', password: 'wrong' }],
    ['an unknown user', { username: 'nobody', password: 'secret' }],
    ['no credentials', {}],
  ])('fails at once with %s', async (_, options) => {
    await using backends = new Backends();
    const stay = new Stay(backends.make(server.port, options), lock('a'));
    await expect(stay.failure()).resolves.toBeInstanceOf(AuthenticationFailed);
  });

  it('works with the right ones, also when the server has forgotten the token', async () => {
    await using backends = new Backends();
    const backend = backends.make(server.port, {
      username: 'keeper',
      password: 'pass',
      namespace: 'shop',
      ttlMs: 8_000,
    });
    const stay = new Stay(backend, lock('till'));
    const place = await stay.admitted();
    const next = new Stay(backend, lock('till'));
    await next.waiting();
    await server.restart();
    stay.leave();
    await next.admitted(8_000);
    expect(place.isValid()).toBe(false);
    expect(await etcdctl(server.port, ...root, 'get', '--prefix', '--keys-only', 'shop/till/')).toContain('shop/till/');
  });

  it('says what is not permitted', async () => {
    await using backends = new Backends();
    const backend = backends.make(server.port, { username: 'keeper', password: 'pass' });
    await expect(firstValueFrom(backend.register({ kind: 'group', name: 'a' }))).rejects.toBeInstanceOf(
      PermissionDenied,
    );
  });
});

describe('with users that are switched off, and on again', () => {
  it('keeps what is held, also over another connection, and lets newcomers in', async () => {
    await using server = await startEtcd();
    await enableUsers(server.port);
    await using proxy = await startProxy({ port: server.port });
    await using backends = new Backends();
    const credentials = { username: 'root', password: 'secret', ttlMs: 10_000 };
    const backend = backends.make(proxy.port, credentials);
    const place = await new Stay(backend, lock('held')).admitted();
    const another = async (): Promise<void> => {
      const { connectionsAccepted } = proxy.counters;
      proxy.resetAll();
      await expect
        .poll(() => proxy.counters.connectionsAccepted, { timeout: 5_000 })
        .toBeGreaterThan(connectionsAccepted);
      await live(backend);
    };
    await etcdctl(server.port, '--user', 'root:secret', 'auth', 'disable');
    await new Stay(backend, lock('meanwhile')).admitted();
    await another();
    await new Stay(backend, lock('over another connection')).admitted();
    await new Stay(backends.make(server.port, credentials), lock('by a newcomer')).admitted();

    await etcdctl(server.port, 'auth', 'enable');
    await new Stay(backend, lock('with users again')).admitted();
    await another();
    expect(place.isValid()).toBe(true);
  });
});

describe('with signed tokens', () => {
  it.each([
    ['a change of users, which makes all tokens invalid', '5m'],
    ['their end', '1s'],
  ])('outlives %s, and nobody is in doubt meanwhile', async (what, ttl) => {
    const folder = await mkdtemp(join(tmpdir(), 'conclave-keys-'));
    const { publicKey, privateKey } = generateKeyPairSync('rsa', {
      modulusLength: 2048,
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    });
    const [publicFile, privateFile] = [join(folder, 'public'), join(folder, 'private')];
    await Promise.all([writeFile(publicFile, publicKey), writeFile(privateFile, privateKey)]);
    const token = `jwt,pub-key=${publicFile},priv-key=${privateFile},sign-method=RS256,ttl=${ttl}`;
    await using server = await startEtcd({ args: ['--auth-token', token] });
    await enableUsers(server.port);
    await using backends = new Backends();
    const credentials = { username: 'root', password: 'secret', ttlMs: 10_000 };
    const [backend, other] = [1, 2].map(() => backends.make(server.port, credentials)) as [Backend, Backend];
    const held = new Stay(other, lock('held'));
    await held.admitted();
    // Over the stream of watches that has the first token.
    await new Stay(backend, lock('held')).waiting();
    const states: string[] = [];
    backend.session$.subscribe(({ state }) => states.push(state));
    if (what.startsWith('a change')) await etcdctl(server.port, '--user', 'root:secret', 'user', 'add', 'new:secret');
    else await firstValueFrom(timer(2_000));
    const next = new Stay(other, lock('next'));
    await next.admitted();
    const last = new Stay(backend, lock('next'));
    await last.waiting();
    next.leave();
    await last.admitted();
    expect(states).toEqual(['live']);
    await rm(folder, { recursive: true });
  });
});

describe('without', () => {
  it('says that nobody answers, with failFastMs', async () => {
    using ports = new ReservedPorts();
    await using backends = new Backends();
    const stay = new Stay(backends.make(await ports.take(), { failFastMs: 300 }), lock('a'));
    await expect(stay.failure()).resolves.toBeInstanceOf(ConnectionRefused);
  });

  it('finds the member that lives among those that do not', async () => {
    await using server = await startEtcd();
    using ports = new ReservedPorts();
    await using backends = new Backends();
    await live(backends.make([await ports.take(), server.port, await ports.take()]), 5_000);
  });

  it('does not close a client that it was given', async () => {
    await using server = await startEtcd();
    const client = new Etcd3({ hosts: `127.0.0.1:${server.port}` });
    const backend = etcd({ client });
    const stay = new Stay(backend, lock('a'));
    await stay.admitted();
    await backend.close();
    expect(await client.get('a').string()).toBeNull();
    client.close();
  });

  it('tells why the caller cannot make another client, while it asks again', async () => {
    await using server = await startEtcd();
    await using proxy = await startProxy({ port: server.port });
    await using backends = new Backends();
    const clients: Etcd3[] = [];
    const backend = backends.make(0, {
      hosts: undefined,
      client: () => {
        if (clients.length > 0) throw new Error('no more of them');
        const client = new Etcd3({ hosts: `127.0.0.1:${proxy.port}` });
        clients.push(client);
        return client;
      },
    });
    const stay = new Stay(backend, lock('a'));
    await stay.admitted();
    const told = firstWithin(backend.faults$, ({ message }) => message.includes('no more of them'), 5_000, 'a fault');
    await server.kill();
    await told;
    for (const client of clients) client.close();
  });
});

describe('options', () => {
  const url = (text: string): StoreUrl => {
    const parsed = parseUrl(text);
    if (isLeft(parsed)) throw parsed.left;
    return parsed.right;
  };
  const read = (text: string): unknown => {
    const options = etcdFromUrl(url(text));
    return isRight(options) ? options.right : options.left;
  };

  it('are read from a URL', () => {
    expect(read('etcd://')).toEqual({});
    expect(read('etcds://')).toEqual({ hosts: ['https://127.0.0.1:2379'] });
    expect(read('etcd://a,b:1234,[::1]:99?ttlMs=5000&namespace=shop')).toEqual({
      hosts: ['a:2379', 'b:1234', '[::1]:99'],
      ttlMs: 5_000,
      namespace: 'shop',
    });
    expect(read('etcds://u:p%40@a')).toEqual({ hosts: ['https://a:2379'], username: 'u', password: 'p@' });
  });

  it('are refused where they contradict each other, without the password', () => {
    expect(read('etcd://u:secret@a/path')).toBeInstanceOf(InvalidUrl);
    expect(String(read('etcd://u:secret@a/path'))).not.toContain('secret');
    expect(read('etcd://a?color=red')).toBeInstanceOf(InvalidOptions);
    expect(() => etcd({ hosts: [] })).toThrow(InvalidOptions);
    expect(() => etcd({ hosts: ['https://a:1', 'b:2'] })).toThrow(InvalidOptions);
    expect(() => etcd({ password: 'p' })).toThrow(InvalidOptions);
  });
});
