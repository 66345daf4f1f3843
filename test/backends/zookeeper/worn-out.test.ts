import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createClient } from 'node-zookeeper-client';
import { lastValueFrom } from 'rxjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestServer } from '../../../src/testing/servers/server.js';
import { startZooKeeper } from '../../../src/testing/servers/zookeeper.js';
import { Backends, lockNamed, Stander } from './support.js';

const roster = lockNamed('worn out');
let server: TestServer;

beforeAll(async () => {
  server = await startZooKeeper();
  await makeWornOut('/conclave/locks/worn out', 2 ** 31 - 3);
});
afterAll(() => server[Symbol.asyncDispose]());

test('where the numbers of a line have run out, nobody passes those who stand before', async () => {
  await using backends = new Backends();
  const backend = backends.connect(server.port, { ttlMs: 20_000 });
  const stay = async (): Promise<Stander> => new Stander(backend, roster).until(({ places }) => places.length > 0);
  const line = [await stay(), await stay(), await stay()];
  // Those that come in a burst are numbered before the ones ahead of them are counted.
  line.push(...(await Promise.all(Array.from({ length: 40 }, stay))));
  const standing = await lastValueFrom(backend.look(roster));
  const wrapped = standing.find(({ id }) => id.endsWith('__lock__-2147483648'));
  expect(wrapped, 'one whose number is beyond the last').toBeDefined();
  const [holder] = line.filter(({ token }) => token === wrapped?.token);
  for (const stander of line) if (stander !== holder) stander.leave();
  await holder?.untilAdmitted();
  const next = await stay();
  expect((await lastValueFrom(backend.look(roster))).at(-1)?.id).toMatch(/__lock__2147483647$/);
  expect(next.isAdmitted).toBe(false);
  holder?.leave();
  await next.untilAdmitted();
});

/** Has the parent number its next children from `sequence` on, as if so many had been made in it. */
async function makeWornOut(parent: string, sequence: number): Promise<void> {
  const client = createClient(`127.0.0.1:${server.port}`);
  client.connect();
  await once(client, 'connected');
  await new Promise<void>((made, failed) => {
    client.mkdirp(parent, (error) => (error ? failed(error) : made()));
  });
  await new Promise<void>((made, failed) => {
    client.create(`${parent}/last`, Buffer.alloc(0), (error) => (error ? failed(error) : made()));
  });
  await new Promise<void>((made, failed) => {
    client.remove(`${parent}/last`, (error) => (error ? failed(error) : made()));
  });
  client.close();
  await server.kill();
  const folder = join(server.dataDir, 'version-2');
  for (const name of readdirSync(folder).filter((file) => file.startsWith('log.'))) {
    const path = join(folder, name);
    const log = readFileSync(path);
    const at = log.indexOf(`${parent}/last`);
    if (at < 0) continue;
    // Behind the path: data, rules, whether it is ephemeral; and then how many its parent has had.
    let end = at + `${parent}/last`.length;
    end += 4 + Math.max(0, log.readInt32BE(end));
    const rules = log.readInt32BE(end);
    end += 4;
    for (let rule = 0; rule < rules; rule++) {
      end += 4;
      end += 4 + log.readInt32BE(end);
      end += 4 + log.readInt32BE(end);
    }
    end += 1;
    log.writeInt32BE(sequence, end);
    // Each entry begins with the checksum of what follows its length.
    for (let entry = 16; log.readInt32BE(entry + 8) > 0; entry += 13 + log.readInt32BE(entry + 8)) {
      const bytes = log.subarray(entry + 12, entry + 12 + log.readInt32BE(entry + 8));
      log.writeBigInt64BE(BigInt(adler32(bytes)), entry);
    }
    writeFileSync(path, log);
  }
  await server.start();
}

function adler32(bytes: Buffer): number {
  let [a, b] = [1, 0];
  for (const byte of bytes) {
    a = (a + byte) % 65_521;
    b = (b + a) % 65_521;
  }
  return b * 65_536 + a;
}
