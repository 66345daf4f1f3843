import {
  createGroup,
  evictMember,
  exclusiveMap,
  type Grant,
  hashRing,
  itemLockName,
  join,
  members,
  ownedBy,
  partition,
  whileMember,
  whileOwner,
  whileQuorum,
  withPartition,
} from 'conclave';
import { finalize, from, interval, map, merge, NEVER, Observable, startWith, timer } from 'rxjs';
import { expect } from 'vitest';
import type { Suite } from './stage.js';

const ITEMS = ['eggs', 'flour', 'milk', 'salt/pepper', 'sugar', 'yeast'];
const SETTLED_MS = 300;

/** Work that is divided among members, each part of it with one owner. */
export function dividingCases({ hazard }: Suite): void {
  const options = { settledMs: SETTLED_MS };
  const namesOf = (owned: ReadonlyMap<string, Grant>): string => [...owned.keys()].sort().join();
  const all = ITEMS.join();

  hazard(
    'items are divided evenly, and one who leaves gives its own to the other, with greater tokens',
    async (stage) => {
      const [here, there] = [stage.backend(), stage.backend()];
      const one = stage.probe(partition(here, 'kitchen', ITEMS, { ...options, id: 'one' }));
      await one.now((owned) => namesOf(owned) === all, 'everything');
      const two = stage.probe(partition(there, 'kitchen', ITEMS, { ...options, id: 'two' }));
      const its = await two.now(({ size }) => size === 3, 'a half');
      const rest = await one.now(({ size }) => size === 3, 'the other half');
      expect([...rest.keys(), ...its.keys()].sort()).toEqual(ITEMS);
      two.unsubscribe();
      const whole = await one.now((owned) => namesOf(owned) === all, 'everything again');
      for (const [item, grant] of rest) expect(whole.get(item)).toBe(grant);
      for (const [item, { token, name }] of its) {
        expect(name).toBe(itemLockName('kitchen', item));
        expect(whole.get(item)?.token).toBeGreaterThan(token);
      }
    },
  );

  hazard('work on an item that moves is torn down before another begins it', async (stage) => {
    const log: string[] = [];
    const share = (who: string) =>
      withPartition(
        stage.backend(),
        'kitchen',
        ITEMS,
        (item) =>
          new Observable<string>((subscriber) => {
            log.push(`${who} begins ${item}`);
            subscriber.next(item);
            return () => log.push(`${who} ends ${item}`);
          }),
        { ...options, id: who },
      ).pipe(map((_, i) => i + 1));
    const one = stage.probe(share('one'));
    await one.ever((count) => count === ITEMS.length, 'everything');
    const two = stage.probe(share('two'));
    await two.ever((count) => count === 3, 'a half');
    const moved = log.flatMap((line) => /^two begins (.*)$/.exec(line)?.[1] ?? []);
    expect(moved).toHaveLength(3);
    for (const item of moved) {
      const lines = log.filter((line) => line.endsWith(` ${item}`));
      expect(lines).toEqual([`one begins ${item}`, `one ends ${item}`, `two begins ${item}`]);
    }
  });

  hazard(
    'the items of a crashed owner have another within its lifetime, the time to settle, and a second',
    async (stage) => {
      const peer = await stage.peer();
      await peer.request('divide', 'kitchen', ITEMS, SETTLED_MS);
      const mine = stage.probe(partition(stage.backend(), 'kitchen', ITEMS, options));
      await mine.now(({ size }) => size === 3, 'a half');
      await peer.kill();
      await mine.now(({ size }) => size === ITEMS.length, 'everything', stage.expiryMs + SETTLED_MS);
    },
  );

  hazard(
    'of items with one lock one is worked on at a time, over all processes, and those of one process in order',
    async (stage) => {
      const working = new Map<string, string>();
      const tokens = new Map<string, bigint[]>();
      const begun: string[] = [];
      let most = 0;
      const workOf =
        (who: string) =>
        (item: string, { token }: Grant) => {
          const [name = ''] = item.split(' ');
          expect(working.get(name)).toBeUndefined();
          working.set(name, who);
          most = Math.max(most, working.size);
          tokens.set(name, [...(tokens.get(name) ?? []), token]);
          begun.push(`${who} ${item}`);
          return timer(5).pipe(
            map(() => `${who} ${item}`),
            finalize(() => working.delete(name)),
          );
        };
      const items = [1, 2, 3, 4].flatMap((n) => [`eggs ${n}`, `milk ${n}`]);
      const nameOf = (item: string): string => item.split(' ')[0] ?? '';
      const done = ['one', 'two'].map((who) =>
        stage.probe(from(items).pipe(exclusiveMap(stage.backend(), nameOf, workOf(who)))),
      );
      for (const each of done) await each.completion('all items', 3 * stage.soonMs);
      for (const [i, who] of ['one', 'two'].entries()) {
        expect([...(done[i]?.values ?? [])].sort()).toEqual(items.map((item) => `${who} ${item}`).sort());
        for (const name of ['eggs', 'milk'])
          expect(begun.filter((line) => line.startsWith(`${who} ${name} `))).toEqual(
            [1, 2, 3, 4].map((n) => `${who} ${name} ${n}`),
          );
      }
      for (const given of tokens.values()) expect(given).toEqual([...given].sort((a, b) => (a < b ? -1 : 1)));
      expect(most).toBeLessThanOrEqual(2);
    },
  );

  hazard(
    'processes that see the same members have the same owner of each key, and a gate closes when its key moves',
    async (stage) => {
      const keys = Array.from({ length: 20 }, (_, i) => `key ${i}`);
      const [here, there] = [stage.backend(), stage.backend()];
      const ringOf = (backend: typeof here) => hashRing(members(backend, 'kitchen'));
      await stage.probe(createGroup(here, 'kitchen')).first('the group');
      await stage.join(here, 'kitchen', { id: 'one' });
      const rings = [here, there].map((backend) => stage.probe(ringOf(backend)));
      const alone = await Promise.all(
        rings.map((ring) => ring.now(({ members: { size } }) => size === 1, 'one member')),
      );
      for (const ring of alone) expect(keys.map((key) => ring.ownerOf(key))).toEqual(keys.map(() => 'one'));
      const gates = keys.map((key) =>
        stage.probe(NEVER.pipe(startWith(key), whileOwner(ringOf(here), 'one', key, { onLoss: 'complete' }))),
      );
      for (const gate of gates) await gate.first('the gate of a key of which one is the owner');
      const { joined } = await stage.join(there, 'kitchen', { id: 'two' });
      const both = await Promise.all(
        rings.map((ring) => ring.now(({ members: { size } }) => size === 2, 'two members')),
      );
      const owners = keys.map((key) => both[0]?.ownerOf(key));
      expect(keys.map((key) => both[1]?.ownerOf(key))).toEqual(owners);
      expect(new Set(owners)).toEqual(new Set(['one', 'two']));
      for (const [i, gate] of gates.entries()) if (owners[i] === 'two') await gate.completion('a key that has moved');
      expect(gates.map(({ hasEnded }) => hasEnded)).toEqual(owners.map((owner) => owner === 'two'));
      const passed = ['one', 'two'].map((id) =>
        stage.probe(merge(from(keys), NEVER).pipe(ownedBy(ringOf(there), id, (key) => key))),
      );
      for (const [i, id] of ['one', 'two'].entries()) {
        const its = keys.filter((_, at) => owners[at] === id);
        await passed[i]?.ever((key) => key === its.at(-1), `the last key of ${id}`);
        expect(passed[i]?.values).toEqual(its);
      }
      joined.unsubscribe();
      await rings[0]?.now(({ members: { size } }) => size === 1, 'one member again');
    },
  );

  hazard('work is gated by so many members, and by being one of them', async (stage) => {
    const [here, there] = [stage.backend(), stage.backend()];
    await stage.probe(createGroup(here, 'kitchen')).first('the group');
    const ticks$ = interval(10);
    const quorum = stage.probe(ticks$.pipe(whileQuorum(members(here, 'kitchen'), 2, { onLoss: 'complete' })));
    const member = stage.probe(ticks$.pipe(whileMember(join(here, 'kitchen', { id: 'one' }))));
    await member.first('the work of a member');
    expect(quorum.values).toEqual([]);
    const { joined } = await stage.join(there, 'kitchen', { id: 'two' });
    await quorum.first('the work of two members');
    joined.unsubscribe();
    await quorum.completion('too few are there');
    expect(member.hasEnded).toBe(false);
    await stage.probe(evictMember(there, 'kitchen', 'one')).first('the eviction');
    expect(await member.failure('it was evicted')).toMatchObject({ _tag: 'MembershipLost' });
  });
}
