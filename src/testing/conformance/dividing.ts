import { type Grant, itemLockName, partition, withPartition } from 'conclave';
import { map, Observable } from 'rxjs';
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
}
