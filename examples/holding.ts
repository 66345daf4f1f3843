/*
 * A read/write lock, a semaphore, and several locks at once, all held by `acquire`.
 *
 *     npx tsx examples/holding.ts
 *
 * Whoever asks first is let in first. All who ask are in one process here; with another URL they may be in different ones.
 */
import { setTimeout } from 'node:timers/promises';
import { acquire, connect, lock, lockAll, readLock, semaphore, writeLock } from 'conclave';

const backend = connect('memory:');

/** Holds what `lock$` gives for a while, and says so. */
async function hold(who: string, lock$: Parameters<typeof acquire>[0], forMs: number): Promise<void> {
  await using held = await acquire(lock$);
  console.log(`  ${who} begins`);
  await setTimeout(forMs);
  console.log(`  ${who} ${held.isValid() ? 'ends' : 'has lost it'}`);
}

console.log('A read/write lock: readers beside readers, writers alone.');
await Promise.all([
  hold('reader 1', readLock(backend, 'catalogue'), 100),
  hold('reader 2', readLock(backend, 'catalogue'), 200),
  hold('the writer', writeLock(backend, 'catalogue'), 100),
  // It could read beside the first two, but the writer asked before it.
  hold('reader 3', readLock(backend, 'catalogue'), 100),
]);

console.log('A semaphore of two permits: two at a time.');
await Promise.all([
  hold('report 1', semaphore(backend, 'reports', 2), 100),
  hold('report 2', semaphore(backend, 'reports', 2), 200),
  hold('report 3', semaphore(backend, 'reports', 2), 200),
]);

console.log('Two locks at once, or none: asked for in two orders, and nobody waits for ever.');
await Promise.all([
  hold('account 3 alone', lock(backend, 'account-3'), 100),
  hold('account 7 alone', lock(backend, 'account-7'), 200),
  hold('from 7 to 3', lockAll(backend, ['account-7', 'account-3'], { waitMs: 5_000 }), 100),
  hold('from 3 to 7', lockAll(backend, ['account-3', 'account-7'], { waitMs: 5_000 }), 100),
]);

console.log('A lock that is held until the end of a block, and one who does not wait for so long.');
{
  await using _printer = await acquire(lock(backend, 'printer', { data: 'host-1' }));
  await acquire(lock(backend, 'printer', { waitMs: 100 })).catch((error: Error) => console.log(`  ${error.message}`));
}
await hold('the next one', lock(backend, 'printer', { waitMs: 100 }), 0);

await backend.close();
