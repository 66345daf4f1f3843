import type { IKeyValue } from 'etcd3';
import { map, type Observable } from 'rxjs';
import type { Expected, SwapResult, Versioned } from '../backend.js';
import { type Layout, oneKey } from './layout.js';
import type { Mirrors } from './mirrors.js';
import type { Outcomes } from './outcomes.js';
import { isAbsent, isVersion, read, remove } from './requests.js';

export function watchCell(cells: Mirrors<Versioned>, layout: Layout, key: string): Observable<Versioned | undefined> {
  return cells.follow(oneKey(layout.cell(key)), versioned).pipe(map(([found]) => found));
}

export function swapCell(
  outcomes: Outcomes,
  name: string,
  expected: Expected,
  value: Uint8Array | undefined,
  writeId: string,
): Observable<SwapResult> {
  const range = oneKey(name);
  const compare = expected === 'any' ? [] : [expected === 'absent' ? isAbsent(range) : isVersion(range, expected)];
  const write = value === undefined ? remove(range) : { request_put: { key: range.start, value: Buffer.from(value) } };
  const ways = [
    { outcome: 'swapped', compare, success: [write] },
    { outcome: 'refused', success: [read(range)] },
  ] as const;
  return outcomes.write('write a cell', writeId, ways, [read(range)]).pipe(
    map(({ outcome, revision, found }) => {
      const isDoneNow = outcome === 'swapped' && revision !== undefined;
      const written = value === undefined ? undefined : { value, version: revision ?? 0n };
      return { swapped: outcome === 'swapped', current: isDoneNow ? written : versioned(found.get(name)) };
    }),
  );
}

function versioned(found: IKeyValue | undefined): Versioned | undefined {
  return found === undefined ? undefined : { value: new Uint8Array(found.value), version: BigInt(found.mod_revision) };
}
