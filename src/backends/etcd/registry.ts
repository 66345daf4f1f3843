import { map, type Observable } from 'rxjs';
import type { RosterKey, RosterKind } from '../backend.js';
import { below, type Layout, nameOf, oneKey } from './layout.js';
import type { Link } from './link.js';
import { mirror } from './mirror.js';
import type { Outcomes } from './outcomes.js';
import type { Pages } from './pages.js';
import { isAbsent, remove } from './requests.js';

export function register(outcomes: Outcomes, layout: Layout, roster: RosterKey, writeId: string): Observable<boolean> {
  const key = oneKey(layout.registration(roster));
  const ways = [
    { outcome: 'made', compare: [isAbsent(key)], success: [{ request_put: { key: key.start } }] },
    { outcome: 'present' },
  ] as const;
  return outcomes.write('register', writeId, ways).pipe(map(({ outcome }) => outcome === 'made'));
}

/** That nobody stands in the roster is compared over all of its keys, in the transaction that removes it. */
export function unregister(
  outcomes: Outcomes,
  layout: Layout,
  roster: RosterKey,
  writeId: string,
): Observable<'removed' | 'absent' | 'occupied'> {
  const key = oneKey(layout.registration(roster));
  const ways = [
    { outcome: 'absent', compare: [isAbsent(key)] },
    { outcome: 'removed', compare: [isAbsent(below(layout.entries(roster)))], success: [remove(key)] },
    { outcome: 'occupied' },
  ] as const;
  return outcomes.write('unregister', writeId, ways).pipe(map(({ outcome }) => outcome));
}

export function registered(
  link: Link,
  pages: Pages,
  layout: Layout,
  kind: RosterKind,
): Observable<ReadonlySet<string>> {
  const prefix = layout.registry(kind);
  return mirror(link, pages, below(prefix)).pipe(
    map((found) => {
      const names = [...found.keys()].map((key) => nameOf(key.slice(prefix.length)));
      return new Set(names.filter((name) => name !== undefined));
    }),
  );
}
