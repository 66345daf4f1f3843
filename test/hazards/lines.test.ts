import { setTimeout as delay } from 'node:timers/promises';
import { isLeft, isRight } from 'fp-ts/lib/Either.js';
import { fromEvent, takeUntil } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { leadership } from '../../src/observables/elections/leadership.js';
import { holders } from '../../src/observables/locks/holders.js';
import { lock } from '../../src/observables/locks/lock.js';
import { tryLock } from '../../src/observables/locks/try-lock.js';
import { until } from '../../src/testing/processes/probes.js';
import { setUp } from '../kernel/scripted-store.js';
import { virtually } from '../support/virtual-time.js';
import { childrenOf, RawZooKeeper } from './raw-zookeeper.js';
import { networkTo, realStores, stageOn, zooKeeperStore } from './stores.js';

describe('kazoo #732, #429: a failed try-lock leaves no contender in line and blocks nobody', () => {
  test('whichever way one tries, whatever breaks meanwhile', () => {
    for (const cutAt of [undefined, 9, 10, 11]) {
      virtually(({ process, partition, heal, at }) => {
        const [holder, hasty, next] = [process(), process(), process()];
        hasty.session$.subscribe();
        const log: string[] = [];
        const held = lock(holder, 'l').subscribe();
        let inLine = 0;
        holders(next, 'l').subscribe();
        next.entries({ kind: 'lock', name: 'l' }).subscribe(({ length }) => {
          inLine = length;
        });
        if (cutAt !== undefined) at(cutAt, () => partition(hasty));
        at(10, () => {
          tryLock(hasty, 'l').subscribe((taken) => log.push(`try ${isLeft(taken)}`));
          lock(hasty, 'l', { waitMs: 0 }).subscribe({ error: ({ name }) => log.push(`at once ${name}`) });
          lock(hasty, 'l', { waitMs: 5 }).subscribe({ error: ({ name }) => log.push(`for 5 ms ${name}`) });
        });
        at(40, () => heal(hasty));
        at(90, () => {
          expect(log.sort()).toEqual(['at once LockNotAcquired', 'for 5 ms LockNotAcquired', 'try true']);
          expect(inLine).toBe(1);
          lock(next, 'l').subscribe(() => log.push('next'));
          held.unsubscribe();
          expect(log).toContain('next');
        });
      });
    }
  });

  test('where its answer was lost: it is asked for again, and taken back, under the same id', () => {
    const { time, store, backend } = setUp();
    const seen: boolean[] = [];
    store.hold('enter');
    tryLock(backend, 'l').subscribe((taken) => seen.push(isRight(taken)));
    store.on('enter', (call) => call.answer(store.standing(1)));
    time.pass(60);
    expect(seen).toEqual([false]);
    expect(store.all('enter').length).toBeGreaterThan(1);
    expect(new Set([...store.ids('enter'), ...store.ids('leave')]).size).toBe(1);
    expect(store.last('leave').args[2]).toBe(true);
  });
});

describe('node-redlock #86: a pending acquire can be cancelled', () => {
  test('by unsubscribing, at whatever moment, and leaves nothing in line', () => {
    for (let cancelAt = 0; cancelAt <= 60; cancelAt += 2) {
      virtually(({ process, partition, heal, at }) => {
        const [holder, waiter, next] = [process(), process(), process()];
        const log: string[] = [];
        const held = lock(holder, 'l').subscribe();
        const abort = new AbortController();
        lock(waiter, 'l')
          .pipe(takeUntil(fromEvent(abort.signal, 'abort')))
          .subscribe({ next: () => log.push('granted'), complete: () => log.push('cancelled') });
        lock(next, 'l').subscribe(() => log.push('next'));
        at(20, () => partition(waiter));
        at(40, () => heal(waiter));
        at(cancelAt, () => abort.abort());
        at(70, () => held.unsubscribe());
        at(71, () => expect(log, `cancelled at ${cancelAt}`).toEqual(['cancelled', 'next']));
      });
    }
  });

  test('while the request is under way: what the store then makes of it is taken back', () => {
    const { time, store, backend } = setUp();
    store.hold('enter');
    const grants: unknown[] = [];
    const pending = lock(backend, 'l').subscribe((grant) => grants.push(grant));
    time.pass(5);
    pending.unsubscribe();
    store.last('enter').answer(store.standing());
    time.pass(5);
    expect(grants).toEqual([]);
    expect(store.ids('leave')).toEqual(store.ids('enter'));
  });

  test('while there is no connection: nothing is sent when there is one again', () => {
    const { time, store, backend } = setUp();
    store.hold('open');
    const pending = lock(backend, 'l').subscribe();
    time.pass(5);
    pending.unsubscribe();
    store.last('open').tell(store.session());
    time.pass(50);
    expect(store.all('enter')).toEqual([]);
  });
});

describe('redisson #7272, tooz LP 1557593: no renewal goes on after the release, nor races with it', () => {
  test.each(['is due', 'is under way', 'is answered while it closes', 'is answered later'] as const)(
    'it neither holds close() up nor is sent nor revives anything, when it %s then',
    async (when) => {
      const { time, store, backend, log, enter } = setUp();
      store.hold('renew');
      const { places } = enter();
      time.pass(when === 'is due' ? 19 : 25);
      const closing = backend.close();
      if (when === 'is answered while it closes') store.last('renew').answer(20);
      await closing;
      expect(time.pending).toBe(0);
      if (when === 'is answered later') store.last('renew').answer(20);
      time.pass(500);
      expect(places[0]?.isValid()).toBe(false);
      expect(store.all('renew')).toHaveLength(when === 'is due' ? 0 : 1);
      expect(log.at(-1)).toMatch(/cut$/);
      expect(time.pending).toBe(0);
    },
  );

  test('those of the session go on for what else is held, and what was released stays free', () => {
    virtually(({ process, at }) => {
      const [first, second] = [process(), process()];
      const log: string[] = [];
      lock(first, 'kept').subscribe({ error: ({ name }) => log.push(name) });
      const released = lock(first, 'l').subscribe();
      lock(second, 'l').subscribe({ next: () => log.push('granted'), error: ({ name }) => log.push(name) });
      at(50, () => released.unsubscribe());
      // Ten lifetimes later.
      at(950, () => expect(log).toEqual(['granted']));
    });
  });

  test.concurrent.each(realStores)(
    'on %s, where a renewal is on its way when the lock is released',
    async (_name, store) => {
      const { proxy, way } = await networkTo(store);
      await using _ = proxy;
      await using stage = stageOn(store);
      const backend = stage.over(way, { renewEveryMs: 100 });
      await stage.hold(backend, 'ledger');
      const next = stage.probe(lock(stage.backend(), 'ledger'));
      await stage.inLine('ledger', 2);
      proxy.delay({ toServerMs: 60 });
      await new Promise<void>((renewed) => {
        const stop = proxy.onData((direction) => {
          if (direction !== 'toServer') return;
          stop();
          renewed();
        });
      });
      await backend.close();
      const grant = await next.first('the lock', stage.promptMs);
      expect((await stage.inLine('ledger', 1))[0]?.id).toBe(grant.id);
      await until(() => proxy.connections() === 0, 1_000, 'the end of the connections');
      const { toServerBytes, connectionsAccepted } = proxy.counters;
      // That nothing comes can only be waited for.
      await delay(350);
      expect(proxy.counters).toMatchObject({ toServerBytes, connectionsAccepted });
      expect(grant.isValid()).toBe(true);
    },
  );
});

describe('kazoo #329: empty parent nodes do not pile up', () => {
  test('neither while a backend goes on, nor when it is closed', async () => {
    await using stage = stageOn(zooKeeperStore, 1_000);
    const raw = await RawZooKeeper.connect(zooKeeperStore.url);
    try {
      const backend = stage.backend();
      const rounds = Array.from({ length: 30 }, (_, round) => round);
      const folders = ['locks', 'elections'].map((folder) => `/${stage.options.namespace}/${folder}`);
      const inAll = async (): Promise<number> =>
        (await Promise.all(folders.map((folder) => childrenOf(raw, folder)))).flat().length;
      const use = (suffix: string): Promise<unknown> =>
        Promise.all(
          rounds.map(async (round) => {
            const { held } = await stage.hold(backend, `lock ${round} ${suffix}`);
            const leading = stage.probe(leadership(backend, `election ${round} ${suffix}`));
            await leading.now((leads) => leads, 'the leadership');
            leading.unsubscribe();
            held.unsubscribe();
          }),
        );
      await use('first');
      expect(await inAll()).toBe(60);
      await expect.poll(inAll, { timeout: 5_000, interval: 50 }).toBe(0);
      await use('last');
      await backend.close();
      expect(await inAll()).toBe(0);
    } finally {
      raw.close();
    }
  });
});
