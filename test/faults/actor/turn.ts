import { map, type Observable } from 'rxjs';
import { type Backend, lock, lockAll, readLock, semaphore, writeLock } from '../../../src/index.js';
import { ANY, type Roster } from '../history.js';
import type { Random } from '../random.js';

/** How a lock is taken: alone; by readers and writers; with a permit of two; three locks of the name, in any order. */
export type Way = 'alone' | 'shared' | 'permits' | 'several';

/** What is held in one turn. */
export interface Taken {
  isValid(): boolean;
  readonly tokens: ReadonlyMap<Roster, bigint>;
}

/** One stay in a line, or in several at once. */
export interface Turn {
  readonly rosters: readonly Roster[];
  readonly permits: number;
  readonly taken$: Observable<Taken>;
}

const permits = 2;
const writers = 0.3;

export function turnOf(backend: Backend, name: string, way: Way, random: Random): Turn {
  const roster: Roster = `lock ${name}`;
  const one = { rosters: [roster] };
  switch (way) {
    case 'alone':
      return { ...one, permits: 1, taken$: lock(backend, name).pipe(taken(roster)) };
    case 'shared':
      return random.next() < writers
        ? { ...one, permits: 1, taken$: writeLock(backend, name).pipe(taken(roster)) }
        : { ...one, permits: ANY, taken$: readLock(backend, name).pipe(taken(roster)) };
    case 'permits':
      return { ...one, permits, taken$: semaphore(backend, name, permits).pipe(taken(roster)) };
    case 'several': {
      const names = ['x', 'y', 'z'].map((part) => `${name} ${part}`);
      const asked = random.next() < 0.5 ? names : names.toReversed();
      return {
        rosters: names.map((each): Roster => `lock ${each}`),
        permits: 1,
        taken$: lockAll(backend, asked).pipe(
          map((all) => ({
            isValid: () => all.isValid(),
            tokens: new Map([...all.grants].map(([each, { token }]): [Roster, bigint] => [`lock ${each}`, token])),
          })),
        ),
      };
    }
  }
}

function taken(roster: Roster) {
  return map(
    (grant: { readonly token: bigint; isValid(): boolean }): Taken => ({
      isValid: () => grant.isValid(),
      tokens: new Map([[roster, grant.token]]),
    }),
  );
}
