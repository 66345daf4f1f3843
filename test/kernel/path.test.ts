import { firstValueFrom } from 'rxjs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Patience } from '../../src/backends/kernel/patience.js';
import { Row } from '../../src/backends/kernel/row.js';
import { memory } from '../../src/backends/memory/index.js';
import { ToldEnd } from '../../src/backends/shared/told-end.js';
import { tellDueLosses } from '../../src/backends/validity.js';
import { lock } from '../../src/observables/locks/lock.js';
import { acquire } from '../../src/promises/acquire.js';
import { ManualTime } from '../support/virtual-time.js';

/** Counts the timers that are set. */
function countTimers(time: ManualTime): { timers: number } {
  const count = { timers: 0 };
  const schedule = time.schedule.bind(time);
  vi.spyOn(time, 'schedule').mockImplementation((...all) => {
    count.timers += 1;
    return schedule(...all);
  });
  return count;
}

/** Counts the controllers that are made. */
function countControllers(): { made: number } {
  const count = { made: 0 };
  vi.stubGlobal(
    'AbortController',
    class extends AbortController {
      constructor() {
        super();
        count.made += 1;
      }
    },
  );
  return count;
}

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

describe('what an acquisition and a release cost here', () => {
  it('no AbortController, no timer, and no random number where nobody asks for a signal', async () => {
    const time = new ManualTime();
    const count = countTimers(time);
    const backend = memory({ scheduler: time });
    const pair = async (): Promise<boolean> => (await acquire(lock(backend, 'l'))).release();
    await pair();
    const { timers } = count;
    const controllers = countControllers();
    const random = vi.spyOn(crypto, 'getRandomValues');
    for (let i = 0; i < 100; i++) expect(await pair()).toBe(true);
    expect(controllers.made).toBe(0);
    expect(random).not.toHaveBeenCalled();
    expect(count.timers - timers).toBe(0);
    const held = await acquire(lock(backend, 'l'));
    expect(held.signal.aborted).toBe(false);
    expect(controllers.made).toBeGreaterThan(0);
    void backend.close();
  });

  it('each entry has an id of its own, of 32 hexadecimal digits, and no two sessions have one in common', async () => {
    const ids = new Set<string>();
    for (let session = 0; session < 3; session++) {
      const backend = memory({ scheduler: new ManualTime() });
      for (let i = 0; i < 20; i++) ids.add((await firstValueFrom(lock(backend, `l${i}`))).id);
      void backend.close();
    }
    expect(ids.size).toBe(60);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/);
  });

  it('a signal that is asked for late tells how it has ended, and the stream the same', async () => {
    const time = new ManualTime();
    const backend = memory({ scheduler: time, ttlMs: 10_000 });
    const errors: unknown[] = [];
    const grants = [lock(backend, 'a'), lock(backend, 'b')].map((lock$) => {
      let held: { readonly signal: AbortSignal } | undefined;
      const holding = lock$.subscribe({
        next: (grant) => {
          held = grant;
        },
        error: (error) => errors.push(error),
      });
      return { holding, signal: (): AbortSignal => held?.signal ?? AbortSignal.abort('nothing is held') };
    });
    grants[0]?.holding.unsubscribe();
    expect(grants[0]?.signal().reason).toMatchObject({ _tag: 'Released' });
    time.block(20_000);
    tellDueLosses();
    expect(grants[1]?.signal().reason).toMatchObject({ _tag: 'LockLost' });
    expect(errors).toEqual([grants[1]?.signal().reason]);
    void backend.close();
  });
});

describe('ToldEnd', () => {
  it('makes neither signal nor reason before somebody asks, and tells the first end', () => {
    const controllers = countControllers();
    const reason = vi.fn(() => 'first');
    const end = new ToldEnd();
    end.tell(reason);
    end.tell(() => 'second');
    expect(controllers.made).toBe(0);
    expect(reason).not.toHaveBeenCalled();
    expect(end.signal.reason).toBe('first');
    expect(end.signal).toBe(end.signal);
    expect(reason).toHaveBeenCalledTimes(1);
  });

  it('tells who has asked before', () => {
    const end = new ToldEnd();
    const { signal } = end;
    const heard = vi.fn();
    signal.addEventListener('abort', heard);
    end.tell(() => 'over');
    expect(heard).toHaveBeenCalledTimes(1);
    expect(signal.reason).toBe('over');
  });
});

describe('Patience', () => {
  it('tells each when it has waited for so long, by one timer for all', () => {
    const time = new ManualTime();
    const count = countTimers(time);
    const patience = new Patience(30, time);
    const told: string[] = [];
    const begin = (name: string) => patience.begin(() => told.push(`${time.now()} ${name}`));
    begin('a');
    time.pass(10);
    const answered = begin('b');
    begin('c');
    for (let i = 0; i < 1_000; i++) begin('answered').leave();
    expect(count.timers).toBe(1);
    answered.leave();
    time.pass(100);
    expect(told).toEqual(['30 a', '40 c']);
    expect(count.timers).toBe(2);
    begin('d');
    time.pass(30);
    expect(told.at(-1)).toBe('140 d');
  });

  it('sets no timer when nobody waits any more, and tells nobody once it is disposed of', () => {
    const time = new ManualTime();
    const count = countTimers(time);
    const patience = new Patience(30, time);
    const over = vi.fn();
    patience.begin(over).leave();
    time.pass(100);
    expect(count.timers).toBe(1);
    patience.begin(over);
    patience.dispose();
    time.pass(100);
    expect(over).not.toHaveBeenCalled();
  });
});

describe('Row', () => {
  it('keeps the order in which they came, whoever leaves, be it twice', () => {
    const row = new Row<string>();
    const [a, b, c] = ['a', 'b', 'c'].map((name) => row.add(name));
    b?.leave();
    b?.leave();
    expect([...row]).toEqual(['a', 'c']);
    a?.leave();
    row.add('d');
    expect(row.first).toBe(c);
    c?.leave();
    expect([...row]).toEqual(['d']);
    row.first?.leave();
    expect([...row]).toEqual([]);
    row.add('e');
    expect([...row]).toEqual(['e']);
  });

  it('is gone through as it was, but for those who have left by their turn', () => {
    const row = new Row<string>();
    const standers = ['a', 'b', 'c'].map((name) => row.add(name));
    const seen: string[] = [];
    for (const name of row) {
      seen.push(name);
      if (name === 'a') standers[1]?.leave();
      if (name === 'a') row.add('late');
    }
    expect(seen).toEqual(['a', 'c']);
  });
});
