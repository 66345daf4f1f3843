import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { connect, type Grant, LockLost, lock, type Session } from 'conclave';
import { firstValueFrom, ReplaySubject } from 'rxjs';
import { expect, inject, test } from 'vitest';
// Bundled before, in a thread of its own, and not while the first case looks for one.
import '../../support/here.js';
import { firstWithin } from '../../../src/testing/processes/until.js';

const limit = { timeout: 60_000 };
const LIMIT_MS = 20_000;

/** The next thread that is started in this process. */
const nextThread = async (): Promise<Worker> => {
  const [worker] = (await once(process, 'worker')) as [Worker];
  return worker;
};

test('after close no thread is left', limit, async () => {
  const starting = nextThread();
  const backend = connect(inject('redisUrl'), { renewal: 'thread', namespace: crypto.randomUUID() });
  const grant = lock(backend, 'ledger').subscribe();
  const thread = await starting;
  await firstWithin(backend.session$, ({ state }) => state === 'live', LIMIT_MS, 'the session');
  let hasEnded = false;
  thread.once('exit', () => {
    hasEnded = true;
  });
  await backend.close();
  expect([hasEnded, grant.closed]).toEqual([true, true]);
});

test('closed while its thread is being started, none is left', limit, async () => {
  const starting = nextThread();
  const backend = connect(inject('redisUrl'), { renewal: 'thread' });
  backend.session$.subscribe();
  const ended = once(await starting, 'exit');
  await backend.close();
  await ended;
});

test(
  'when the thread dies, the session is in doubt, lost at its deadline, and another is opened in another',
  limit,
  async () => {
    const starting = nextThread();
    const backend = connect(inject('redisUrl'), { renewal: 'thread', ttlMs: 2_000, namespace: crypto.randomUUID() });
    const sessions = new ReplaySubject<Session>();
    backend.session$.subscribe(sessions);
    const grants = new ReplaySubject<Grant>();
    lock(backend, 'ledger').subscribe(grants);
    const thread = await starting;
    const grant = await firstWithin(grants, () => true, LIMIT_MS, 'the lock');
    await thread.terminate();
    const suspended = await firstWithin(sessions, ({ state }) => state === 'suspended', LIMIT_MS, 'the doubt');
    expect([suspended.state, grant.isValid()]).toEqual(['suspended', true]);
    const lost = await new Promise((resolve) => grants.subscribe({ error: resolve }));
    expect(lost).toBeInstanceOf(LockLost);
    expect(grant.isValid()).toBe(false);
    await firstValueFrom(lock(backend, 'ledger'));
    await backend.close();
  },
);
