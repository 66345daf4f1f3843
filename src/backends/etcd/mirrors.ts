import { defer, map, type Observable, take } from 'rxjs';
import type { Connection } from './connection.js';
import type { KeyRange } from './layout.js';
import type { Link } from './link.js';
import { Mirror, type Reading } from './mirror.js';
import type { Pages } from './pages.js';

/** The ranges that a session looks at, each by one mirror for all who do. */
export class Mirrors<T> {
  /** By where the range begins: those of one kind differ in that. */
  readonly #mirrors = new WeakMap<Connection, Map<string, Mirror<T>>>();

  constructor(
    private readonly link: Link,
    private readonly pages: Pages,
  ) {}

  /** What stands in the range, in the order in which it was made: all of it first, then again after each change. */
  follow(range: KeyRange, reading: Reading<T>): Observable<readonly T[]> {
    return this.link.through('watch', (connection) => this.#mirror(connection, range, reading).values$);
  }

  /** What stands there, once: of those who follow it already, if there are any. Leaves nothing watched. */
  look(range: KeyRange, reading: Reading<T>): Observable<readonly T[]> {
    return defer(() => {
      const { connection } = this.link;
      const followed = connection && this.#mirrors.get(connection)?.get(String(range.start));
      if (followed !== undefined) return followed.values$.pipe(take(1));
      return this.pages
        .read('look', range)
        .pipe(map(({ kvs }) => kvs.map(reading).filter((value) => value !== undefined)));
    });
  }

  #mirror(connection: Connection, range: KeyRange, reading: Reading<T>): Mirror<T> {
    const mirrors = this.#mirrors.get(connection) ?? new Map<string, Mirror<T>>();
    this.#mirrors.set(connection, mirrors);
    const key = String(range.start);
    const known = mirrors.get(key);
    if (known !== undefined) return known;
    const mirror = new Mirror(connection, this.link, this.pages, range, reading, () => {
      if (mirrors.get(key) === mirror) mirrors.delete(key);
    });
    mirrors.set(key, mirror);
    return mirror;
  }
}
