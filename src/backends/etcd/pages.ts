import type { IKeyValue, IRangeResponse } from 'etcd3';
import { catchError, defer, EMPTY, expand, map, type Observable, throwError, toArray } from 'rxjs';
import type { StoreContext } from '../store.js';
import { isOverdue } from './failures.js';
import { type KeyRange, keysAfter } from './layout.js';
import type { Link } from './link.js';
import { rangeOf } from './requests.js';

/** So many of the greatest payloads are soon read. */
const FIRST_PAGE_KEYS = 16;

/** What others may have to wait behind. */
const PAGE_BYTES = 512 * 1024;

/** A page is to take this part of the time that a request may. */
const PART_OF_TIMEOUT = 4;

/** By so much a page may be larger than the one before, and is smaller than the one that took too long. */
const STEP = 4;

/** All that stands in a range, as of one revision, in the order in which it was made. */
export interface Snapshot {
  readonly revision: bigint;
  readonly kvs: readonly IKeyValue[];
}

interface Page {
  readonly answer: IRangeResponse;
  /** How many keys the next one may have. */
  readonly nextKeys: number;
}

/**
 * Reads ranges page by page, all at the revision of the first, so that no answer takes as long as a request may, however
 * much stands there and however slow the link is.
 */
export class Pages {
  #firstKeys = FIRST_PAGE_KEYS;

  constructor(
    private readonly link: Link,
    private readonly context: Pick<StoreContext, 'now' | 'timing'>,
  ) {}

  read(operation: string, range: KeyRange): Observable<Snapshot> {
    return defer(() => this.#page(operation, range, this.#firstKeys)).pipe(
      expand(({ answer: { header, kvs, more }, nextKeys }, index) => {
        if (index === 0) this.#firstKeys = Math.min(nextKeys, FIRST_PAGE_KEYS);
        const last = kvs.at(-1);
        if (!more || last === undefined) return EMPTY;
        return this.#page(operation, keysAfter(range, last.key), nextKeys, header.revision);
      }),
      toArray(),
      map((pages) => ({
        revision: BigInt(pages[0]?.answer.header.revision ?? 0),
        kvs: pages
          .flatMap(({ answer }) => answer.kvs)
          .sort((a, b) => (BigInt(a.create_revision) < BigInt(b.create_revision) ? -1 : 1)),
      })),
    );
  }

  #page(operation: string, range: KeyRange, limit: number, revision?: string): Observable<Page> {
    return defer(() => {
      const sentMs = this.context.now();
      const request = { ...rangeOf(range), limit, ...(revision !== undefined && { revision }) };
      return this.link
        .call(operation, ({ kv }, options) => kv.range(request, options))
        .pipe(
          map((answer) => ({ answer, nextKeys: this.#nextKeys(answer.kvs, this.context.now() - sentMs) })),
          catchError((error) => {
            const fewer = Math.max(1, Math.floor(limit / STEP));
            this.#firstKeys = Math.min(fewer, FIRST_PAGE_KEYS);
            // Whoever began anew would come no further than this.
            if (isOverdue(error) && limit > 1) return this.#page(operation, range, fewer, revision);
            return throwError(() => error);
          }),
        );
    });
  }

  /** By how large these were and how long they took; but the next ones may be larger by far. */
  #nextKeys(kvs: readonly IKeyValue[], tookMs: number): number {
    const bytes = kvs.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
    const aimMs = this.context.timing.requestTimeoutMs / PART_OF_TIMEOUT;
    const factor = Math.min(PAGE_BYTES / Math.max(1, bytes), aimMs / Math.max(1, tookMs), STEP);
    return Math.max(1, Math.floor(kvs.length * factor));
  }
}
