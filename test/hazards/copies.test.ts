import { NEVER, startWith } from 'rxjs';
import { expect, test, vi } from 'vitest';
import { memory } from '../../src/backends/memory/index.js';
import { MemoryStore } from '../../src/backends/memory/memory-store.js';
import { lock } from '../../src/observables/locks/lock.js';
import { ManualTime, QUICK, sessionIdOf } from '../support/virtual-time.js';

/**
 * A process may hold two copies of this library, one of its own and one of a dependency: a class of the one is not that
 * of the other, so errors must be known by their tags.
 */
test('what one copy makes of a backend of another survives the loss of the session, and says LockLost', async () => {
  vi.resetModules();
  const another = await import('../../src/index.js');
  const time = new ManualTime();
  const store = new MemoryStore(time);
  const backend = memory({ ...QUICK, store, scheduler: time });
  const log: string[] = [];
  const observer = (who: string) => ({
    next: (value: unknown) => log.push(`${who} ${typeof value === 'boolean' ? value : 'item'}`),
    error: (error: Error) => log.push(`${who} ${error.name}`),
    complete: () => log.push(`${who} complete`),
  });
  another.leadership(backend, 'e').subscribe(observer('leadership'));
  another.lock(backend, 'l').subscribe(observer('holder'));
  another.lock(backend, 'l').subscribe(observer('waiting'));
  another.join(backend, 'g', { id: 'a', create: true }).subscribe(observer('member'));
  NEVER.pipe(startWith(1), another.whileLocked(lock(backend, 'w'), { onLoss: 'resubscribe' })).subscribe(
    observer('gate'),
  );
  time.pass(5);
  store.expire(sessionIdOf(backend));
  time.pass(50);
  void backend.close();
  time.pass(100);
  const toldTo = (who: string): string[] =>
    log.filter((line) => line.startsWith(who)).map((line) => line.slice(who.length + 1));
  expect(toldTo('leadership')).toEqual(['false', 'true', 'false', 'true', 'false', 'complete']);
  expect(toldTo('holder')).toEqual(['item', 'LockLost']);
  expect(toldTo('waiting')).toEqual(['item', 'complete']);
  expect(toldTo('member')).toEqual(['item', 'item', 'complete']);
  expect(toldTo('gate')).toEqual(['item', 'item', 'complete']);
});
