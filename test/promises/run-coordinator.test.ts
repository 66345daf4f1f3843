import { createTask } from 'node-cron';
import { firstValueFrom, mergeMap } from 'rxjs';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { BackendClosed, InvalidName, InvalidOptions, NotSupported, OutcomeUnknown } from '../../src/backends/errors.js';
import { memory } from '../../src/backends/memory/index.js';
import { scheduleHistory } from '../../src/observables/scheduling/schedule-history.js';
import { runCoordinator } from '../../src/promises/run-coordinator.js';

const key = (second: number): string => `send: invoices:2026-11-27T10:00:0${second}.000Z`;

describe('runCoordinator', () => {
  it('lets one of two run each tick, and none that lies before the last', async () => {
    const [a, b] = [memory({ store: 'cron' }), memory({ store: 'cron' })];
    const [one, other] = [runCoordinator(a), runCoordinator(b)];
    const asked = await Promise.all([one.shouldRun(key(1), 1_000), other.shouldRun(key(1), 1_000)]);
    expect([...asked].sort()).toEqual([false, true]);
    expect(await one.shouldRun(key(3), 1_000)).toBe(true);
    expect(await other.shouldRun(key(2), 1_000)).toBe(false);
    await one.onComplete(key(3));
    await one.onComplete(key(2));
    expect(await firstValueFrom(scheduleHistory(b, 'send: invoices'))).toMatchObject([
      { date: new Date('2026-11-27T10:00:01Z'), state: 'claimed', attempt: 1, token: 0n },
      { date: new Date('2026-11-27T10:00:03Z'), state: 'done', startedAt: expect.any(Date), endedAt: expect.any(Date) },
    ]);
    await Promise.all([a.close(), b.close()]);
  });

  it('WhoseAnswerGotLost: who has claimed a tick runs it, also where the store did not tell', async () => {
    const [a, b] = [memory({ store: 'lost' }), memory({ store: 'lost' })];
    let writes = 0;
    const swap: Backend['swap'] = (...write) =>
      a.swap(...write).pipe(
        mergeMap(async (result) => {
          if (writes++ > 0) return result;
          if (isOvertaken) await runCoordinator(b).shouldRun(key(9), 1_000);
          throw new OutcomeUnknown('test', 'a write', 'its answer got lost');
        }),
      );
    let isOvertaken = false;
    const { shouldRun } = runCoordinator({ ...a, swap });
    expect(await shouldRun(key(1), 1_000)).toBe(true);
    expect(await runCoordinator(b).shouldRun(key(1), 1_000)).toBe(false);
    isOvertaken = true;
    writes = 0;
    expect(await shouldRun(key(5), 1_000)).toBe(true);
    expect(await shouldRun(key(9), 1_000)).toBe(false);
    await Promise.all([a.close(), b.close()]);
  });

  it('rejects rather than guesses', async () => {
    const backend = memory();
    const { shouldRun, onComplete } = runCoordinator(backend);
    for (const wrong of ['invoices', 'invoices:yesterday', ':2026-11-27T10:00:00.000Z', 'a:2026-13-27T10:00:00.000Z'])
      await expect(shouldRun(wrong, 1_000)).rejects.toThrow(InvalidName);
    await expect(onComplete('invoices')).rejects.toThrow(InvalidName);
    await backend.close();
    await expect(shouldRun(key(1), 1_000)).rejects.toThrow(BackendClosed);
    const open = memory();
    const { shouldRun: asks } = runCoordinator(open);
    const asked = asks(key(1), 1_000).catch((error: unknown) => error);
    await open.close();
    expect(await asked).toSatisfy((answer) => answer === true || answer instanceof BackendClosed);
    expect(() => runCoordinator({} as never)).toThrow(InvalidOptions);
    const { characteristics } = open;
    expect(() => runCoordinator({ ...open, characteristics: { ...characteristics, cells: false } })).toThrow(
      NotSupported,
    );
  });

  describe('with node-cron', () => {
    afterEach(() => {
      vi.useRealTimers();
    });

    it('runs each tick once over three instances', async () => {
      vi.useFakeTimers({ now: new Date('2026-11-27T09:59:59.500Z') });
      const backends = [1, 2, 3].map(() => memory({ store: 'node-cron' }));
      const runs: string[] = [];
      const skipped: string[] = [];
      const tasks = backends.map((backend) => {
        const options = {
          name: 'invoices',
          distributed: true,
          runCoordinator: runCoordinator(backend),
          timezone: 'UTC',
        };
        const task = createTask('* * * * * *', ({ date }) => void runs.push(date.toISOString()), options);
        task.on('execution:skipped', ({ date, reason }) => void skipped.push(`${date.toISOString()} ${reason}`));
        return task;
      });
      for (const task of tasks) await task.start();
      await vi.advanceTimersByTimeAsync(3_000);
      expect(runs).toEqual([0, 1, 2].map((second) => `2026-11-27T10:00:0${second}.000Z`));
      expect(skipped).toHaveLength(6);
      expect(new Set(skipped.map((it) => it.split(' ')[1]))).toEqual(new Set(['not-elected']));
      for (const task of tasks) await task.destroy();
      const closing = Promise.all(backends.map((backend) => backend.close()));
      await vi.advanceTimersByTimeAsync(1_000);
      await closing;
    });
  });
});
