import type { IEvent, IKeyValue } from 'etcd3';
import { concatMap, filter, map, type Observable, of, scan } from 'rxjs';
import type { KeyRange } from './layout.js';
import type { Link } from './link.js';
import type { Pages, Snapshot } from './pages.js';

/** What the mirror is told: everything, once, and then what happens. */
type News = Snapshot | { readonly events: readonly IEvent[] };

interface State {
  readonly revision: bigint;
  readonly found: ReadonlyMap<string, IKeyValue> | undefined;
}

/**
 * What stands in a range, by key, in the order in which it was made: all of it first, then again after each change. The
 * watch is there before the range is read, so nothing is missed; and it begins at the present, so nothing can have been
 * compacted away.
 */
export function mirror(link: Link, pages: Pages, range: KeyRange): Observable<ReadonlyMap<string, IKeyValue>> {
  const news$ = link.through('watch', ({ watches }) =>
    watches
      .watch(range, 'all')
      .pipe(
        concatMap(({ created, events }): Observable<News> => (created ? pages.read('list', range) : of({ events }))),
      ),
  );
  return news$.pipe(
    scan(after, { revision: 0n, found: undefined }),
    map(({ found }) => found),
    filter((found) => found !== undefined),
  );
}

/** A key that is made anew goes to the end of a Map, so the order holds. */
function after(state: State, news: News): State {
  if ('kvs' in news) return { revision: news.revision, found: new Map(news.kvs.map((kv) => [kv.key.toString(), kv])) };
  const found = new Map(state.found);
  for (const { type, kv } of news.events) {
    if (BigInt(kv.mod_revision) <= state.revision) continue;
    if (type === 'Put') found.set(kv.key.toString(), kv);
    else found.delete(kv.key.toString());
  }
  return { ...state, found };
}
