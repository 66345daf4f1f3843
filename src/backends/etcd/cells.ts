import type { IKeyValue, IRequestOp } from 'etcd3';
import { map, type Observable } from 'rxjs';
import type { Expected, SwapResult, Versioned } from '../backend.js';
import { type KeyRange, type Layout, oneKey } from './layout.js';
import type { Link } from './link.js';
import { mirror } from './mirror.js';
import type { Pages } from './pages.js';
import { isAbsent, isVersion, keysRead, read, remove } from './requests.js';

/** The id of a write stands before the value, so that a repeated write is known for its first. */
const WRITE_ID_BYTES = 32;

export function watchCell(link: Link, pages: Pages, layout: Layout, key: string): Observable<Versioned | undefined> {
  const name = layout.cell(key);
  return mirror(link, pages, oneKey(name)).pipe(map((found) => versioned(found.get(name))));
}

export function swapCell(
  link: Link,
  range: KeyRange,
  expected: Expected,
  value: Uint8Array | undefined,
  writeId: string,
): Observable<SwapResult> {
  const compare = expected === 'any' ? [] : [expected === 'absent' ? isAbsent(range) : isVersion(range, expected)];
  const stored = value === undefined ? undefined : Buffer.concat([Buffer.from(writeId), value]);
  const write: IRequestOp = stored === undefined ? remove(range) : { request_put: { key: range.start, value: stored } };
  return link
    .call('write a cell', ({ kv }, options) => kv.txn({ compare, success: [write], failure: [read(range)] }, options))
    .pipe(
      map(({ succeeded, header, responses }) => {
        if (succeeded)
          return {
            swapped: true,
            current: value === undefined ? undefined : { value, version: BigInt(header.revision) },
          };
        const found = keysRead(responses, 0)[0];
        return { swapped: found !== undefined && writeIdOf(found) === writeId, current: versioned(found) };
      }),
    );
}

function versioned(found: IKeyValue | undefined): Versioned | undefined {
  if (found === undefined) return undefined;
  return { value: new Uint8Array(found.value.subarray(WRITE_ID_BYTES)), version: BigInt(found.mod_revision) };
}

function writeIdOf({ value }: IKeyValue): string {
  return value.subarray(0, WRITE_ID_BYTES).toString();
}
