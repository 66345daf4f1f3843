import { defer, map, NEVER, type Observable, type Subscription, take, timer } from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import type { CoordinationError } from '../../src/backends/errors.js';
import { MemoryStore, memory } from '../../src/backends/memory/index.js';
import { evictMember } from '../../src/observables/groups/evict-member.js';
import { join } from '../../src/observables/groups/join.js';
import { members } from '../../src/observables/groups/members.js';
import type { Grant } from '../../src/observables/holding/grant.js';
import { breakLock } from '../../src/observables/locks/break-lock.js';
import { holders } from '../../src/observables/locks/holders.js';
import { lock } from '../../src/observables/locks/lock.js';
import { itemLockName } from '../../src/observables/sharing/items.js';
import { partition } from '../../src/observables/sharing/partition.js';
import type { PartitionOptions, SharedItems } from '../../src/observables/sharing/partition-options.js';
import { partition as cut } from '../../src/testing/faults.js';
import { type Cluster, simulate } from '../../src/testing/simulate.js';
import { ManualTime, QUICK, virtually } from '../support/virtual-time.js';

const ITEMS = ['1', '2', '3', '4'];
const CELL = 'partitions/g';

/** What is owned, in a word. `0` for nothing. */
const shares = (
  backend: Backend,
  id: string,
  items: SharedItems = ITEMS,
  options: PartitionOptions = {},
): Observable<string> =>
  partition(backend, 'g', items, { id, settledMs: 20, ...options }).pipe(
    map((owned) => [...owned.keys()].sort().join('') || '0'),
  );

/** Shares, as marbles know them. */
const S = {
  z: '0',
  a: '1234',
  b: '12',
  c: '34',
  d: '123',
  e: '1',
  f: '4',
  g: '2',
  h: '3',
  i: '14',
  j: '13',
  k: '24',
  l: '134',
  m: '124',
};

/** What each is told, and when, in tenths of a second. */
function underFaults(names: readonly string[], faults: (cluster: Cluster) => void): readonly string[] {
  const cluster = simulate({ seed: 1, ttlMs: 1_000, latencyMs: 1 });
  const told: string[] = [];
  const backends = new Map(names.map((name) => [name, cluster.backend(name)]));
  for (const [name, backend] of backends)
    cluster.run(name, () =>
      shares(backend, name, ITEMS, { settledMs: 200 }).subscribe((share) =>
        told.push(`${Math.ceil(cluster.now() / 100)} ${name} ${share}`),
      ),
    );
  faults(cluster);
  cluster.pass(10_000);
  return told;
}

describe('partition', () => {
  it('gives everything to who is alone, as soon as that has settled', () => {
    virtually(({ process, expectObservable }) => {
      expectObservable(shares(process(), 'm1'), '^ 60ms !').toBe('z 19ms a', S);
    });
  });

  it('divides among two, and gives the whole back when one leaves', () => {
    virtually(({ process, expectObservable }) => {
      const [one, two] = [process(), process()];
      expectObservable(shares(one, 'm1'), '^ 200ms !').toBe('z 19ms a 49ms b 49ms a', S);
      expectObservable(shares(two, 'm2'), '50ms ^ 49ms !').toBe('50ms z 19ms c', S);
    });
  });

  it('moves nothing before it is quiet: two who come one after the other cost one plan', () => {
    virtually(({ process, expectObservable }) => {
      const [one, two, three] = [process(), process(), process()];
      expectObservable(shares(one, 'm1'), '^ 150ms !').toBe('z 19ms a 59ms b', S);
      expectObservable(shares(two, 'm2'), '50ms ^ 100ms !').toBe('50ms z 29ms h', S);
      expectObservable(shares(three, 'm3'), '60ms ^ 90ms !').toBe('60ms z 19ms f', S);
    });
  });

  it('LivenessUnderChurn: who comes and goes all the time keeps no item without an owner', () => {
    virtually(({ process, expectObservable, at }) => {
      const [one, two, restless] = [process(), process(), process()];
      const weights: PartitionOptions['weights'] = (id) => (id === 'm3' ? 0 : 1);
      expectObservable(shares(one, 'm1', ITEMS, { weights }), '^ 99ms !').toBe('z 19ms j', S);
      expectObservable(shares(two, 'm2', ITEMS, { weights }), '^ 200ms !').toBe('z 19ms k 99ms a', S);
      for (let ms = 90; ms < 190; ms += 10) {
        let stay: Subscription | undefined;
        at(ms, () => {
          stay = join(restless, 'g', { id: 'm3' }).subscribe();
        });
        at(ms + 5, () => stay?.unsubscribe());
      }
    });
  });

  it('one whose process is started again within the time to settle has its items back, and no others move', () => {
    virtually(({ process, expectObservable }) => {
      const [one, two] = [process(), process()];
      expectObservable(shares(one, 'm1'), '^ 40ms !').toBe('z 19ms j', S);
      expectObservable(shares(one, 'm1'), '50ms ^ 100ms !').toBe('50ms (zj)', S);
      expectObservable(shares(two, 'm2'), '^ 150ms !').toBe('z 19ms k', S);
    });
  });

  it('LossToldBeforeTheSuccessor: who is cut off has nothing at its deadline, and something again when it is back', () => {
    // The session was proved last at about 1.9, so it is lost by 2.9, when it expires; 200 ms later another has its items.
    expect(underFaults(['m1', 'm2'], (cluster) => cluster.at(2_000, () => cluster.apply(cut('m2', 5_000))))).toEqual([
      '0 m1 0',
      '0 m2 0',
      '3 m1 13',
      '3 m2 24',
      '28 m2 0',
      '31 m1 1234',
      '73 m1 12',
      '74 m2 34',
    ]);
  });

  it('when the one who plans is cut off, the next one does', () => {
    const told = underFaults(['m1', 'm2', 'm3'], (cluster) => cluster.at(2_000, () => cluster.apply(cut('m1', 5_000))));
    expect(told.slice(3)).toEqual([
      '3 m1 14',
      '3 m2 2',
      '3 m3 3',
      '28 m1 0',
      '31 m2 12',
      '31 m3 34',
      '73 m3 3',
      '74 m1 4',
    ]);
  });

  it('a session that is lost for a moment costs no move: the member is back before anything settles', () => {
    virtually(({ process, expire, at, expectObservable }) => {
      const [one, two] = [process(), process()];
      expectObservable(shares(one, 'm1'), '^ 200ms !').toBe('z 19ms j 29ms z 4ms j', S);
      expectObservable(shares(two, 'm2'), '^ 200ms !').toBe('z 19ms k', S);
      at(50, () => expire(one));
    });
  });

  it('whoever tells of a loss tells it of each item: the signal says LockLost, and never Released', () => {
    virtually(({ process, expire, at }) => {
      const backend = process();
      const grants: Grant[] = [];
      partition(backend, 'g', ITEMS, { settledMs: 20 }).subscribe((owned) => grants.push(...owned.values()));
      at(50, () => {
        expect(grants).toHaveLength(4);
        expire(backend);
        for (const grant of grants)
          expect(grant.signal.reason).toMatchObject({ _tag: 'LockLost', reason: 'session lost' });
      });
      at(200, () => expect(grants).toHaveLength(8));
    });
  });

  it('tells what a lost session costs as one, and not item by item', () => {
    virtually(({ process, expire, at }) => {
      const backend = process();
      const sizes: number[] = [];
      const items = Array.from({ length: 1_000 }, (_, i) => `item-${i}`);
      partition(backend, 'g', items, { settledMs: 20 }).subscribe((owned) => sizes.push(owned.size));
      at(50, () => expire(backend));
      at(51, () => expect(sizes.slice(sizes.indexOf(1_000))).toEqual([1_000, 0]));
    });
  });

  it('each item has a token, which grows with each owner', () => {
    virtually(({ process, at }) => {
      const [one, two] = [process(), process()];
      const seen: (readonly [string, string, bigint])[] = [];
      const note = (who: string) => (owned: ReadonlyMap<string, Grant>) => {
        const grant = owned.get('1');
        if (grant !== undefined) seen.push([who, grant.name, grant.token]);
      };
      const first = partition(one, 'g', ['1'], { settledMs: 20 }).subscribe(note('one'));
      at(30, () => first.unsubscribe());
      at(40, () => partition(two, 'g', ['1'], { settledMs: 20 }).subscribe(note('two')));
      at(100, () => {
        expect(seen.map(([who, name]) => [who, name])).toEqual([
          ['one', 'partition/g/1'],
          ['two', 'partition/g/1'],
        ]);
        expect(seen[1]?.[2]).toBeGreaterThan(seen[0]?.[2] ?? 0n);
      });
    });
  });

  it('items that come and go: a new one finds an owner after it has settled, one that is gone is given up at once', () => {
    virtually(({ process, cold, expectObservable }) => {
      const [one, two] = [process(), process()];
      const lists = { x: ['1', '2'], y: ['1', '2', '3', '4'], w: ['1'] };
      const items = () => cold('x 49ms y 49ms w', lists);
      expectObservable(shares(one, 'm1', items()), '^ 150ms !').toBe('z 19ms e 49ms j 29ms e', S);
      expectObservable(shares(two, 'm2', items()), '^ 150ms !').toBe('z 19ms g 49ms k 29ms z', S);
    });
  });

  it('ToldTheSameAgain: a list that comes again and again, in whatever order, keeps no member waiting for its share', () => {
    virtually(({ process, expectObservable }) => {
      const [one, two] = [process(), process()];
      const asked$ = timer(0, 10).pipe(map((i) => (i % 2 === 0 ? ITEMS : [...ITEMS].reverse())));
      expectObservable(shares(one, 'm1', asked$), '^ 150ms !').toBe('z 19ms a 49ms b', S);
      expectObservable(shares(two, 'm2', asked$), '50ms ^ 100ms !').toBe('50ms z 19ms c', S);
    });
  });

  it('PlannedByNobody: a guest who has been there longest, and only joined the group, keeps nobody from a share', () => {
    virtually(({ process, expectObservable }) => {
      const [guest, one, two] = [process(), process(), process()];
      const weights: PartitionOptions['weights'] = (id) => (id === 'guest' ? 0 : 1);
      expectObservable(join(guest, 'g', { id: 'guest', create: true }).pipe(map(({ id }) => id)), '^ 150ms !').toBe(
        '(g)',
        { g: 'guest' },
      );
      expectObservable(shares(one, 'm1', ITEMS, { weights }), '10ms ^ 99ms !').toBe('10ms z 19ms j', S);
      expectObservable(shares(two, 'm2', ITEMS, { weights }), '10ms ^ 150ms !').toBe('10ms z 19ms k 99ms a', S);
    });
  });

  it('who does not know the items yet takes no part, and keeps nobody waiting', () => {
    virtually(({ process, cold, expectObservable }) => {
      const [early, late] = [process(), process()];
      expectObservable(shares(early, 'm1', NEVER), '^ 100ms !').toBe('z', S);
      expectObservable(members(early, 'g'), '^ 10ms !').toBe('(no)', { n: new Set(), o: new Set(['m2']) });
      expectObservable(shares(late, 'm2', cold('a|', { a: ITEMS })), '^ 100ms !').toBe('z 19ms a', S);
    });
  });

  it('goes by weights, which it takes from capabilities; one of weight 0 has nothing', () => {
    virtually(({ process, expectObservable }) => {
      const weights: PartitionOptions['weights'] = (_, { capabilities }) => Number(capabilities);
      const share = (id: string, capabilities: number) => shares(process(), id, ITEMS, { weights, capabilities });
      expectObservable(share('m1', 3), '^ 100ms !').toBe('z 19ms l', S);
      expectObservable(share('m2', 1), '^ 100ms !').toBe('z 19ms g', S);
      expectObservable(share('m3', 0), '^ 100ms !').toBe('z', S);
    });
  });

  it('nobody owns anything where all have weight 0, and somebody does when that changes', () => {
    virtually(({ process, cold, expectObservable }) => {
      const weights: PartitionOptions['weights'] = (_, { capabilities }) => Number(capabilities);
      const capabilities = cold('x 99ms y', { x: 0, y: 1 });
      expectObservable(shares(process(), 'm1', ITEMS, { weights, capabilities }), '^ 200ms !').toBe('z 99ms a', S);
    });
  });

  it('deals in turns, and by the ring', () => {
    virtually(({ process, expectObservable }) => {
      for (const [group, strategy, first, second] of [
        ['dealt', 'round-robin', 'j', 'k'],
        ['ring', 'hash', 'k', 'j'],
      ] as const) {
        const share = (id: string) =>
          partition(process(), group, ITEMS, { id, strategy, settledMs: 20 }).pipe(
            map((owned) => [...owned.keys()].sort().join('') || '0'),
          );
        expectObservable(share('m1'), '^ 100ms !').toBe(`z 19ms ${first}`, S);
        expectObservable(share('m2'), '^ 100ms !').toBe(`z 19ms ${second}`, S);
      }
    });
  });

  it('a plan that is deleted, or is no plan, is written again, and nothing moves meanwhile', () => {
    virtually(({ process, at, expectObservable }) => {
      const [one, two, admin] = [process(), process(), process()];
      const faults: CoordinationError[] = [];
      one.faults$.subscribe((fault) => faults.push(fault));
      expectObservable(shares(one, 'm1'), '^ 300ms !').toBe('z 19ms j', S);
      expectObservable(shares(two, 'm2'), '^ 300ms !').toBe('z 19ms k', S);
      let before: Uint8Array | undefined;
      let now: Uint8Array | undefined;
      admin.cell(CELL).subscribe((cell) => {
        now = cell?.value;
      });
      at(50, () => {
        before = now;
        admin.swap(CELL, 'any', undefined).subscribe();
      });
      at(71, () => expect(now).toEqual(before));
      at(100, () => admin.swap(CELL, 'any', Uint8Array.of(1, 2, 3)).subscribe());
      at(121, () => {
        expect(now).toEqual(before);
        expect(faults).toEqual([expect.objectContaining({ _tag: 'UndecodablePayload' })]);
      });
    });
  });

  it('an item whose lock another holds has no owner here, until the other lets go', () => {
    virtually(({ process, expectObservable }) => {
      const [one, admin] = [process(), process()];
      expectObservable(lock(admin, itemLockName('g', '4')).pipe(map(() => '4')), '^ 69ms !').toBe('4');
      expectObservable(shares(one, 'm1'), '^ 150ms !').toBe('z 19ms d 49ms a', S);
    });
  });

  it('an item that is taken away by breakLock is told, and comes back', () => {
    virtually(({ process, at, expectObservable }) => {
      const [one, admin] = [process(), process()];
      expectObservable(shares(one, 'm1'), '^ 150ms !').toBe('z 19ms a 29ms (da)', S);
      at(50, () => breakLock(admin, itemLockName('g', '4')).subscribe());
    });
  });

  it('holders shows who owns an item by its id in the group', () => {
    virtually(({ process, expectObservable }) => {
      const [one, admin] = [process(), process()];
      expectObservable(shares(one, 'm1'), '^ 100ms !').toBe('z 19ms a', S);
      expectObservable(holders(admin, itemLockName('g', '4')).pipe(map(([owner]) => owner?.data)), '^ 50ms !').toBe(
        'n 19ms m',
        { n: undefined, m: { _tag: 'Some', value: 'm1' } },
      );
    });
  });

  it('a grant that is released leaves the map, and does not come back while it stays planned', () => {
    virtually(({ process, at, expectObservable }) => {
      const backend = process();
      let owned: ReadonlyMap<string, Grant> = new Map();
      const share$ = partition(backend, 'g', ITEMS, { settledMs: 20 }).pipe(
        map((now) => {
          owned = now;
          return [...now.keys()].sort().join('') || '0';
        }),
      );
      expectObservable(share$, '^ 150ms !').toBe('z 19ms a 29ms d', S);
      at(50, () => owned.get('4')?.release());
    });
  });

  it('who unsubscribes releases its items and leaves the group, and may subscribe again', () => {
    virtually(({ process, at, expectObservable }) => {
      const [one, two] = [process(), process()];
      const mine = shares(one, 'm1');
      expectObservable(mine, '^ 49ms !').toBe('z 19ms a', S);
      expectObservable(mine, '100ms ^ 100ms !').toBe('100ms (za)', S);
      expectObservable(members(two, 'g').pipe(map(({ size }) => size)), '^ 120ms !').toBe('1 49ms 0 49ms 1', [0, 1]);
      at(60, () => {
        for (const item of ITEMS)
          two.look({ kind: 'lock', name: itemLockName('g', item) }).subscribe((all) => expect(all).toEqual([]));
      });
    });
  });

  it('who unsubscribes when told of nothing yet has taken no part, and made no group', () => {
    virtually(({ process, at }) => {
      const [one, admin] = [process(), process()];
      partition(one, 'g', ITEMS).pipe(take(1)).subscribe();
      at(20, () => admin.registered('group').subscribe((names) => expect([...names]).toEqual([])));
    });
  });

  it('errors when the member is removed from the group: then it does not come back by itself', () => {
    virtually(({ process, at, expectObservable }) => {
      const [one, admin] = [process(), process()];
      expectObservable(shares(one, 'm1')).toBe(
        'z 19ms a 29ms #',
        S,
        expect.objectContaining({ _tag: 'MembershipLost' }),
      );
      at(50, () => evictMember(admin, 'g', 'm1').subscribe());
    });
  });

  it('errors with what join errors with: a group that is not there and not to be made, an id that is taken', () => {
    virtually(({ process, expectObservable }) => {
      const [one, two] = [process(), process()];
      expectObservable(shares(one, 'm1', ITEMS, { create: false })).toBe(
        '(z#)',
        S,
        expect.objectContaining({ _tag: 'GroupNotFound' }),
      );
      expectObservable(shares(one, 'm1'), '10ms ^ 50ms !').toBe('10ms z 19ms a', S);
      expectObservable(shares(two, 'm1'), '20ms ^').toBe(
        '20ms (z#)',
        S,
        expect.objectContaining({ _tag: 'MemberAlreadyExists' }),
      );
    });
  });

  it('errors with what items and weights error with, and releases everything', () => {
    virtually(({ process, cold, at, expectObservable }) => {
      const [one, two] = [process(), process()];
      expectObservable(shares(one, 'm1', cold('a 49ms #', { a: ITEMS }, 'broken'))).toBe(
        'z 19ms a 29ms #',
        S,
        'broken',
      );
      at(60, () => {
        two.look({ kind: 'lock', name: itemLockName('g', '1') }).subscribe((all) => expect(all).toEqual([]));
        two.look({ kind: 'group', name: 'g' }).subscribe((all) => expect(all).toEqual([]));
      });
    });
    virtually(({ process, expectObservable }) => {
      const weights = (): number => 0.5;
      expectObservable(shares(process(), 'm1', ITEMS, { weights })).toBe(
        '(z#)',
        S,
        expect.objectContaining({
          violations: ['weights must give an integer from 0 to 32768, but gives 0.5 for "m1"'],
        }),
      );
    });
  });

  it('a later list that is none ends it with an error that names items', () => {
    virtually(({ process, cold, expectObservable }) => {
      const items = cold('a 49ms b', { a: ITEMS, b: ['1', '1'] });
      expectObservable(shares(process(), 'm1', items)).toBe(
        'z 19ms a 29ms #',
        S,
        expect.objectContaining({ violations: ['items must be different, but "1" is there twice'] }),
      );
    });
  });

  it('completes when the backend is closed, and errors where it was closed before', () => {
    virtually(({ process, at, expectObservable }) => {
      const backend = process();
      expectObservable(shares(backend, 'm1')).toBe('z 19ms a 29ms (z|)', S);
      expectObservable(
        defer(() => shares(backend, 'm1')),
        '60ms ^',
      ).toBe('60ms (z#)', S, expect.objectContaining({ _tag: 'BackendClosed' }));
      at(50, () => void backend.close());
    });
  });

  it('completes when the backend is closed while it waits for the items, and while nothing has settled', () => {
    virtually(({ process, at, expectObservable }) => {
      const [one, two] = [process(), process()];
      expectObservable(shares(one, 'm1', NEVER)).toBe('z 9ms |', S);
      expectObservable(shares(two, 'm2', ITEMS, { settledMs: 500 })).toBe('z 9ms |', S);
      at(10, () => {
        void one.close();
        void two.close();
      });
    });
  });

  it('a drain: the member leaves at once and takes nothing any more; who holds an item keeps it until he lets go', () => {
    virtually(({ process, at, expectObservable }) => {
      const [one, two] = [process(), process()];
      let owned: ReadonlyMap<string, Grant> = new Map();
      const share$ = partition(one, 'g', ITEMS, { id: 'm1', settledMs: 20 }).pipe(
        map((now) => {
          owned = now;
          return [...now.keys()].sort().join('') || '0';
        }),
      );
      expectObservable(share$).toBe('z 19ms j 129ms h 99ms (z|)', S);
      expectObservable(shares(two, 'm2'), '^ 400ms !').toBe('z 19ms k 129ms m 99ms a', S);
      at(50, () => void one.close({ drainMs: 500 }));
      at(51, () => {
        members(two, 'g')
          .subscribe((ids) => expect([...ids]).toEqual(['m2']))
          .unsubscribe();
        for (const grant of owned.values()) {
          expect(grant.isValid()).toBe(true);
          expect(grant.draining.aborted).toBe(true);
        }
      });
      at(150, () => owned.get('1')?.release());
      at(250, () => owned.get('3')?.release());
    });
  });

  it('never has an item with two owners, whatever the plan says: a plan by another hand moves nothing that is held', () => {
    const time = new ManualTime();
    const store = new MemoryStore(time);
    const [one, two] = [0, 1].map(() => memory({ ...QUICK, store, scheduler: time })) as [Backend, Backend];
    const owned = new Map<string, ReadonlyMap<string, Grant>>();
    const follow = (backend: Backend, id: string): void => {
      partition(backend, 'g', ITEMS, { id, settledMs: 20 }).subscribe((now) => {
        owned.set(id, now);
        const all = [...owned.values()].flatMap((share) => [...share.keys()]);
        expect(new Set(all).size).toBe(all.length);
      });
    };
    follow(one, 'm1');
    follow(two, 'm2');
    for (let round = 0; round < 50; round++) {
      time.pass(7);
      two.swap(CELL, 'any', round % 2 === 0 ? Uint8Array.of(1) : undefined).subscribe();
    }
    time.pass(100);
    expect([...owned.values()].map(({ size }) => size)).toEqual([2, 2]);
    void one.close();
    void two.close();
    time.pass(100);
  });
});

describe('bad input', () => {
  const backend = memory({ store: new MemoryStore() });
  const bad = (items: unknown, options: unknown = {}, group: unknown = 'g') =>
    // @ts-expect-error what JavaScript may give
    partition(backend, group, items, options);

  it.each([
    ['no list', 'abc', 'items must be a list of names, or an Observable of such lists, but is "abc"'],
    ['nothing', undefined, 'items must be a list of names, or an Observable of such lists, but is undefined'],
    ['a set', new Set(['1']), 'items must be a list of names, or an Observable of such lists, but is an object'],
    ['a name twice', ['b', 'a', 'b'], 'items must be different, but "b" is there twice'],
    ['an empty name', ['a', ''], 'items must be names of locks, but "": a name must not be empty'],
    ['a number', ['a', 7], 'items must be names of locks, but 7: a name is a string, and this is a number'],
    ['a hole', [undefined], 'items must be names of locks, but undefined: a name is a string, and this is a undefined'],
    ['half a character', ['\ud800'], 'it holds half a surrogate pair, which is not Unicode'],
    ['too long a name', ['x'.repeat(501)], 'it is 513 bytes of UTF-8 long, and 512 is the limit'],
    [
      'too many',
      Array.from({ length: 15_001 }, (_, i) => `${i}`),
      'items must be at most 15000, but are 15001: share parts of them, each in a group of its own',
    ],
  ])('items: %s', (_, items, said) => {
    expect(() => bad(items)).toThrow(said);
    expect(() => bad(items)).toThrow(expect.objectContaining({ _tag: 'InvalidOptions' }));
  });

  it.each([
    [{ settledMs: '1' }, 'settledMs must be a number from 0 to 2147483647, but is "1"'],
    [{ settledMs: -1 }, 'settledMs must be a number from 0 to 2147483647, but is -1'],
    [{ settled: 5 }, 'settled is not an option (is settledMs meant?)'],
    [{ strategy: 'fair' }, "strategy must be 'sticky', 'round-robin' or 'hash', but is \"fair\""],
    [{ strategy: 'toString' }, "strategy must be 'sticky', 'round-robin' or 'hash', but is \"toString\""],
    [{ weights: 3 }, 'weights must be a function, but is 3'],
    [{ create: 'yes' }, 'create must be true or false, but is "yes"'],
    [{ ifTaken: 'push' }, "ifTaken must be 'fail' or 'wait' or 'takeOver', but is \"push\""],
    [null, 'options must be an object, but are null'],
  ])('options: %o', (options, said) => {
    expect(() => bad(ITEMS, options)).toThrow(said);
    expect(() => bad(ITEMS, options)).toThrow(expect.objectContaining({ _tag: 'InvalidOptions' }));
  });

  it('names: of the group, also one too long for the plan; of the member', () => {
    const invalid = expect.objectContaining({ _tag: 'InvalidName' });
    expect(() => bad(ITEMS, {}, '')).toThrow(invalid);
    expect(() => bad(ITEMS, {}, 'g'.repeat(502))).toThrow(invalid);
    expect(() => bad(ITEMS, { id: '' })).toThrow(invalid);
    expect(() => itemLockName('g', '')).toThrow(invalid);
  });

  it('groups and items whose names run into each other have locks of their own', () => {
    const names = [itemLockName('a', 'b/c'), itemLockName('a/b', 'c'), itemLockName('a%2Fb', 'c')];
    expect(names).toEqual(['partition/a/b/c', 'partition/a%2Fb/c', 'partition/a%252Fb/c']);
  });
});
