import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import {
  aheadFromShared,
  aheadToShared,
  fromShared,
  sharedNow,
  toShared,
} from '../../../src/backends/thread/shared-clock.js';
import { Pulse, SharedProof } from '../../../src/backends/thread/shared-proof.js';

it('a proof that is read is not later than the one that was written, and not more than a millisecond earlier', () => {
  const written = { provedMs: performance.now(), leastAheadMs: Date.now() - performance.now() };
  const memory = new SharedProof();
  memory.prove(written);
  const read = new SharedProof(memory.memory).read();
  for (const which of ['provedMs', 'leastAheadMs'] as const) {
    expect(read?.[which]).toBeLessThanOrEqual(written[which]);
    expect(read?.[which]).toBeGreaterThan(written[which] - 1);
  }
});

it('after the end nothing may be relied on, whatever is proved', () => {
  const proof = new SharedProof();
  proof.prove({ provedMs: performance.now(), leastAheadMs: 0 });
  proof.end();
  proof.prove({ provedMs: performance.now(), leastAheadMs: 0 });
  expect(proof.read()).toBeUndefined();
});

it('moments and differences of clocks are rounded to the safe side on both ways', () => {
  expect(fromShared(toShared(1_000))).toBeLessThanOrEqual(1_000);
  expect(aheadFromShared(aheadToShared(1_000))).toBeLessThanOrEqual(1_000);
});

it('a thread that began later has the same clock', async () => {
  const code = `
    const { parentPort } = require('node:worker_threads');
    parentPort.postMessage(Number(process.hrtime.bigint()) / 1e6);`;
  const beforeMs = sharedNow();
  const worker = new Worker(code, { eval: true });
  const [thereMs] = (await once(worker, 'message')) as [number];
  expect(thereMs).toBeGreaterThan(beforeMs);
  expect(thereMs).toBeLessThan(sharedNow());
  await worker.terminate();
});

it('a pulse tells how long ago it beat last', () => {
  const pulse = new Pulse();
  pulse.beat();
  const sinceMs = new Pulse(pulse.memory).sinceMs();
  expect(sinceMs).toBeGreaterThanOrEqual(0);
  expect(sinceMs).toBeLessThan(1_000);
});
