import type { ICompare, IKeyValue, IRangeRequest, IRequestOp, IResponseOp } from 'etcd3';
import type { KeyRange } from './layout.js';

/** Parts of transactions, by what they are for. */

export const rangeOf = ({ start, end }: KeyRange): { key: Buffer; range_end?: Buffer } =>
  end === undefined ? { key: start } : { key: start, range_end: end };

export const isAbsent = (range: KeyRange): ICompare => ({
  ...rangeOf(range),
  target: 'Create',
  result: 'Equal',
  create_revision: 0,
});

export const isPresent = (range: KeyRange): ICompare => ({
  ...rangeOf(range),
  target: 'Create',
  result: 'Greater',
  create_revision: 0,
});

export const isMadeAt = (range: KeyRange, token: bigint): ICompare => ({
  ...rangeOf(range),
  target: 'Create',
  result: 'Equal',
  create_revision: String(token),
});

export const isLeased = (range: KeyRange, lease: string): ICompare => ({
  ...rangeOf(range),
  target: 'Lease',
  result: 'Equal',
  lease,
});

export const isVersion = (range: KeyRange, version: bigint): ICompare => ({
  ...rangeOf(range),
  target: 'Mod',
  result: 'Equal',
  mod_revision: String(version),
});

export const read = (range: KeyRange, how: Omit<IRangeRequest, 'key' | 'range_end'> = {}): IRequestOp => ({
  request_range: { ...rangeOf(range), ...how },
});

export const remove = (range: KeyRange): IRequestOp => ({ request_delete_range: rangeOf(range) });

/** The keys that the transaction's operation at `index` has read. */
export function keysRead(responses: readonly IResponseOp[], index: number): readonly IKeyValue[] {
  return responses[index]?.response_range?.kvs ?? [];
}
