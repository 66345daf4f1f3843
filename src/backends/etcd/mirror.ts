import type { IEvent, IKeyValue } from 'etcd3';
import { concatMap, defer, Observable, of, type Subscriber, Subscription } from 'rxjs';
import type { Connection } from './connection.js';
import type { KeyRange } from './layout.js';
import type { Link } from './link.js';
import type { Pages, Snapshot } from './pages.js';
import { rangeOf } from './requests.js';

/** What the mirror is told: everything, once, and then what happens. */
type News = Snapshot | { readonly events: readonly IEvent[] };

/** What a key is; undefined for one that is not told of. */
export type Reading<T> = (kv: IKeyValue) => T | undefined;

/** What the store says of a range that the mirror already knows up to some revision. */
interface Mark {
  readonly revision: bigint;
  /** Of the last write to any of the keys, as far as the mirror did not know of it. */
  readonly written: bigint;
  readonly count: number;
}

/**
 * What stands in a range, in the order in which it was made: all of it first, then again after each change. One watch and
 * one reading serve all who look at it over one connection.
 *
 * The watch is there before the range is read, so nothing is missed; and it begins at the present, so nothing can have been
 * compacted away. Who comes before the range is read gets what is read. Who comes later may know already of something that
 * the watch has not told yet. So the store is asked, after it came, how many keys there are and which were written since
 * what the mirror knows last; it is told what the mirror holds as soon as the events up to there have arrived.
 *
 * What happens in one turn of the event loop is told once.
 */
export class Mirror<T> {
  readonly values$: Observable<readonly T[]> = new Observable((subscriber) => this.#join(subscriber));
  /** By key, also those that are not told of. A key that is made anew goes to the end of a Map, so the order holds. */
  readonly #found = new Map<string, T | undefined>();
  /** To each who is told of changes, what it was told last. */
  readonly #told = new Map<Subscriber<readonly T[]>, readonly T[] | undefined>();
  /** Who came when the range had been read, or was being read. */
  readonly #late = new Set<Subscriber<readonly T[]>>();
  /** Those of them on whose behalf the store is asked. */
  readonly #asking = new Set<Subscriber<readonly T[]>>();
  readonly #work = new Subscription();
  #progress: 'asleep' | 'unread' | 'reading' | 'read' = 'asleep';
  #isAsking = false;
  #mark: Mark | undefined;
  #readAt = 0n;
  /** Every change up to this revision is known, and none after it. */
  #known = 0n;
  #values: readonly T[] | undefined;
  #telling: NodeJS.Immediate | undefined;

  constructor(
    private readonly connection: Connection,
    private readonly link: Link,
    private readonly pages: Pages,
    private readonly range: KeyRange,
    private readonly reading: Reading<T>,
    /** Nobody looks any more, or nothing more will be told. */
    private readonly over: () => void,
  ) {}

  #start(): void {
    this.#progress = 'unread';
    const news$ = this.connection.watches
      .watch(this.range, 'all')
      .pipe(concatMap(({ created, events }): Observable<News> => (created ? this.#read() : of({ events }))));
    this.#work.add(
      news$.subscribe({
        next: (news) => ('kvs' in news ? this.#begin(news) : this.#apply(news.events)),
        error: (error) => this.#fail(error),
      }),
    );
  }

  #join(subscriber: Subscriber<readonly T[]>): void {
    const isEarly = this.#progress === 'asleep' || this.#progress === 'unread';
    if (isEarly) this.#told.set(subscriber, undefined);
    else this.#late.add(subscriber);
    subscriber.add(() => {
      for (const those of [this.#told, this.#late, this.#asking]) those.delete(subscriber);
      if (this.#told.size + this.#late.size + this.#asking.size === 0) this.#end();
    });
    if (this.#progress === 'asleep') this.#start();
    else this.#ask();
  }

  #read(): Observable<Snapshot> {
    return defer(() => {
      this.#progress = 'reading';
      return this.pages.read('list', this.range);
    });
  }

  #begin({ revision, kvs }: Snapshot): void {
    this.#progress = 'read';
    this.#readAt = revision;
    this.#known = revision;
    for (const kv of kvs) this.#found.set(nameOf(kv), this.reading(kv));
    this.#tell();
    this.#ask();
  }

  #apply(events: readonly IEvent[]): void {
    for (const { type, kv } of events) {
      const revision = BigInt(kv.mod_revision);
      if (revision <= this.#readAt) continue;
      this.#known = revision;
      this.#values = undefined;
      if (type === 'Put') this.#found.set(nameOf(kv), this.reading(kv));
      else this.#found.delete(nameOf(kv));
    }
    if (this.#values === undefined) this.#telling ??= setImmediate(() => this.#tell());
    this.#answer();
  }

  #tell(): void {
    clearImmediate(this.#telling);
    this.#telling = undefined;
    for (const subscriber of [...this.#told.keys()]) this.#tellOne(subscriber);
  }

  /** Who was told before may have ended this one. */
  #tellOne(subscriber: Subscriber<readonly T[]>): void {
    if (!this.#told.has(subscriber)) return;
    this.#values ??= [...this.#found.values()].filter((value) => value !== undefined);
    const values = this.#values;
    if (this.#told.get(subscriber) === values) return;
    this.#told.set(subscriber, values);
    subscriber.next(values);
  }

  /** One question at a time, for all who have come when it is sent. */
  #ask(): void {
    if (this.#isAsking || this.#progress !== 'read' || this.#late.size === 0) return;
    this.#isAsking = true;
    const since = this.#known;
    const answer$ = this.link.call('list', ({ kv }, options) => {
      for (const subscriber of this.#late) this.#asking.add(subscriber);
      this.#late.clear();
      const request = { ...rangeOf(this.range), keys_only: true, min_mod_revision: String(since + 1n) };
      return kv.range(request, options);
    });
    // Those who come in the same turn share it.
    const asked = setImmediate(() => {
      this.#work.add(
        answer$.subscribe({
          next: ({ header, count, kvs }) => {
            const written = kvs.reduce(
              (last, kv) => (BigInt(kv.mod_revision) > last ? BigInt(kv.mod_revision) : last),
              0n,
            );
            this.#mark = { revision: BigInt(header.revision), written, count: Number(count) };
            this.#answer();
          },
          error: (error) => {
            this.#isAsking = false;
            for (const subscriber of [...this.#asking, ...this.#late]) subscriber.error(error);
          },
        }),
      );
    });
    this.#work.add(() => clearImmediate(asked));
  }

  /**
   * Every key that was written since and still stands is here, and there are no more keys than there: so there is nothing
   * here that was deleted there.
   */
  #answer(): void {
    const mark = this.#mark;
    if (mark === undefined) return;
    const isThere = this.#known >= mark.written && this.#found.size === mark.count;
    if (!isThere && this.#known < mark.revision) return;
    this.#mark = undefined;
    const answered = [...this.#asking];
    this.#asking.clear();
    this.#isAsking = false;
    for (const subscriber of answered) this.#told.set(subscriber, undefined);
    for (const subscriber of answered) this.#tellOne(subscriber);
    this.#ask();
  }

  #fail(error: unknown): void {
    // Whoever comes back at once finds another.
    this.over();
    for (const subscriber of [...this.#told.keys(), ...this.#late, ...this.#asking]) subscriber.error(error);
  }

  #end(): void {
    this.over();
    clearImmediate(this.#telling);
    this.#work.unsubscribe();
  }
}

/** Keys that are no UTF-8 would read alike. */
function nameOf({ key }: IKeyValue): string {
  return key.toString('latin1');
}
