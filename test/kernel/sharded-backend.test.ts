import { firstValueFrom, of } from 'rxjs';
import { expect, test } from 'vitest';
import type { Backend, EntryRequest, Session } from '../../src/backends/backend.js';
import { monotonicScheduler } from '../../src/backends/clock.js';
import { Unavailable } from '../../src/backends/errors.js';
import { memoryCharacteristics } from '../../src/backends/memory/characteristics.js';
import { MemoryStore } from '../../src/backends/memory/index.js';
import { createShardedBackend, shardOf } from '../../src/backends/sharded-backend.js';
import type { Store } from '../../src/backends/store.js';

const COUNT = 4;
const request: EntryRequest = { mode: 'exclusive', permits: 1, payload: new Uint8Array() };

/** Counts the sessions that each shard has opened. */
function sharded(): { backend: Backend; opened: number[] } {
  const opened = Array.from({ length: COUNT }, () => 0);
  const storeOf = (shard: number): Store => {
    const store = new MemoryStore(monotonicScheduler).adapter(undefined);
    return {
      ...store,
      open: (context) => {
        opened[shard] = (opened[shard] ?? 0) + 1;
        return store.open(context);
      },
    };
  };
  const stores = [storeOf(0), storeOf(1), storeOf(2), storeOf(3)] as const;
  return { opened, backend: createShardedBackend('several', memoryCharacteristics, COUNT, of(stores), {}) };
}

const nameAt = (shard: number): string => {
  for (let at = 0; ; at++) if (shardOf(`lock:n${at}`, COUNT) === shard) return `n${at}`;
};

test('a session is opened for a shard when it is used, and for one if only the state is asked for', async () => {
  const { backend, opened } = sharded();
  await firstValueFrom(backend.enter({ kind: 'lock', name: nameAt(2) }, request));
  expect(opened).toEqual([0, 0, 1, 0]);
  const states: Session['state'][] = [];
  backend.session$.subscribe(({ state }) => states.push(state));
  await firstValueFrom(backend.enter({ kind: 'lock', name: nameAt(1) }, request));
  expect([opened, states]).toEqual([[0, 1, 1, 0], ['live']]);
  await backend.close();
  const { backend: idle, opened: looked } = sharded();
  await firstValueFrom(idle.session$);
  expect(looked).toEqual([1, 0, 0, 0]);
  await idle.close();
});

test('registrations of all shards are told together', async () => {
  const { backend, opened } = sharded();
  for (let at = 0; at < 12; at++) await firstValueFrom(backend.register({ kind: 'group', name: `g${at}` }));
  const names = await firstValueFrom(backend.registered('group'));
  expect([names.size, opened]).toEqual([12, [1, 1, 1, 1]]);
  await backend.close();
});

test('faults of all are told, streams complete when it is closed, and nothing begins afterwards', async () => {
  const { backend } = sharded();
  const faults: unknown[] = [];
  let completed = 0;
  backend.faults$.subscribe({ next: (fault) => faults.push(fault), complete: () => completed++ });
  backend.session$.subscribe({ complete: () => completed++ });
  backend.enter({ kind: 'lock', name: nameAt(3) }, request).subscribe({ complete: () => completed++ });
  const fault = new Unavailable('several', 'try');
  backend.reportFault(fault);
  expect(backend.close()).toBe(backend.close());
  await backend.close();
  expect([faults, completed]).toEqual([[fault], 3]);
  await expect(firstValueFrom(backend.enter({ kind: 'lock', name: 'x' }, request))).rejects.toMatchObject({
    _tag: 'BackendClosed',
  });
});
