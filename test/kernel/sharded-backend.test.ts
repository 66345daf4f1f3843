import { BehaviorSubject, firstValueFrom, type Observable, of } from 'rxjs';
import { describe, expect, test } from 'vitest';
import type { Backend, EntryRequest, RosterKey, Session } from '../../src/backends/backend.js';
import { SessionLost, Unavailable } from '../../src/backends/errors.js';
import { monotonicScheduler } from '../../src/backends/kernel/clock.js';
import { createShardedBackend, shardOf } from '../../src/backends/kernel/sharded-backend.js';
import { memoryCharacteristics } from '../../src/backends/memory/characteristics.js';
import { MemoryStore } from '../../src/backends/memory/index.js';
import type { Store } from '../../src/backends/store.js';
import { ManualTime, QUICK } from '../support/virtual-time.js';
import { chance, type Operation, ScriptedStore } from './scripted-store.js';

const COUNT = 4;
const request: EntryRequest = { mode: 'exclusive', permits: 1, payload: new Uint8Array() };

/** Counts the sessions that each shard has opened. */
function sharded(): { backend: Backend; opened: number[] } {
  const opened = Array.from({ length: COUNT }, () => 0);
  const storeOf = (shard: number): Store => {
    const store = new MemoryStore(monotonicScheduler).adapter(undefined);
    return {
      ...store,
      open: (context) => {
        opened[shard] = (opened[shard] ?? 0) + 1;
        return store.open(context);
      },
    };
  };
  const stores = [storeOf(0), storeOf(1), storeOf(2), storeOf(3)] as const;
  return { opened, backend: createShardedBackend('several', memoryCharacteristics, COUNT, of(stores), {}) };
}

const nameAt = (shard: number): string => {
  for (let at = 0; ; at++) if (shardOf(`lock:n${at}`, COUNT) === shard) return `n${at}`;
};

test('a session is opened for a shard when it is used, and for one if only the state is asked for', async () => {
  const { backend, opened } = sharded();
  await firstValueFrom(backend.enter({ kind: 'lock', name: nameAt(2) }, request));
  expect(opened).toEqual([0, 0, 1, 0]);
  const states: Session['state'][] = [];
  backend.session$.subscribe(({ state }) => states.push(state));
  await firstValueFrom(backend.enter({ kind: 'lock', name: nameAt(1) }, request));
  expect([opened, states]).toEqual([[0, 1, 1, 0], ['live']]);
  await backend.close();
  const { backend: idle, opened: looked } = sharded();
  await firstValueFrom(idle.session$);
  expect(looked).toEqual([1, 0, 0, 0]);
  await idle.close();
});

test('registrations of all shards are told together', async () => {
  const { backend, opened } = sharded();
  for (let at = 0; at < 12; at++) await firstValueFrom(backend.register({ kind: 'group', name: `g${at}` }));
  const names = await firstValueFrom(backend.registered('group'));
  expect([names.size, opened]).toEqual([12, [1, 1, 1, 1]]);
  await backend.close();
});

test('faults of all are told, streams complete when it is closed, and nothing begins afterwards', async () => {
  const { backend } = sharded();
  const faults: unknown[] = [];
  let completed = 0;
  backend.faults$.subscribe({ next: (fault) => faults.push(fault), complete: () => completed++ });
  backend.session$.subscribe({ complete: () => completed++ });
  backend.enter({ kind: 'lock', name: nameAt(3) }, request).subscribe({ complete: () => completed++ });
  const fault = new Unavailable('several', 'try');
  backend.reportFault(fault);
  expect(backend.close()).toBe(backend.close());
  await backend.close();
  expect([faults, completed]).toEqual([[fault], 3]);
  await expect(firstValueFrom(backend.enter({ kind: 'lock', name: 'x' }, request))).rejects.toMatchObject({
    _tag: 'BackendClosed',
  });
});

describe('on scripted stores', () => {
  chance(0);

  const scripted = () => {
    const time = new ManualTime();
    const stores = [
      new ScriptedStore(time),
      new ScriptedStore(time),
      new ScriptedStore(time),
      new ScriptedStore(time),
    ] as const;
    const options = { ...QUICK, scheduler: time };
    const backend = createShardedBackend('scripted', memoryCharacteristics, COUNT, of(stores), options);
    const asked = (operation: Operation): number[] => stores.map((store) => store.all(operation).length);
    const use = (shard: number): void => {
      backend.entries({ kind: 'lock', name: nameAt(shard) }).subscribe();
    };
    const states: string[] = [];
    const watch = (): void => {
      backend.session$.subscribe((session) =>
        states.push(session.state === 'connecting' ? `connecting ${session.attempt}` : session.state),
      );
    };
    return { time, stores, backend, asked, use, states, watch };
  };
  const unavailable = new Unavailable('scripted', 'open');
  const expired = new SessionLost('s1', 'expired', true);

  const value = new Uint8Array([1]);
  const ofRoster: [Operation, (backend: Backend, roster: RosterKey) => Observable<unknown>, unknown[]][] = [
    ['enter', (backend, roster) => backend.enter(roster, request), []],
    ['entries', (backend, roster) => backend.entries(roster), []],
    ['look', (backend, roster) => backend.look(roster), []],
    ['evict', (backend, roster) => backend.evict(roster, 'e1'), ['e1']],
    ['register', (backend, roster) => backend.register(roster), []],
    ['unregister', (backend, roster) => backend.unregister(roster), []],
  ];

  test.each(ofRoster)('%s is asked of the shard that the name belongs to, and of no other', (operation, act, args) => {
    const { backend, stores, asked } = scripted();
    for (const shard of [2, 0, 3, 1]) {
      const roster = { kind: 'lock', name: nameAt(shard) } as const;
      const before = asked(operation);
      act(backend, roster).subscribe();
      expect(asked(operation)).toEqual(before.map((times, at) => (at === shard ? times + 1 : times)));
      expect(stores[shard]?.last(operation).args.slice(0, 1 + args.length)).toEqual([roster, ...args]);
    }
  });

  const keyAt = (shard: number): string => {
    for (let at = 0; ; at++) if (shardOf(`cell:c${at}`, COUNT) === shard) return `c${at}`;
  };

  test.each([0, 1, 2, 3])('a cell is watched and swapped in the one shard that its key belongs to: %d', (shard) => {
    const { backend, stores, asked } = scripted();
    const only = [0, 1, 2, 3].map((at) => (at === shard ? 1 : 0));
    backend.cell(keyAt(shard)).subscribe();
    backend.swap(keyAt(shard), 5n, value).subscribe();
    expect([asked('cell'), asked('swap'), asked('open')]).toEqual([only, only, only]);
    expect(stores[shard]?.last('cell').args).toEqual([keyAt(shard)]);
    expect(stores[shard]?.last('swap').args.slice(0, 3)).toEqual([keyAt(shard), 5n, value]);
  });

  test('registrations are told when all shards have told theirs, and again at each change', () => {
    const { backend, stores, asked } = scripted();
    const seen: string[] = [];
    backend.registered('group').subscribe((names) => seen.push([...names].sort().join()));
    expect(asked('registered')).toEqual([1, 1, 1, 1]);
    for (const [at, store] of stores.entries()) {
      expect(seen).toEqual([]);
      expect(store.last('registered').args).toEqual(['group']);
      store.last('registered').tell(new Set(at === 2 ? [] : [`g${at}`]));
    }
    stores[2].last('registered').tell(new Set(['a', 'b']));
    expect(seen).toEqual(['g0,g1,g3', 'a,b,g0,g1,g3']);
  });

  test('the state is the worst there is among the shards that are used', () => {
    const { stores, use, states, watch, time } = scripted();
    watch();
    use(1);
    use(2);
    expect(states).toEqual(['live']);
    stores[2].latest.link.next(false);
    stores[1].latest.link.next(false);
    stores[2].latest.link.next(true);
    time.pass(1);
    expect(states).toEqual(['live', 'suspended']);
    stores[1].on('open', (call) => (call.sentMs < 10 ? call.fail(unavailable) : call.tell(stores[1].session())));
    stores[1].latest.link.error(expired);
    expect(states.splice(2)).toEqual(['lost', 'connecting 1']);
    stores[0].latest.link.next(false);
    time.pass(5);
    expect(states.splice(2)).toEqual(['connecting 2']);
    time.pass(10);
    expect(states.splice(2)).toEqual(['suspended']);
    stores[0].latest.link.next(true);
    time.pass(1);
    expect(states.splice(2)).toEqual(['live']);
  });

  test('a shard that opens its first session does not count until it has failed to', () => {
    const { stores, use, states, watch, time } = scripted();
    watch();
    stores[3].on('open', (call) => call.later(20, () => call.fail(unavailable)));
    use(3);
    time.pass(10);
    expect(states).toEqual(['live']);
    time.pass(10);
    expect(states).toEqual(['live', 'connecting 1']);
  });

  test('where none has a session yet, it is connecting', () => {
    const { stores, states, watch, use } = scripted();
    for (const store of stores) store.hold('open');
    use(1);
    use(2);
    watch();
    expect(states).toEqual(['connecting 0']);
    stores[2].last('open').tell(stores[2].session());
    expect(states).toEqual(['connecting 0', 'live']);
    // Another session is now the first, and nothing is better or worse for that.
    stores[1].last('open').tell(stores[1].session());
    expect(states).toEqual(['connecting 0', 'live']);
  });

  test('of several that are as bad, the one that was used first is told', () => {
    for (const [first, second] of [[1, 2] as const, [2, 1] as const]) {
      const { stores, backend, use } = scripted();
      stores[second].session();
      use(first);
      use(second);
      const seen: Session[] = [];
      backend.session$.subscribe((session) => seen.push(session));
      expect(stores[second].latest.id).toBe('s2');
      expect(seen).toEqual([{ state: 'live', id: 's1' }]);
    }
  });

  test('of several that are live, the one that admits nobody for longest is told, until all admit', () => {
    const { stores, backend, use } = scripted();
    const barredMs = [new BehaviorSubject(30), new BehaviorSubject(70), new BehaviorSubject(0)] as const;
    for (const [at, barredMs$] of barredMs.entries())
      stores[at]?.on('open', (call) => call.tell(stores[at]?.session({ barredMs$ })));
    for (const shard of [0, 1, 2]) use(shard);
    const seen: Session[] = [];
    backend.session$.subscribe((session) => seen.push(session));
    barredMs[1].next(0);
    barredMs[0].next(0);
    expect(seen).toEqual([
      { state: 'live', id: 's1', barredMs: 70 },
      { state: 'live', id: 's1', barredMs: 30 },
      { state: 'live', id: 's1' },
    ]);
  });

  test('of one that admits nobody yet is told what is left of that, to those who come later, and when another has changed', () => {
    const { time, stores, backend, use } = scripted();
    const barredMs = [new BehaviorSubject(90), new BehaviorSubject(70)] as const;
    for (const [at, barredMs$] of barredMs.entries())
      stores[at]?.on('open', (call) => call.tell(stores[at]?.session({ barredMs$ })));
    use(0);
    use(1);
    const told = (): Session[] => {
      const seen: Session[] = [];
      backend.session$.subscribe((session) => seen.push(session));
      return seen;
    };
    const early = told();
    time.pass(30);
    const late = told();
    // Another shard that is used is no news of this one.
    use(2);
    time.pass(10);
    barredMs[0].next(0);
    expect(early).toEqual([
      { state: 'live', id: 's1', barredMs: 90 },
      { state: 'live', id: 's1', barredMs: 30 },
    ]);
    expect(late).toEqual([
      { state: 'live', id: 's1', barredMs: 60 },
      { state: 'live', id: 's1', barredMs: 30 },
    ]);
  });

  test('a shard that admits nobody yet is not worse than one that is in doubt', () => {
    const { stores, states, watch, use } = scripted();
    stores[0].on('open', (call) => call.tell(stores[0].session({ barredMs$: of(70) })));
    use(0);
    use(1);
    stores[1].latest.link.next(false);
    watch();
    expect(states).toEqual(['suspended']);
  });

  test('each loss is told, also that of a shard that is lost because another was told', () => {
    const { stores, use, backend } = scripted();
    const lost: string[] = [];
    stores[2].session();
    use(1);
    use(2);
    backend.session$.subscribe((session) => {
      if (session.state !== 'lost') return;
      lost.push(session.id);
      if (lost.length === 1) stores[1].latest.link.error(expired);
    });
    stores[2].latest.link.error(expired);
    expect(lost.slice(0, 2)).toEqual(['s2', 's1']);
  });

  test('each loss is told, also where another shard has lost its session already', () => {
    const { stores, use, backend } = scripted();
    const seen: Session[] = [];
    use(1);
    use(2);
    backend.session$.subscribe((session) => seen.push(session));
    for (const shard of [1, 2] as const) {
      stores[shard].hold('open');
      stores[shard].latest.link.error(expired);
    }
    expect(seen.filter(({ state }) => state === 'lost')).toHaveLength(2);
  });

  test('faults of every shard are told', () => {
    const { backend, stores, use } = scripted();
    const faults: unknown[] = [];
    backend.faults$.subscribe((fault) => faults.push(fault));
    for (const [at, store] of stores.entries()) {
      use(at);
      store.context?.fault(new Unavailable('scripted', `${at}`));
    }
    expect(faults).toMatchObject(['0', '1', '2', '3'].map((operation) => ({ operation })));
  });

  test('a drain lasts on all shards until the work on the last of them is done', async () => {
    const { time, backend, stores, asked, watch, states, use } = scripted();
    const seen: string[] = [];
    const enter = (shard: number, onDrain: EntryRequest['onDrain'] = 'work') =>
      backend
        .enter({ kind: 'lock', name: nameAt(shard) }, { ...request, onDrain })
        .subscribe({ complete: () => seen.push(`${shard} complete`) });
    watch();
    enter(0, 'stay');
    const [first, last] = [enter(1), enter(2)];
    const closed = backend.close({ drainMs: 1_000 });
    expect(backend.close({ drainMs: 2_000 })).toBe(closed);
    use(3);
    expect([states, asked('open')]).toEqual([
      ['live', 'draining'],
      [1, 1, 1, 1],
    ]);
    await time.passWithPromises(100);
    first.unsubscribe();
    await time.passWithPromises(100);
    expect([seen, asked('leave'), asked('end')]).toEqual([[], [0, 1, 0, 0], [0, 0, 0, 0]]);
    expect(stores[1].times('renew').at(-1)).toBe(200);
    last.unsubscribe();
    await closed;
    expect([seen, asked('end'), states]).toEqual([['0 complete'], [1, 1, 1, 1], ['live', 'draining']]);
    expect(time.pending).toBe(0);
  });

  test('CutShort: who closes again, or disposes, to know when it is over waits for the drain of all shards', async () => {
    const { time, backend, asked } = scripted();
    const enter = (shard: number) =>
      backend.enter({ kind: 'lock', name: nameAt(shard) }, { ...request, onDrain: 'work' }).subscribe();
    const working = [enter(1), enter(2)];
    const closed = backend.close({ drainMs: 1_000 });
    expect([backend.close(), backend[Symbol.asyncDispose]()]).toEqual([closed, closed]);
    await time.passWithPromises(100);
    expect(asked('end')).toEqual([0, 0, 0, 0]);
    for (const each of working) each.unsubscribe();
    await closed;
    expect([asked('end'), time.now()]).toEqual([[0, 1, 1, 0], 100]);
  });

  test('a drain is ended by another call, and one that cannot be is refused', async () => {
    const { time, backend, asked } = scripted();
    backend.enter({ kind: 'lock', name: nameAt(1) }, { ...request, onDrain: 'work' }).subscribe();
    expect(() => backend.close({ drainMs: -1 })).toThrow(expect.objectContaining({ _tag: 'InvalidOptions' }));
    const closed = backend.close({ drainMs: 1_000 });
    await time.passWithPromises(100);
    expect(backend.close({ drainMs: 0 })).toBe(closed);
    await closed;
    expect([asked('end'), time.now()]).toEqual([[0, 1, 0, 0], 100]);
  });

  test('closing ends the session of each shard that is used, once, and is what disposing does', async () => {
    const { backend, asked, use } = scripted();
    use(0);
    use(2);
    const closed = backend.close();
    expect(backend[Symbol.asyncDispose]()).toBe(closed);
    await closed;
    expect([asked('open'), asked('end')]).toEqual([
      [1, 0, 1, 0],
      [1, 0, 1, 0],
    ]);
  });
});

test('one shard has everything', async () => {
  const store = new ScriptedStore(new ManualTime());
  const options = { ...QUICK, scheduler: store.time };
  const backend = createShardedBackend('one', memoryCharacteristics, 1, of([store] as const), options);
  for (const name of ['a', 'b', 'c']) backend.entries({ kind: 'lock', name }).subscribe();
  expect(store.log).toEqual(['0 open', '0 entries s1', '0 entries s1', '0 entries s1']);
  await backend.close();
});

// Processes of other versions must look for a name in the same place: by the published values of FNV-1a, folded.
test.each([
  ['', 0x811c_1cd9],
  ['a', 0xe40c_cd20],
  ['foobar', 0xbf9c_46f4],
])('a name belongs to the same shard for ever: %j', (name, folded) => {
  for (const shards of [2 ** 32, 16, 3]) expect(shardOf(name, shards)).toBe(folded % shards);
});
