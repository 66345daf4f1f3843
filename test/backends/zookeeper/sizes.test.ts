import { firstValueFrom } from 'rxjs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { InvalidPayload } from '../../../src/backends/errors.js';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startProxy } from '../../../src/testing/servers/tcp-proxy.js';
import { startZooKeeper } from '../../../src/testing/servers/zookeeper.js';
import { Backends, lockNamed, Stander, untilStanding } from './support.js';

let server: TestServer;
let backends: Backends;

beforeAll(async () => {
  server = await startZooKeeper({ env: { JAVA_TOOL_OPTIONS: '-Djute.maxbuffer=32768' } });
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => {
  backends = new Backends();
});
afterEach(() => backends[Symbol.asyncDispose]());

test('a payload that is larger than the server takes is refused for good, and costs nobody else anything', async () => {
  const backend = backends.connect(server.port);
  const holder = await new Stander(backend, lockNamed('small')).untilAdmitted();
  const payload = new Uint8Array(60_000);
  const large = await new Stander(backend, lockNamed('large'), { payload }).until(({ error }) => error !== undefined);
  expect(large.error).toBeInstanceOf(InvalidPayload);
  expect(String(large.error)).toMatch(/60\d\d\d bytes.*jute\.maxbuffer/);
  expect(holder.isAdmitted && holder.places.at(-1)?.isValid()).toBe(true);
  // From now on nothing of the kind is sent.
  const states: string[] = [];
  backend.session$.subscribe(({ state }) => states.push(state));
  await expect(firstValueFrom(backend.swap('large', 'any', new Uint8Array(61_000)))).rejects.toThrow(InvalidPayload);
  expect(states).toEqual(['live']);
  await new Stander(backend, lockNamed('middle'), { payload: new Uint8Array(30_000) }).untilAdmitted();
});

test('a request that is lost with its connection again and again, though the servers take its size, is not refused', async () => {
  await using proxy = await startProxy({ port: server.port });
  const backend = backends.connect(proxy.port, { maxBackoffMs: 100 });
  await new Stander(backend, lockNamed('small')).untilAdmitted();
  let losses = 0;
  proxy.onData((direction, chunk) => {
    if (direction !== 'toServer' || chunk.length < 8_000 || losses === 4) return;
    losses += 1;
    proxy.dropDirection('toServer');
    // The network takes longer to give a connection up than a server to read how large a request is.
    setTimeout(() => {
      proxy.resetAll();
      void proxy.heal();
    }, 250);
  });
  await new Stander(backend, lockNamed('large'), { payload: new Uint8Array(20_000) }).untilAdmitted(10_000);
  expect(losses).toBe(4);
});

test('the answer to a listing may be larger than what the server takes', async () => {
  const backend = backends.connect(server.port, { ttlMs: 20_000 });
  const line = Array.from({ length: 700 }, () => new Stander(backend, lockNamed('long'), { shared: true }));
  const ids = await untilStanding(backend, lockNamed('long'), line.length, 15_000);
  expect(ids.join('').length).toBeGreaterThan(32_768);
  expect((await firstValueFrom(backend.session$)).state).toBe('live');
});
