import { afterEach, describe, expect, test, vi } from 'vitest';
import { monotonicScheduler } from '../../src/backends/kernel/clock.js';
import { leadership } from '../../src/observables/elections/leadership.js';
import { lock } from '../../src/observables/locks/lock.js';
import { askRedis } from '../../src/testing/servers/redis.js';
import { virtually } from '../support/virtual-time.js';
import { OwnClock } from './own-clock.js';
import { realStores, redisStore, stageOn } from './stores.js';

const dayMs = 24 * 60 * 60 * 1_000;

afterEach(() => {
  vi.restoreAllMocks();
});

describe('curator, Pekko, redisson fair lock, redis-semaphore, kazoo lease: no wall clock is trusted, nor the clock of a client', () => {
  test('clients whose clocks are days apart hold one after the other, for as long as each wants', () => {
    virtually(({ process, scheduler, at }) => {
      const backends = [0, dayMs, -dayMs].map((aheadMs) => {
        const clock = new OwnClock(scheduler);
        clock.aheadMs = aheadMs;
        clock.wallAheadMs = -3 * aheadMs;
        return process({ scheduler: clock });
      });
      const log: (string | number)[] = [];
      const tokens: bigint[] = [];
      for (const [index, backend] of backends.entries()) {
        const held = lock(backend, 'l').subscribe({
          next: ({ token }) => {
            log.push(index);
            tokens.push(token);
          },
          error: ({ name }) => log.push(name),
        });
        at(300 * (index + 1), () => held.unsubscribe());
      }
      at(299, () => expect(log).toEqual([0]));
      at(599, () => expect(log).toEqual([0, 1]));
      at(899, () => {
        expect(log).toEqual([0, 1, 2]);
        expect(tokens).toEqual(tokens.toSorted((a, b) => Number(a - b)));
      });
    });
  });

  test('a wall clock that jumps, either way, never makes two leaders; only one that leaps over the deadline costs the lead', () => {
    for (const jumpMs of [-dayMs, -1_000, -50, 50, 1_000, dayMs]) {
      virtually(({ process, scheduler, at }) => {
        const clock = new OwnClock(scheduler);
        const [jumpy, steady] = [process({ scheduler: clock }), process()];
        const leading = new Set<string>();
        const log: string[] = [];
        for (const [name, backend] of [['jumpy', jumpy] as const, ['steady', steady] as const]) {
          leadership(backend, 'e').subscribe((leads) => {
            if (leads) leading.add(name);
            else leading.delete(name);
            log.push(`${name} ${leads}`);
            expect(leading.size).toBeLessThanOrEqual(1);
          });
        }
        at(50, () => {
          clock.wallAheadMs += jumpMs;
        });
        const before = ['jumpy false', 'jumpy true', 'steady false'];
        at(200, () => expect(log).toEqual(jumpMs < 100 ? before : [...before, 'jumpy false', 'steady true']));
      });
    }
  });

  test.each(realStores)('on %s, with clients whose wall clocks are a day ahead and behind', async (_name, store) => {
    const realNow = Date.now.bind(Date);
    const off = (aheadMs: number) => ({ ...monotonicScheduler, wallNow: () => realNow() + aheadMs });
    await using stage = stageOn(store);
    const client = (aheadMs: number) => ({ aheadMs, backend: stage.backend({ scheduler: off(aheadMs) }) });
    const [first, second, third] = [client(0), client(dayMs), client(-dayMs)];
    const now = vi.spyOn(Date, 'now');
    /** Whatever is asked for the time of day meanwhile hears it of that client. */
    const as = ({ aheadMs, backend }: ReturnType<typeof client>) => {
      now.mockImplementation(() => realNow() + aheadMs);
      return backend;
    };
    const { grant, held } = await stage.hold(as(first), 'ledger');
    const waiting = stage.probe(lock(as(second), 'ledger'));
    await stage.inLine('ledger', 2);
    const last = stage.probe(lock(as(third), 'ledger'));
    await stage.inLine('ledger', 3);
    expect([grant.isValid(), waiting.values.length, last.values.length]).toEqual([true, 0, 0]);
    held.unsubscribe();
    const { token } = await waiting.first('the lock', stage.promptMs);
    expect([token > grant.token, last.values.length]).toEqual([true, 0]);
    waiting.unsubscribe();
    const { token: lastToken } = await last.first('the lock', stage.promptMs);
    expect(lastToken).toBeGreaterThan(token);
  });

  test('a leap of the clock of Redis itself, either way, neither frees nor ends what is held', async () => {
    await using stage = stageOn(redisStore);
    const { grant, held } = await stage.hold(stage.backend(), 'ledger');
    const rival = stage.probe(lock(stage.backend(), 'ledger'));
    await stage.inLine('ledger', 2);
    const keys = await askRedis(redisStore.url, 'KEYS', `{${stage.options.namespace}:*}:m`);
    const main = /\{[^\r\n]*\}:m(?=\r)/.exec(keys)?.[0] ?? '';
    // To the shard, a last script that was 30 s earlier, or later, is a clock that has leapt.
    for (const leapUs of [-30_000_000, 30_000_000]) {
      expect(await askRedis(redisStore.url, 'HINCRBY', main, 'seen', `${leapUs}`)).toMatch(/^:\d/);
      // Each of these is a script, after which an expired session would be gone.
      for (let look = 0; look < 3; look++) expect(await stage.entries('ledger')).toHaveLength(2);
      expect([grant.isValid(), held.hasEnded, rival.values.length]).toEqual([true, false, 0]);
    }
    held.unsubscribe();
    await rival.first('the lock', stage.promptMs);
  });
});
