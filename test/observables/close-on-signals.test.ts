import { firstValueFrom, lastValueFrom, map, type Subscription, timer } from 'rxjs';
import { afterEach, expect, test, vi } from 'vitest';
import { MemoryStore, memory } from '../../src/backends/memory/index.js';
import { lock } from '../../src/observables/locks/lock.js';
import { withLock } from '../../src/observables/locks/with-lock.js';
import { closeOnSignals } from '../../src/observables/session/close-on-signals.js';
import { status } from '../../src/observables/session/status.js';
import { spawnClient } from '../../src/testing/processes/client-process.js';
import { ManualTime } from '../support/virtual-time.js';

let listening: Subscription | undefined;

afterEach(() => {
  listening?.unsubscribe();
  vi.restoreAllMocks();
});

test('what is held is handed over before the signal is told, and only then the process ends', async () => {
  const store = new MemoryStore();
  const [backend, other] = [memory({ store }), memory({ store })];
  const seen: string[] = [];
  vi.spyOn(process, 'kill').mockImplementation((_, signal) => {
    seen.push(`raised ${String(signal)}`);
    return true;
  });
  lock(backend, 'ledger').subscribe();
  const next = firstValueFrom(lock(other, 'ledger')).then(() => seen.push('next'));
  const closed = new Promise<void>((done) => {
    listening = closeOnSignals(backend, { signals: ['SIGHUP'] }).subscribe({
      next: (signal) => seen.push(signal),
      complete: done,
    });
  });
  process.emit('SIGHUP', 'SIGHUP');
  await next;
  await closed;
  expect(seen).toEqual(['next', 'SIGHUP', 'raised SIGHUP']);
  await other.close();
});

test('who else listens for the signal decides how the process ends', async () => {
  const backend = memory();
  const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
  const other = (): void => undefined;
  process.on('SIGHUP', other);
  const closed = lastValueFrom(closeOnSignals(backend, { signals: ['SIGHUP'] }));
  process.emit('SIGHUP', 'SIGHUP');
  expect(await closed).toBe('SIGHUP');
  process.off('SIGHUP', other);
  expect(kill).not.toHaveBeenCalled();
});

test('who waits by firstValueFrom decides how the process ends: the signal is not raised before he goes on', async () => {
  const backend = memory();
  const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
  const before = process.listenerCount('SIGHUP');
  const closed = firstValueFrom(closeOnSignals(backend, { signals: ['SIGHUP'] }));
  process.emit('SIGHUP', 'SIGHUP');
  expect(await closed).toBe('SIGHUP');
  expect([kill.mock.calls, process.listenerCount('SIGHUP')]).toEqual([[], before]);
});

test('of several backends, the last that is closed ends the process', async () => {
  const [first, last] = [memory(), memory()];
  const seen: string[] = [];
  vi.spyOn(process, 'kill').mockImplementation(() => {
    seen.push('raised');
    return true;
  });
  let finish = (): void => undefined;
  const work = new Promise<void>((done) => {
    finish = done;
  });
  withLock(last, 'ledger', () => work).subscribe();
  const ended = [first, last].map((backend) => lastValueFrom(closeOnSignals(backend, { signals: ['SIGHUP'] })));
  process.emit('SIGHUP', 'SIGHUP');
  await ended[0];
  seen.push('first');
  finish();
  await ended[1];
  expect(seen).toEqual(['first', 'raised']);
});

test('CutShort: a signal that is raised again meanwhile is ignored, and the process ends when everything is released', async () => {
  const backend = memory();
  const seen: string[] = [];
  vi.spyOn(process, 'kill').mockImplementation((_, signal) => {
    seen.push(`raised ${String(signal)}`);
    return true;
  });
  let finish = (): void => undefined;
  const work = new Promise<void>((done) => {
    finish = done;
  });
  withLock(backend, 'ledger', () => work).subscribe(() => seen.push('done'));
  const before = process.listenerCount('SIGHUP');
  const closed = lastValueFrom(closeOnSignals(backend, { signals: ['SIGHUP', 'SIGQUIT'] }));
  for (const signal of ['SIGHUP', 'SIGHUP', 'SIGQUIT'] as const) process.emit(signal, signal);
  expect([process.listenerCount('SIGHUP'), seen]).toEqual([before + 1, []]);
  finish();
  expect(await closed).toBe('SIGHUP');
  expect([process.listenerCount('SIGHUP'), seen]).toEqual([before, ['done', 'raised SIGHUP']]);
});

/** A backend whose work goes on until it is told to end, and what is done to the process, which outlives it here. */
function working(forceAfter?: number) {
  const time = new ManualTime();
  const backend = memory({ scheduler: time });
  const seen: string[] = [];
  vi.spyOn(process, 'kill').mockImplementation((_, signal) => {
    seen.push(`raised ${String(signal)}`);
    return true;
  });
  vi.spyOn(process, 'exit').mockImplementation((code) => {
    seen.push(`exit ${code}`);
    return undefined as never;
  });
  let finish = (): void => undefined;
  withLock(backend, 'ledger', () => new Promise<void>((done) => (finish = done))).subscribe();
  listening = closeOnSignals(backend, { signals: ['SIGHUP', 'SIGQUIT'], forceAfter, drainMs: 60_000 }).subscribe({
    next: (signal) => seen.push(signal),
    complete: () => seen.push('complete'),
  });
  const receive = (signal: 'SIGHUP' | 'SIGQUIT', afterMs = 500): void => {
    time.pass(afterMs);
    process.emit(signal, signal);
  };
  const end = async (): Promise<void> => {
    finish();
    await backend.close();
    vi.restoreAllMocks();
  };
  return { seen, receive, end };
}

test('the signal after forceAfter ends the process at once, and nothing is emitted', async () => {
  for (const forceAfter of [undefined, 1]) {
    const before = process.listenerCount('SIGHUP');
    const { seen, receive, end } = working(forceAfter);
    for (let signals = 1; signals <= (forceAfter ?? 3); signals++) receive('SIGHUP');
    expect(seen).toEqual([]);
    receive('SIGQUIT');
    expect([process.listenerCount('SIGHUP'), seen]).toEqual([before, ['raised SIGQUIT', 'complete']]);
    await end();
  }
});

test('CutShort: signals that others raise again, in a burst, count once, and do not cut off the work', async () => {
  const { seen, receive, end } = working();
  for (let raised = 0; raised < 10; raised++) receive('SIGHUP', raised === 0 ? 500 : 49);
  for (const afterMs of [59, 1, 498]) receive('SIGQUIT', afterMs);
  expect(seen).toEqual([]); // two have counted
  receive('SIGHUP', 1);
  expect(seen).toEqual([]);
  receive('SIGHUP', 499);
  expect(seen).toEqual([]);
  receive('SIGHUP', 1);
  expect(seen).toEqual(['raised SIGHUP', 'complete']);
  await end();
});

test('Unstoppable: the signal after forceAfter ends the process also where somebody else listens for it', async () => {
  const other = (): void => undefined;
  for (const [signal, code] of [
    ['SIGHUP', 129],
    ['SIGQUIT', 131],
  ] as const) {
    process.on(signal, other);
    const { seen, receive, end } = working(1);
    receive(signal);
    expect(seen).toEqual([]);
    receive(signal);
    process.off(signal, other);
    expect(seen).toEqual([`exit ${code}`, 'complete']);
    await end();
  }
});

test('with drainMs work in progress is done before the process ends', async () => {
  const backend = memory();
  vi.spyOn(process, 'kill').mockReturnValue(true);
  const states: string[] = [];
  status(backend).subscribe(({ state }) => states.push(state));
  const done = lastValueFrom(withLock(backend, 'ledger', () => timer(50).pipe(map(() => 'done'))));
  const closed = lastValueFrom(closeOnSignals(backend, { signals: ['SIGHUP'], drainMs: 10_000 }));
  process.emit('SIGHUP', 'SIGHUP');
  expect(await Promise.all([done, closed])).toEqual(['done', 'SIGHUP']);
  expect(states).toEqual(['live', 'draining', 'closed']);
});

test('CutShort: another listener that waits for close() does not cut off the work that drains', async () => {
  const backend = memory();
  vi.spyOn(process, 'kill').mockReturnValue(true);
  const seen: string[] = [];
  let finish = (): void => undefined;
  const work = new Promise<void>((done) => {
    finish = done;
  });
  withLock(backend, 'ledger', async ({ signal }) => {
    await work;
    seen.push(signal.aborted ? 'cut' : 'done');
  }).subscribe();
  const closed = lastValueFrom(closeOnSignals(backend, { signals: ['SIGHUP'], drainMs: 10_000 }));
  const waited = new Promise<void>((done) =>
    process.once('SIGHUP', async () => {
      await backend.close();
      seen.push('closed');
      done();
    }),
  );
  process.emit('SIGHUP', 'SIGHUP');
  finish();
  await Promise.all([waited, closed]);
  expect(seen).toEqual(['done', 'closed']);
});

test('options that cannot be are refused at the call', () => {
  const tooFar = [{ drainMs: 2 ** 31 }, { forceAfter: 2 ** 31 }];
  for (const wrong of [
    { signals: ['SIGKILL'] },
    ['SIGTERM'],
    { drainMs: -1 },
    { forceAfter: 0 },
    { drain: 5 },
    ...tooFar,
  ])
    expect(() => closeOnSignals(memory(), wrong as never)).toThrow(expect.objectContaining({ _tag: 'InvalidOptions' }));
});

test('in a page it errors with NotSupported, whatever stands there in place of process', async () => {
  const silent = () => undefined;
  const shims = {
    none: undefined,
    'environment only': { env: {} },
    'the usual one': { env: {}, version: '', versions: {}, browser: true, on: silent, once: silent, off: silent },
    'one that claims to be Node': { env: {}, versions: { node: '22.0.0' }, on: silent, off: silent },
  };
  const backend = memory();
  const seen: unknown[] = [];
  const real = process;
  for (const shim of Object.values(shims)) {
    globalThis.process = shim as never;
    try {
      closeOnSignals(backend).subscribe({ error: (error) => seen.push(error._tag ?? error) });
    } finally {
      globalThis.process = real;
    }
  }
  expect(seen).toEqual(Object.keys(shims).map(() => 'NotSupported'));
  await backend.close();
});

test('SIGTERM and SIGINT are listened for unless told otherwise', async () => {
  const backend = memory();
  const counts = (): number[] => ['SIGTERM', 'SIGINT', 'SIGHUP'].map((signal) => process.listenerCount(signal));
  const [term = 0, int = 0, hup = 0] = counts();
  listening = closeOnSignals(backend).subscribe();
  expect(counts()).toEqual([term + 1, int + 1, hup]);
  await backend.close();
});

test('an unsubscribed one listens no more', async () => {
  const backend = memory();
  const before = process.listenerCount('SIGHUP');
  const subscription = closeOnSignals(backend, { signals: ['SIGHUP', 'SIGQUIT'] }).subscribe();
  expect(process.listenerCount('SIGHUP')).toBe(before + 1);
  subscription.unsubscribe();
  expect(process.listenerCount('SIGHUP')).toBe(before);
  await backend.close();
});

test('a real process ends by the signal that it was sent, after it has released everything', async () => {
  await using client = await spawnClient<Record<string, never>, string>(
    new URL('./closing-process.ts', import.meta.url),
  );
  await client.untilMessage((message) => message === 'held', 10_000);
  process.kill(client.pid, 'SIGTERM');
  await client.untilMessage((message) => message === 'released', 10_000);
  expect(await client.ended).toEqual({ code: null, signal: 'SIGTERM' });
});
