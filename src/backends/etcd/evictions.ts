import { catchError, defer, finalize, mergeMap, type Observable, share, throwError } from 'rxjs';
import type { Layout } from './layout.js';
import { below } from './layout.js';
import type { Link } from './link.js';
import { isCompacted } from './watch-stream.js';

/**
 * What others have evicted of one session, by one watch for all that stands in it: it is there from when the first entry is
 * followed. So who holds a lock for a moment costs no watch of its own, and learns at once when it is broken.
 */
export class Evictions {
  readonly #entryIds$: Observable<string>;
  #from: bigint | undefined;

  constructor(link: Link, layout: Layout, session: string) {
    const watch = (from?: bigint) =>
      link.through('watch', ({ watches }) => watches.watch(below(layout.evictions(session)), 'all', from));
    this.#entryIds$ = defer(() => watch(this.#from)).pipe(
      // Then what is missed is found out by the watch of each entry, a little later.
      catchError((error) => (isCompacted(error) ? watch() : throwError(() => error))),
      mergeMap(({ events }) => events.filter(({ type }) => type === 'Put').map(({ kv }) => kv.value.toString())),
      finalize(() => {
        this.#from = undefined;
      }),
      // Kept when nobody holds anything for a while; it ends with its connection.
      share({ resetOnRefCountZero: false }),
    );
  }

  /** The ids of the entries, from the revision after the one that was `seen` by the first who asks. */
  told(seen: bigint): Observable<string> {
    return defer(() => {
      this.#from ??= seen + 1n;
      return this.#entryIds$;
    });
  }
}
