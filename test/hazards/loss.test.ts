import { config } from 'rxjs';
import { afterEach, describe, expect, test } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { SessionLost, Unavailable } from '../../src/backends/errors.js';
import { leadership } from '../../src/observables/elections/leadership.js';
import { join } from '../../src/observables/groups/join.js';
import type { Grant } from '../../src/observables/holding/grant.js';
import { breakLock } from '../../src/observables/locks/break-lock.js';
import { lock } from '../../src/observables/locks/lock.js';
import { withLock } from '../../src/observables/locks/with-lock.js';
import { type Call, chance, setUp } from '../kernel/scripted-store.js';
import { QUICK, type VirtualTime, virtually } from '../support/virtual-time.js';

chance(0);

describe('redisson #4698, kazoo #2, #555, etcd #6127: the holder is told that its lock is lost', () => {
  type Loss = readonly [why: string, lose: (time: VirtualTime, holder: Backend) => void];
  const losses: readonly Loss[] = [
    ['it is cut off', ({ partition }, holder) => partition(holder)],
    ['the store has expired its session', ({ expire }, holder) => expire(holder)],
  ];

  test.each(losses)('by everything that is held, when %s', (_, lose) => {
    virtually((time) => {
      const holder = time.process();
      const told: string[] = [];
      const held: { isValid(): boolean }[] = [];
      const watch = (what: string) => (one: { isValid(): boolean; readonly signal: AbortSignal }) => {
        if (time.scheduler.now() >= 50) return; // In the next session it takes part again.
        held.push(one);
        one.signal.addEventListener('abort', () => told.push(`${what} aborted`));
      };
      lock(holder, 'l').subscribe({ next: watch('lock'), error: ({ name }) => told.push(`lock ${name}`) });
      leadership(holder, 'e').subscribe((leads) => told.push(`leads ${leads}`));
      join(holder, 'g', { create: true }).subscribe(watch('membership'));
      time.at(50, () => {
        told.splice(0);
        lose(time, holder);
      });
      time.at(150, () => {
        expect(told.slice(0, 4).sort()).toEqual(['leads false', 'lock LockLost', 'lock aborted', 'membership aborted']);
        expect(held.map((one) => one.isValid())).toEqual([false, false]);
      });
    });
  });

  test('and the work under it ends, when an administrator gives it to another', () => {
    virtually(({ process, at }) => {
      const [holder, administrator] = [process(), process()];
      const told: string[] = [];
      withLock(holder, 'l', ({ signal }) => {
        signal.addEventListener('abort', () => told.push('aborted'));
        return new Promise<never>(() => undefined);
      }).subscribe({ error: ({ name, reason }) => told.push(`${name}: ${reason}`) });
      at(30, () => breakLock(administrator, 'l').subscribe((wasHeld) => told.push(`broken ${wasHeld}`)));
      at(31, () => expect(told.sort()).toEqual(['LockLost: evicted', 'aborted', 'broken true']));
    });
  });

  test('before it does another step, though its timers have not run', () => {
    virtually(({ process, block, at }) => {
      const holder = process();
      const told: unknown[] = [];
      lock(holder, 'l').subscribe({
        next: (grant) => {
          at(45, () => {
            block(QUICK.ttlMs);
            told.push(grant.isValid());
          });
        },
        error: ({ name }) => told.push(name),
      });
      at(46, () => expect(told).toEqual(['LockLost', false]));
    });
  });
});

/** When a holder that is cut off at `cutAt` is told, and when its rival gets the lock. */
function timesOfLoss(cutAt: number, ttlMs: number = QUICK.ttlMs): { lostAt: number; followedAt: number } {
  const times = { lostAt: Number.POSITIVE_INFINITY, followedAt: Number.POSITIVE_INFINITY };
  virtually(({ process, scheduler, partition, at }) => {
    const [holder, rival] = [process({ ttlMs }), process({ ttlMs })];
    lock(holder, 'l').subscribe({
      error: () => {
        times.lostAt = scheduler.now();
      },
    });
    lock(rival, 'l').subscribe(() => {
      times.followedAt = scheduler.now();
    });
    at(cutAt, () => partition(holder));
  }, 3_000);
  return times;
}

describe('etcd3 #155, #110, #57: the loss is told within one ttl, not after two', () => {
  test('at whatever moment between two renewals the holder is cut off', () => {
    for (let cutAt = 1; cutAt <= 2 * QUICK.renewEveryMs; cutAt++) {
      const { lostAt } = timesOfLoss(cutAt);
      expect(lostAt, `cut off at ${cutAt}`).toBeLessThanOrEqual(cutAt + QUICK.ttlMs);
    }
  });

  test('where the connection seems to stand but nothing is answered any more', () => {
    for (const unansweredFrom of [1, 20, 21, 60, 99]) {
      const { time, store, log, enter } = setUp();
      store.on('renew', (call) => {
        if (call.sentMs < unansweredFrom) call.answer(call.sentMs);
      });
      enter();
      time.pass(3 * QUICK.ttlMs);
      const told = log.find((line) => line.endsWith('place PlaceLost'));
      expect(Number(told?.split(' ')[0])).toBeLessThanOrEqual(unansweredFrom + QUICK.ttlMs);
    }
  });

  test('where each answer is late: they count from when they were asked for', () => {
    const { time, store, log, enter } = setUp();
    const lateMs = QUICK.requestTimeoutMs - 1;
    store.on('renew', (call) => {
      if (call.sentMs <= 60) call.later(lateMs, () => call.answer(call.sentMs));
    });
    enter();
    time.pass(3 * QUICK.ttlMs);
    const provedMs = Math.max(...store.times('renew').filter((sentMs) => sentMs <= 60));
    const told = log.find((line) => line.endsWith('place PlaceLost'));
    expect(provedMs).toBeGreaterThan(0);
    expect(Number(told?.split(' ')[0])).toBe(provedMs + 94);
  });
});

describe('curator #980: the loss is told before the timeout of the session, not at 1.67 times of it', () => {
  test('and before anybody else is admitted, whatever the ttl and the moment', () => {
    for (const ttlMs of [80, 100, 400]) {
      for (let cutAt = 1; cutAt <= QUICK.renewEveryMs + 1; cutAt++) {
        const { lostAt, followedAt } = timesOfLoss(cutAt, ttlMs);
        expect(lostAt, `ttl ${ttlMs}, cut off at ${cutAt}`).toBeLessThan(followedAt);
        expect(followedAt).toBeLessThanOrEqual(cutAt + ttlMs);
      }
    }
  });

  test.each([60, 100, 1_000])('counted with the timeout that the store has granted, be it %d ms', (grantedMs) => {
    const { time, store, log, enter } = setUp();
    store.on('open', (call) => call.tell(store.session({ ttlMs: grantedMs })));
    store.on('renew', (call) => {
      if (call.sentMs === 20) call.answer(20);
    });
    enter();
    time.pass(2 * grantedMs);
    const told = log.find((line) => line.endsWith('place PlaceLost'));
    expect(Number(told?.split(' ')[0])).toBeLessThan(20 + grantedMs);
    expect(Number(told?.split(' ')[0])).toBeGreaterThan(20 + grantedMs * 0.9 - QUICK.guardMs);
  });
});

/** What reached nobody while `act` ran. */
async function escaped(act: () => void | Promise<void>): Promise<unknown[]> {
  const errors: unknown[] = [];
  config.onUnhandledError = (error) => errors.push(error);
  const rejected = (error: unknown): void => {
    errors.push(error);
  };
  process.on('unhandledRejection', rejected);
  try {
    await act();
    // RxJS reports by a timer, Node after the microtasks.
    await new Promise((resolve) => setTimeout(resolve, 5));
  } finally {
    config.onUnhandledError = null;
    process.off('unhandledRejection', rejected);
  }
  return errors;
}
afterEach(() => {
  config.onUnhandledError = null;
});

describe('redis-semaphore: a rejected refresh is not an uncaught error, and the lock does not stay acquired', () => {
  const thrown = (): never => {
    throw new TypeError('not a reply');
  };
  type Refusal = readonly [how: string, behaviour: (call: Call) => void];
  const refusals: readonly Refusal[] = [
    ['an error of the client', (call) => call.fail(new Error('READONLY You can not write against a replica'))],
    ['a passing failure', (call) => call.fail(new Unavailable('scripted', 'renew'))],
    ['something thrown', () => thrown()],
    ['no error at all', (call) => call.fail(undefined)],
  ];

  test.each(refusals)('with %s it is lost at the deadline', async (_, behaviour) => {
    const { time, store, log, faults, enter } = setUp();
    let place: { isValid(): boolean } | undefined;
    const errors = await escaped(() => {
      store.on('renew', behaviour);
      const stay = enter();
      place = stay.places[0];
      time.pass(QUICK.ttlMs);
    });
    expect(errors).toEqual([]);
    expect(log).toContain('94 place aborted');
    expect(log).toContain('94 place PlaceLost');
    expect(place?.isValid()).toBe(false);
    expect(faults.every((fault) => fault instanceof Error)).toBe(true);
  });

  test('with the word that the session has ended it is lost at once', async () => {
    const { time, store, log, enter } = setUp();
    const errors = await escaped(() => {
      store.on('renew', (call) => call.fail(new SessionLost('s1', 'unknown session', true)));
      enter();
      time.pass(25);
    });
    expect(errors).toEqual([]);
    expect(log).toContain('20 place PlaceLost');
  });

  test('once, it is sent again, and nothing is lost', () => {
    const { time, store, log, enter } = setUp();
    store.on('renew', (call) => {
      if (call.sentMs === 20) call.fail(new Error('LOADING'));
      else call.answer(call.sentMs);
    });
    enter();
    time.pass(4 * QUICK.ttlMs);
    expect(log.filter((line) => / place (admitted|aborted|PlaceLost)/.test(line))).toEqual(['0 place admitted']);
  });
});

describe('redlock #283, PR 369: expiry crashes nothing, and a lock that has expired is not given out', () => {
  test('nobody needs to listen to anything but the lock itself', async () => {
    const errors = await escaped(() => {
      virtually(({ process, partition, expire, at }) => {
        const [one, two] = [process(), process()];
        for (const backend of [one, two]) {
          lock(backend, backend === one ? 'a' : 'b').subscribe({ error: () => undefined });
          leadership(backend, 'e').subscribe();
          join(backend, 'g', { create: true }).subscribe();
        }
        at(30, () => partition(one));
        at(50, () => expire(two));
      });
    });
    expect(errors).toEqual([]);
  });

  test('where the answer comes after the deadline', () => {
    const { time, store, log, backend } = setUp();
    store.hold('enter', 'renew');
    const grants: Grant[] = [];
    lock(backend, 'l').subscribe((grant) => grants.push(grant));
    time.pass(80);
    // The loop is blocked, the answer is read first, the timers run later.
    time.block(30);
    store.last('enter').answer(store.standing());
    expect(grants).toEqual([]);
    store.on('enter', (call) => call.answer(store.standing()));
    store.on('renew', (call) => call.answer(call.sentMs));
    time.pass(50);
    expect(grants.map((grant) => grant.isValid())).toEqual([true]);
    expect(log.filter((line) => line.endsWith('open'))).toHaveLength(2);
  });

  test('where it is asked for in a session that is over, before any timer has told', () => {
    virtually(({ process, scheduler, block, at }) => {
      const backend = process();
      backend.session$.subscribe();
      const granted: unknown[] = [];
      at(50, () => {
        block(2 * QUICK.ttlMs);
        lock(backend, 'l').subscribe((grant) => granted.push([scheduler.now() > 50, grant.isValid()]));
        expect(granted).toEqual([]);
      });
      at(150, () => expect(granted).toEqual([[true, true]]));
    });
  });

  test('where it was lost in the midst of being granted', () => {
    const { time, store, backend } = setUp();
    const seen: unknown[] = [];
    store.on('enter', (call) => {
      call.answer(store.standing());
      store.latest.link.error(new SessionLost(store.latest.id, 'expired', true));
      store.on('enter', (next) => next.answer(store.standing()));
    });
    lock(backend, 'l').subscribe({
      next: (grant) => seen.push(grant.isValid()),
      error: ({ name }) => seen.push(name),
    });
    expect(seen).toEqual([]);
    time.pass(50);
    expect(seen).toEqual([true]);
    expect(store.sessions).toHaveLength(2);
  });
});
