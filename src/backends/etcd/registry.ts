import { map, type Observable } from 'rxjs';
import type { RosterKey, RosterKind } from '../backend.js';
import { below, type Layout, nameOf, oneKey } from './layout.js';
import type { Mirrors } from './mirrors.js';
import type { Outcomes } from './outcomes.js';
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
  registries: Mirrors<string>,
  layout: Layout,
  kind: RosterKind,
): Observable<ReadonlySet<string>> {
  const prefix = layout.registry(kind);
  const registrations$ = registries.follow(below(prefix), ({ key }) => nameOf(key.toString().slice(prefix.length)));
  return registrations$.pipe(map((names) => new Set(names)));
}
