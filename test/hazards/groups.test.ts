import { defer, scan, tap } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { MemberAlreadyExists } from '../../src/backends/errors.js';
import { leadership } from '../../src/observables/elections/leadership.js';
import { groups } from '../../src/observables/groups/groups.js';
import { join } from '../../src/observables/groups/join.js';
import { memberMap } from '../../src/observables/groups/member-map.js';
import { members } from '../../src/observables/groups/members.js';
import type { Membership } from '../../src/observables/groups/membership.js';
import { type MembershipChange, membershipChanges } from '../../src/operators/membership-changes.js';
import { settled } from '../../src/operators/settled.js';
import { consistsOf } from '../../src/testing/conformance/stage.js';
import { type VirtualTime, virtually } from '../support/virtual-time.js';
import { silentlyExpire } from './silently-expire.js';
import { etcdStore, named, networkTo, realStores, redisStore, stageOn, vanish } from './stores.js';

describe('tooz (etcd, Redis): a member whose lease has expired is put back, and does not drop out in silence', () => {
  test('whatever ended its session, and though its heartbeats have gone on', () => {
    const ends: ((time: VirtualTime, backend: ReturnType<VirtualTime['process']>) => void)[] = [
      ({ expire }, backend) => expire(backend),
      ({ partition }, backend) => partition(backend),
      ({ block }) => block(150),
    ];
    for (const end of ends) {
      virtually((time) => {
        const [member, watcher] = [time.process(), time.process()];
        const memberships: Membership[] = [];
        let present: ReadonlySet<string> = new Set();
        join(member, 'g', { id: 'a', create: true }).subscribe((membership) => memberships.push(membership));
        members(watcher, 'g').subscribe((ids) => {
          present = ids;
        });
        time.at(50, () => end(time, member));
        time.at(300, () => {
          expect([...present]).toEqual(['a']);
          expect(memberships.map((membership) => membership.isValid())).toEqual([false, true]);
          expect(memberships[1]?.token).toBeGreaterThan(memberships[0]?.token ?? 0n);
        });
      });
    }
  });

  test.concurrent.each(named(etcdStore, redisStore))('on %s, where nobody tells it', async (_name, store) => {
    await using stage = stageOn(store, 3_000);
    const backend = stage.backend();
    const { joined, membership } = await stage.join(backend, 'crew', { id: 'a', create: true });
    const sets = stage.probe(members(stage.watcher, 'crew'));
    await sets.now(consistsOf('a'), 'the member');
    await silentlyExpire(store, backend);
    const again = await joined.now(({ token }) => token > membership.token, 'the membership again');
    await sets.now(() => sets.values.length > 1 && sets.last?.has('a') === true, 'the member again');
    expect([membership.isValid(), again.isValid()]).toEqual([false, true]);
  });
});

describe('tooz (Redis): a second join under the same id is refused, and overwrites nothing of the first', () => {
  test.concurrent.each(realStores)('on %s', async (_name, store) => {
    await using stage = stageOn(store);
    const seen = stage.probe(memberMap(stage.watcher, 'crew'));
    const { joined, membership } = await stage.join(stage.backend(), 'crew', {
      id: 'a',
      capabilities: { zone: 1 },
      create: true,
    });
    await seen.now((map) => map.has('a'), 'the member');
    const other = stage.backend();
    for (let attempt = 0; attempt < 3; attempt++) {
      const second = stage.probe(join(other, 'crew', { id: 'a', capabilities: { zone: 2 }, create: true }));
      expect(await second.failure('the id is taken')).toBeInstanceOf(MemberAlreadyExists);
      expect(second.values).toEqual([]);
    }
    await stage.inLine('crew', 1, 'group');
    await stage.join(other, 'crew', { id: 'b' });
    await seen.now((map) => map.has('b'), 'another member');
    const firsts = seen.values.flatMap((map) => map.get('a') ?? []);
    expect(new Set(firsts.map((member) => JSON.stringify(member.capabilities)))).toEqual(new Set(['{"zone":1}']));
    expect(new Set(firsts.map(({ token }) => token))).toEqual(new Set([membership.token]));
    expect([membership.isValid(), joined.values.length, joined.hasEnded]).toEqual([true, 1, false]);
  });
});

describe('tooz (ZooKeeper): members called `leader` and groups called `locks` collide with nothing', () => {
  const words = ['leader', 'locks', 'elections', 'groups', 'cells', 'heartbeat', '__lock__0000000001', 'conclave'];

  test.concurrent.each(realStores)('on %s', async (_name, store) => {
    await using stage = stageOn(store);
    const [mine, theirs] = [stage.backend(), stage.backend()];
    await Promise.all(
      words.map(async (name) => {
        await stage.join(mine, name, { id: 'leader', create: true });
        for (const id of words.slice(1)) await stage.join(theirs, name, { id });
        await stage.hold(theirs, name);
        const leading = stage.probe(leadership(mine, name));
        await leading.now((leads) => leads, 'the leadership');
      }),
    );
    const all = stage.probe(groups(stage.watcher));
    await all.now(consistsOf(...words), 'the groups, and nothing else');
    for (const name of words) {
      const sets = stage.probe(members(stage.watcher, name));
      await sets.now(consistsOf(...words), 'the members, and nobody else');
      expect(await stage.entries(name)).toHaveLength(1);
      expect(await stage.entries(name, 'election')).toHaveLength(1);
    }
  });
});

describe('tooz, polling watchers: who leaves and joins again between two looks is seen to leave and to join', () => {
  const shown = ({ joined, left }: MembershipChange): string =>
    [...[...left].map((id) => `-${id}`), ...[...joined].map((id) => `+${id}`)].join(' ');

  test('by a watcher that was cut off meanwhile', () => {
    virtually(({ process, partition, heal, at }) => {
      const [staying, moving, watcher] = [process(), process(), process()];
      const log: string[] = [];
      join(staying, 'g', { id: 'a', create: true }).subscribe();
      const stay = defer(() => join(moving, 'g', { id: 'b' }));
      const first = stay.subscribe();
      members(watcher, 'g')
        .pipe(membershipChanges())
        .subscribe((change) => log.push(shown(change)));
      at(30, () => partition(watcher));
      at(40, () => first.unsubscribe());
      at(41, () => stay.subscribe());
      at(60, () => heal(watcher));
      at(70, () => expect(log).toEqual(['+a +b', '-b', '+b']));
    });
  });

  test('and no set is without anybody who is there, however long the watcher was cut off', () => {
    virtually(({ process, partition, heal, expire, at }) => {
      const [one, two, watcher] = [process(), process(), process()];
      const sets: string[] = [];
      join(one, 'g', { id: 'a', create: true }).subscribe();
      join(two, 'g', { id: 'b' }).subscribe();
      members(watcher, 'g').subscribe((ids) => sets.push([...ids].sort().join()));
      at(10, () => partition(watcher));
      at(20, () => expire(one));
      at(20, () => expire(two));
      // Both are back by then; the second time the watcher has lost its own session, too.
      at(60, () => heal(watcher));
      at(70, () => partition(watcher));
      at(80, () => expire(one));
      at(80, () => expire(two));
      at(300, () => heal(watcher));
      at(400, () => expect(sets).toEqual(['a,b', 'a,b', 'a,b']));
    });
  });

  test.concurrent.for(realStores)(
    'and no set is without anybody who is there, on %s, where all have joined again while the watcher was cut off',
    async ([, store], task) => {
      const { proxy, way } = await networkTo(store);
      await using _ = proxy;
      await using stage = stageOn(store, 6_000);
      const watcher = stage.over(way);
      const crew = [stage.backend(), stage.backend()] as const;
      const everybody = () =>
        Promise.all(crew.map((backend, at) => stage.join(backend, 'crew', { id: `m${at}`, create: true })));
      const before = await everybody();
      const sets = stage.probe(members(watcher, 'crew'));
      await sets.now(consistsOf('m0', 'm1'), 'both members');
      const changes = stage.probe(members(watcher, 'crew').pipe(membershipChanges()));
      await changes.first('the members');
      const seen = sets.values.length;
      vanish(proxy);
      for (const { joined } of before) joined.unsubscribe();
      await stage.inLine('crew', 0, 'group');
      await everybody();
      await proxy.heal();
      await changes.ever(({ left }) => left.size === 2, 'that both had left');
      // Each of the two follows the group by itself, so either may be told first.
      await task.expect.poll(() => sets.values.length, { timeout: 5_000 }).toBeGreaterThan(seen);
      expect(sets.values.slice(seen).map((ids) => [...ids].sort().join())).toEqual(['m0,m1']);
    },
  );

  test('and has another token, by one who looks from time to time', () => {
    virtually(({ process, at }) => {
      const [moving, watcher] = [process(), process()];
      const tokens: unknown[] = [];
      const look = (): void => {
        const looking = memberMap(watcher, 'g').subscribe((map) => tokens.push(map.get('b')?.token));
        looking.unsubscribe();
      };
      const stay = join(moving, 'g', { id: 'b', create: true });
      const first = stay.subscribe();
      at(10, look);
      at(20, () => first.unsubscribe());
      at(20, () => stay.subscribe());
      at(30, look);
      at(40, look);
      at(50, () => {
        expect(tokens).toHaveLength(3);
        expect(tokens[1]).not.toBe(tokens[0]);
        expect(tokens[2]).toBe(tokens[1]);
      });
    });
  });
});

describe('kazoo #392, #298: no change of members is lost or stuck, on which the partitioner, still to come, will rest', () => {
  /** The same for each seed: numbers below `n`. */
  function numbers(seed: number): (n: number) => number {
    let state = seed;
    return (n) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((state / 2 ** 32) * n);
    };
  }

  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'whatever comes and goes while watchers are cut off now and then (seed %d)',
    (seed) => {
      virtually(({ process, scheduler, partition, heal, expire, at }) => {
        const below = numbers(seed);
        const [watcher, ...crew] = Array.from({ length: 5 }, () => process());
        if (watcher === undefined) throw new Error('nobody watches');
        const joined = new Map<number, () => void>();
        let summed: ReadonlySet<string> = new Set();
        let latest: ReadonlySet<string> = new Set();
        let rebalanced: ReadonlySet<string> = new Set();
        const watched = members(watcher, 'g').pipe(
          tap((ids) => {
            latest = ids;
          }),
        );
        watched
          .pipe(
            membershipChanges(),
            tap((change) => expect([...change.joined].filter((id) => change.left.has(id))).toEqual([])),
            scan((ids, change) => new Set([...ids, ...change.joined].filter((id) => !change.left.has(id))), summed),
          )
          .subscribe((ids) => {
            summed = ids;
            // Who has joined again is told of twice, and has only left by the first.
            expect([...summed].filter((id) => !latest.has(id))).toEqual([]);
          });
        watched.pipe(settled(30, scheduler)).subscribe((ids) => {
          rebalanced = ids;
        });
        for (let step = 0; step < 120; step++) {
          at(5 + step * 5, () => {
            const who = below(16);
            const act = below(8);
            const leave = joined.get(who);
            const backend = crew[who % crew.length] ?? watcher;
            if (act === 0) partition(watcher);
            else if (act <= 2) heal(watcher);
            else if (act === 3 && below(4) === 0) expire(backend);
            else if (leave === undefined) {
              const stay = join(backend, 'g', { id: `m${who}`, create: true }).subscribe();
              joined.set(who, () => stay.unsubscribe());
            } else {
              leave();
              joined.delete(who);
            }
          });
        }
        at(620, () => heal(watcher));
        at(900, () => {
          const present = [...joined.keys()].map((who) => `m${who}`).sort();
          expect(present.length).toBeGreaterThan(2);
          expect([...latest].sort()).toEqual(present);
          expect([...summed].sort()).toEqual(present);
          expect([...rebalanced].sort()).toEqual(present);
        });
      });
    },
  );
});
