import { firstValueFrom, lastValueFrom, of } from 'rxjs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Connection } from '../../src/backends/zookeeper/connection.js';
import { entriesAhead } from '../../src/backends/zookeeper/order.js';
import { leadership } from '../../src/observables/elections/leadership.js';
import type { Grant } from '../../src/observables/holding/grant.js';
import { lock } from '../../src/observables/locks/lock.js';
import type { Stage } from '../../src/testing/conformance/stage.js';
import { QUICK, virtually } from '../support/virtual-time.js';
import { OwnClock } from './own-clock.js';
import { childrenOf, RawZooKeeper } from './raw-zookeeper.js';
import { silentlyExpire } from './silently-expire.js';
import { etcdStore, named, networkTo, realStores, redisStore, stageOn, zooKeeperStore } from './stores.js';

const chief = { kind: 'election', name: 'chief' } as const;
const leads = (value: boolean): boolean => value;

describe('etcd3 #158, #176, curator #1169, #1121: there are never two leaders after a reconnect', () => {
  /** The most who led at once, and how many do in the end, where candidates are cut off as `faults` has it. */
  function leadersUnder(faults: readonly { who: number; cutAt: number; healAt: number }[]): {
    most: number;
    last: number;
  } {
    const leading = new Set<number>();
    let [most, last] = [0, 0];
    virtually(({ process, partition, at, store }) => {
      const candidates = [0, 1, 2].map(() => process());
      for (const [who, backend] of candidates.entries()) {
        leadership(backend, 'e').subscribe((isLeader) => {
          if (isLeader) leading.add(who);
          else leading.delete(who);
          most = Math.max(most, leading.size);
        });
      }
      for (const { who, cutAt, healAt } of faults) {
        const backend = candidates[who] as (typeof candidates)[number];
        at(cutAt, () => {
          const cut = idNow(backend);
          if (cut === undefined) return;
          partition(backend);
          at(healAt - cutAt, () => store.heal(cut));
        });
      }
      at(950, () => {
        last = leading.size;
      });
    });
    return { most, last };
  }

  test('at whatever moment the leader comes back', () => {
    for (let healAt = 41; healAt <= 200; healAt += 1) {
      expect(leadersUnder([{ who: 0, cutAt: 40, healAt }]), `back at ${healAt}`).toEqual({ most: 1, last: 1 });
    }
  });

  test('where all of them come and go', () => {
    for (let step = 3; step <= 60; step += 3) {
      const faults = Array.from({ length: 30 }, (_, i) => ({
        who: i % 3,
        cutAt: 10 + i * step,
        healAt: 10 + i * step + ((i * 37) % 130),
      })).filter(({ cutAt }) => cutAt < 700);
      expect(leadersUnder(faults), `every ${step} ms`).toEqual({ most: 1, last: 1 });
    }
  });

  test.concurrent.each(realStores)('on %s, whose connections break again and again', async (_name, store) => {
    const { proxy, way } = await networkTo(store);
    await using _ = proxy;
    await using stage = stageOn(store);
    const [first, second] = [stage.over(way), stage.over(way)];
    const leading = stage.probe(leadership(first, 'chief'));
    await leading.now(leads, 'the leadership');
    const following = stage.probe(leadership(second, 'chief'));
    await stage.inLine('chief', 2, 'election');
    for (let round = 1; round <= 5; round++) {
      proxy.resetAll();
      // Answered over the new connections.
      await Promise.all([first, second].map((each) => lastValueFrom(each.evict(chief, 'nobody'))));
    }
    expect(await stage.entries('chief', 'election')).toHaveLength(2);
    expect([leading.values, following.values]).toEqual([[false, true], [false]]);
    leading.unsubscribe();
    await following.now(leads, 'the leadership of the other');
    await stage.inLine('chief', 1, 'election');
  });
});

/** A session can be ended there without a word to its owner, who would find out at the next renewal. */
const silent = named(
  { ...etcdStore, ttlMs: 20_000 },
  // A server that was started just now admits nobody for one ttl.
  { ...redisStore, ttlMs: 3_000 },
);

describe('etcd #19597: a candidate whose own session died while it waited is no phantom leader', () => {
  test('it leads in its next session only, and behind those who waited meanwhile', () => {
    virtually(({ process, partition, at }) => {
      const [first, second, third] = [process(), process(), process()];
      const log: string[] = [];
      const resigning = leadership(first, 'e').subscribe();
      const waiting = leadership(second, 'e').subscribe((isLeader) => log.push(`second ${isLeader}`));
      leadership(third, 'e').subscribe((isLeader) => log.push(`third ${isLeader}`));
      at(50, () => partition(second));
      // Its session ended at 134, its entry is gone at 140, and it stands again since then.
      at(160, () => resigning.unsubscribe());
      at(170, () => {
        expect(log).toEqual(['second false', 'third false', 'third true']);
        waiting.unsubscribe();
      });
    });
  });

  test('nor is one whose loop is blocked when its turn comes', () => {
    virtually(({ process, scheduler, at }) => {
      const clock = new OwnClock(scheduler);
      const [first, second] = [process(), process({ scheduler: clock })];
      const log: string[] = [];
      const resigning = leadership(first, 'e').subscribe();
      leadership(second, 'e').subscribe((isLeader) => log.push(`${scheduler.now()} ${isLeader}`));
      at(50, () => {
        clock.aheadMs = QUICK.ttlMs;
        resigning.unsubscribe();
      });
      at(51, () => expect(log).toEqual(['0 false']));
      at(100, () => expect(log).toEqual(['0 false', '55 true']));
    });
  });

  test.concurrent.each(silent)('on %s, where nobody has told it yet', async (_name, store) => {
    await using stage = stageOn(store, store.ttlMs);
    const [first, second, third] = [stage.backend(), stage.backend(), stage.backend()];
    const resigning = stage.probe(leadership(first, 'chief'));
    await resigning.now(leads, 'the leadership');
    const waiting = stage.probe(leadership(second, 'chief'));
    await stage.inLine('chief', 2, 'election');
    const next = stage.probe(leadership(third, 'chief'));
    await stage.inLine('chief', 3, 'election');
    await silentlyExpire(store, second);
    resigning.unsubscribe();
    await next.now(leads, 'the leadership of the one behind', 5_000);
    expect(waiting.values).toEqual([false]);
    await stage.inLine('chief', 2, 'election');
    next.unsubscribe();
    await waiting.now(leads, 'the leadership in the next session');
    expect(waiting.values).toEqual([false, true]);
  });
});

describe('etcd #11456 (Jepsen): the lease is checked again after waiting for the lock', () => {
  test('a grant is never given under a session that is over, however late its timers are', () => {
    for (let blockedMs = 1; blockedMs <= 2 * QUICK.ttlMs; blockedMs += 1) {
      virtually(({ process, scheduler, at }) => {
        const clock = new OwnClock(scheduler);
        const [holder, waiter] = [process(), process({ scheduler: clock })];
        const grants: unknown[] = [];
        const held = lock(holder, 'l').subscribe();
        lock(waiter, 'l').subscribe({
          next: (grant) => grants.push([scheduler.now() === 45, grant.isValid()]),
          error: ({ name }) => expect(name).toBe('LockLost'),
        });
        at(45, () => {
          clock.aheadMs = blockedMs;
          held.unsubscribe();
        });
        // Proved at 40, to be relied on until 134.
        at(200, () => expect(grants, `blocked for ${blockedMs} ms`).toEqual([[blockedMs + 45 < 134, true]]));
      });
    }
  });

  test.concurrent.each(silent)('on %s, where it has ended meanwhile', async (_name, store) => {
    await using stage = stageOn(store, store.ttlMs);
    const { held } = await stage.hold(stage.backend(), 'ledger');
    const waiter = stage.backend();
    const waiting = stage.probe(lock(waiter, 'ledger'));
    const before = await stage.inLine('ledger', 2);
    await silentlyExpire(store, waiter);
    held.unsubscribe();
    const grant: Grant = await waiting.first('the lock');
    expect(grant.token).toBeGreaterThan(before.at(-1)?.token ?? 0n);
    expect((await stage.entries('ledger')).map(({ id, token }) => [id, token])).toEqual([[grant.id, grant.token]]);
    expect(waiting.values).toHaveLength(1);
  });
});

describe('kazoo #730, #606: sequence numbers that wrap leave no election unsettled', () => {
  let raw: RawZooKeeper;
  let stage: Stage;
  beforeEach(async () => {
    raw = await RawZooKeeper.connect(zooKeeperStore.url);
    stage = stageOn(zooKeeperStore);
  });
  afterEach(async () => {
    await stage[Symbol.asyncDispose]();
    raw.close();
  });

  test('those from before the wrap lead first, in the order in which they came, then those from after it', async () => {
    const backend = stage.backend();
    // Makes the election's parent.
    const first = stage.probe(leadership(backend, 'chief'));
    await first.now(leads, 'the leadership');
    const folder = `/${stage.options.namespace}/elections/chief`;
    const old = ['2147483646', '2147483647', '-2147483648', '-2147483647'];
    for (const sequence of old) await raw.createEphemeral(`${folder}/${'0'.repeat(32)}__lock__${sequence}`);
    const second = stage.probe(leadership(backend, 'chief'));
    const line = await stage.inLine('chief', 6, 'election');
    expect(line.slice(1, 5).map(({ id }) => id.slice(40))).toEqual(old);
    first.unsubscribe();
    for (const { id } of line.slice(1, 5)) {
      await stage.inLine('chief', 6 - line.findIndex((entry) => entry.id === id), 'election');
      expect(second.values).toEqual([false]);
      await raw.remove(`${folder}/${id}`);
    }
    await second.now(leads, 'the leadership after all of them');
    expect(await childrenOf(raw, folder)).toHaveLength(1);
  });

  test('two who look at each other across the wrap agree who is first, and each says so again', async () => {
    const sequences = [2147483645, 2147483647, -2147483648, -2147483646];
    const entries = sequences.map((sequence) => ({
      name: `n${sequence}`,
      mode: 'exclusive' as const,
      permits: 1,
      sequence,
    }));
    // Stands in for a server: it has made them in this order.
    const czxidOf = (name: string): bigint => BigInt(1 + entries.findIndex((entry) => entry.name === name));
    const exists = (path: string) => of({ czxid: czxidOf(path.slice('/p/'.length)) });
    const ahead = await Promise.all(
      entries.map((mine) =>
        firstValueFrom(
          entriesAhead({ exists } as unknown as Connection, '/p', entries.toReversed(), {
            ...mine,
            token: czxidOf(mine.name),
          }),
        ),
      ),
    );
    expect(ahead).toEqual([[], entries.slice(0, 1), entries.slice(0, 2), entries.slice(0, 3)]);
  });
});

/** The id of the session that is open now, if there is one. */
function idNow(backend: ReturnType<Stage['backend']>): string | undefined {
  let id: string | undefined;
  backend.session$
    .subscribe((session) => {
      id = 'id' in session ? session.id : undefined;
    })
    .unsubscribe();
  return id;
}
