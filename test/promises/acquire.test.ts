import { defer, NEVER } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { LockNotAcquired } from '../../src/backends/errors.js';
import { MemoryStore, memory } from '../../src/backends/memory/index.js';
import { lock } from '../../src/observables/locks/lock.js';
import { lockAll } from '../../src/observables/locks/lock-all.js';
import { readLock } from '../../src/observables/locks/read-write-lock.js';
import { semaphore, trySemaphore } from '../../src/observables/locks/semaphore.js';
import { tryLock } from '../../src/observables/locks/try-lock.js';
import { acquire } from '../../src/promises/acquire.js';

const store = new MemoryStore();
let names = 0;
const named = (): string => `acquire-${++names}`;

describe('acquire', () => {
  it('resolves to the grant, which stays held until it is released', async () => {
    await using first = memory({ store });
    await using second = memory({ store });
    const name = named();
    const held = await acquire(lock(first, name));
    expect([held.name, held.isValid(), held.signal.aborted]).toEqual([name, true, false]);
    await expect(acquire(lock(second, name, { waitMs: 0 }))).rejects.toBeInstanceOf(LockNotAcquired);
    const next = acquire(lock(second, name));
    expect(await held.release()).toBe(true);
    expect([held.isValid(), held.signal.reason._tag]).toEqual([false, 'Released']);
    expect((await next).token).toBeGreaterThan(held.token);
    expect(await held.release()).toBe(true);
  });

  it('is given up at the end of its block', async () => {
    await using backend = memory({ store });
    const name = named();
    {
      await using held = await acquire(lock(backend, name));
      expect(held.isValid()).toBe(true);
    }
    await using again = await acquire(tryLock(backend, name));
    expect(again.isValid()).toBe(true);
  });

  it.each([
    ['readLock', (backend, name) => readLock(backend, name)],
    ['semaphore', (backend, name) => semaphore(backend, name, 2)],
    ['lockAll', (backend, name) => lockAll(backend, [name, `${name}-b`])],
    ['trySemaphore', (backend, name) => trySemaphore(backend, name, 2)],
  ] as readonly [string, (backend: ReturnType<typeof memory>, name: string) => Parameters<typeof acquire>[0]][])(
    'holds what %s gives',
    async (_, source) => {
      await using backend = memory({ store });
      const held = await acquire(source(backend, named()));
      expect([held.isValid(), await held.release(), held.isValid()]).toEqual([true, true, false]);
    },
  );

  it('rejects with Contended where a try finds it taken', async () => {
    await using backend = memory({ store });
    const name = named();
    await using _held = await acquire(lock(backend, name));
    await expect(acquire(tryLock(backend, name))).rejects.toMatchObject({ _tag: 'Contended', lock: name });
  });

  it('SilentLoss: a loss aborts the signal with the error, rejects nothing, and release() tells that it was not held', async () => {
    await using backend = memory({ store });
    const name = named();
    const held = await acquire(lock(backend, name, { maxHoldMs: 1 }));
    await new Promise((aborted) => held.signal.addEventListener('abort', aborted));
    expect([held.isValid(), held.signal.reason._tag, held.signal.reason.reason]).toEqual([
      false,
      'LockLost',
      'held too long',
    ]);
    // It was held until it was given up.
    expect(await held.release()).toBe(true);
  });

  it('a signal ends the waiting, and nothing stays in line', async () => {
    await using backend = memory({ store });
    const name = named();
    await using _held = await acquire(lock(backend, name));
    const ending = new AbortController();
    const waiting = acquire(lock(backend, name), { signal: ending.signal });
    ending.abort(new Error('no longer'));
    await expect(waiting).rejects.toThrow('no longer');
    await expect(acquire(lock(backend, name), { signal: ending.signal })).rejects.toThrow('no longer');
    await expect(acquire(NEVER, { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before');
  });

  it('HeldForEver: a signal that aborts while the source is being subscribed to leaves nothing in line', async () => {
    await using backend = memory({ store });
    const name = named();
    const ending = new AbortController();
    const source = defer(() => {
      ending.abort(new Error('no longer'));
      return lock(backend, name);
    });
    await expect(acquire(source, { signal: ending.signal })).rejects.toThrow('no longer');
    await using held = await acquire(lock(backend, name, { waitMs: 5_000 }));
    expect(held.isValid()).toBe(true);
  });

  it('rejects where the backend is closed first', async () => {
    const backend = memory({ store });
    await using other = memory({ store });
    const name = named();
    await using _held = await acquire(lock(other, name));
    const waiting = acquire(lock(backend, name));
    await backend.close();
    await expect(waiting).rejects.toMatchObject({ _tag: 'Released' });
  });
});
