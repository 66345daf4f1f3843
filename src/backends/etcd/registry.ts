import { map, type Observable } from 'rxjs';
import type { RosterKey, RosterKind } from '../backend.js';
import { below, type Layout, nameOf, oneKey } from './layout.js';
import type { Link } from './link.js';
import { mirror } from './mirror.js';
import type { Pages } from './pages.js';
import { isAbsent, isPresent, keysRead, read, remove } from './requests.js';

export function register(link: Link, layout: Layout, roster: RosterKey, writeId: string): Observable<boolean> {
  const key = oneKey(layout.registration(roster));
  const put = { request_put: { key: key.start, value: Buffer.from(writeId) } };
  return link
    .call('register', ({ kv }, options) =>
      kv.txn({ compare: [isAbsent(key)], success: [put], failure: [read(key)] }, options),
    )
    .pipe(map(({ succeeded, responses }) => succeeded || keysRead(responses, 0)[0]?.value.toString() === writeId));
}

/** That nobody stands in the roster is compared over all of its keys, in the transaction that removes it. */
export function unregister(
  link: Link,
  layout: Layout,
  roster: RosterKey,
): Observable<'removed' | 'absent' | 'occupied'> {
  const key = oneKey(layout.registration(roster));
  return link
    .call('unregister', ({ kv }, options) =>
      kv.txn(
        {
          compare: [isPresent(key), isAbsent(below(layout.entries(roster)))],
          success: [remove(key)],
          failure: [read(key, { keys_only: true })],
        },
        options,
      ),
    )
    .pipe(
      map(({ succeeded, responses }) => {
        if (succeeded) return 'removed';
        return keysRead(responses, 0).length === 0 ? 'absent' : 'occupied';
      }),
    );
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
