import { acquire, connect, lock } from 'conclave';
import { expect, test } from 'vitest';
import { overClients } from '../../bench/comparison/over-clients.js';
import type { Contention } from '../../bench/comparison/participant.js';

const CLIENTS = 3;
const CONTEND_MS = 20;

async function contention(open: ReturnType<typeof overClients>): Promise<Contention | undefined> {
  const subject = await open('memory:', CLIENTS);
  await using _ = subject;
  return subject?.contend(CONTEND_MS);
}

test('a lock that lets in two at a time does not pass for one that excludes', async () => {
  const nobodyWaits = overClients(async () => ({
    acquire: async () => async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  }));
  expect((await contention(nobodyWaits))?.overlaps).toBeGreaterThan(0);
});

test('a lock that excludes does not pass for one that lets in two at a time', async () => {
  const backend = connect('memory:');
  const inTurn = overClients(async () => ({
    acquire: async (name) => {
      const held = await acquire(lock(backend, name));
      return () => held.release();
    },
    [Symbol.asyncDispose]: async () => undefined,
  }));
  const found = await contention(inTurn);
  await backend.close();
  expect(found?.overlaps).toBe(0);
  expect(found?.sections).toHaveLength(CLIENTS);
});
