import { connect, InvalidOptions } from 'conclave';
import { etcd } from 'conclave/etcd';
import { redis } from 'conclave/redis';
import { zookeeper } from 'conclave/zookeeper';
import { asapScheduler } from 'rxjs';
import { expect, it } from 'vitest';
import { monotonicScheduler } from '../../../src/backends/kernel/clock.js';
import { jsonCodec } from '../../../src/backends/shared/codec.js';

const thread = { renewal: 'thread' } as const;
const own = { now: () => 0, schedule: asapScheduler.schedule.bind(asapScheduler) };

function violations(make: () => unknown): readonly string[] {
  try {
    make();
  } catch (error) {
    if (error instanceof InvalidOptions) return error.violations;
    throw error;
  }
  return [];
}

it.each([
  ['a client', () => redis({ ...thread, client: { duplicate: () => undefined } }), 'client.duplicate', 'a function'],
  [
    'a function that makes one',
    () => redis({ ...thread, client: () => ({ duplicate: () => 1 }) }),
    'client',
    'a function',
  ],
  [
    'a function of TLS',
    () => redis({ ...thread, tls: { checkServerIdentity: () => undefined } }),
    'tls.checkServerIdentity',
    'a function',
  ],
  [
    'a client of etcd',
    () =>
      etcd({
        ...thread,
        client: () => {
          throw new Error('asked for');
        },
      }),
    'client',
    'a function',
  ],
  [
    'a codec that ZooKeeper uses',
    () => zookeeper({ ...thread, layout: 'curator', codec: { ...jsonCodec } }),
    'codec.encode',
    'a function',
  ],
])('%s cannot be handed to another thread, and is refused with that reason', (_, make, path, what) => {
  expect(violations(make)).toContain(
    `${path} must not be given beside renewal: 'thread': it is ${what}, which cannot be handed to another thread`,
  );
});

it.each(['redis:', 'etcd:', 'zookeeper:'])(
  '%s a clock of one’s own is refused, since the thread has another',
  (url) => {
    expect(violations(() => connect(url, { ...thread, scheduler: own }))).toEqual([
      "scheduler must not be given beside renewal: 'thread': a clock of one's own cannot be handed to another thread",
    ]);
    expect(violations(() => connect(url, { scheduler: monotonicScheduler }))).toEqual([]);
  },
);

it.each(['redis:', 'etcd:', 'zookeeper:'])('%s what is no such option, or stands alone, is refused', (url) => {
  expect(violations(() => connect(url, { renewal: 'worker' as 'thread' }))).toEqual([
    "renewal must be 'loop' or 'thread', but is \"worker\"",
  ]);
  expect(violations(() => connect(url, { maxStallMs: 1_000 }))).toEqual([
    "maxStallMs must not be given without renewal: 'thread', which it is about",
  ]);
  expect(violations(() => connect(`${url}?renewal=thread&maxStallMs=0`))).toHaveLength(1);
});

it('a codec stays on this side, where payloads are encoded', () => {
  const made = [redis({ ...thread, codec: { ...jsonCodec } }), zookeeper({ ...thread, codec: { ...jsonCodec } })];
  expect(made.map(({ name }) => name)).toEqual(['redis', 'zookeeper']);
});

it('within one process there is nothing to be renewed', () => {
  expect(violations(() => connect('memory:', { ...thread }))).toHaveLength(1);
});
