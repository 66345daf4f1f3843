import type { Entry, RosterKey } from '../backend.js';
import { encodeSegment } from '../shared/keys.js';
import type { StandRequest } from '../store.js';
import { slotOf, tagOf } from './slots.js';

/**
 * Where things are. All keys of one script share the hash tag `{namespace:shard}`, so that Redis Cluster keeps them in
 * one slot; a single server needs one shard. On a cluster the tag is `{namespace:shard}` or `{namespace:shard.n}`, with
 * the least n that leads to this shard's part of all slots. Channels are named in the same way.
 *
 *     {ns:0}:m           hash    what data it is, clock and last token of the shard; which sessions ask next for the sake of
 *                                others' leases, and when: turns -> session:time, at most four; never deleted
 *     {ns:0}:s           zset    session -> end of its lease, in the shard's own time
 *     {ns:0}:t           zset    session -> its ttl
 *     {ns:0}:q           hash    session -> its latest connection, after the first
 *     {ns:0}:i:session   set     what stands in the session: e<entry>:<roster>
 *     {ns:0}:d:session   hash    id of a write -> its outcome, until the answer was received; of repeated ones, to the end
 *     {ns:0}:o:roster    zset    entry -> token
 *     {ns:0}:w:roster    zset    the exclusive entries only
 *     {ns:0}:e:roster    hash    entry -> payload, if it has one; permits -> the most that any has asked for, if over 1;
 *                                of a group, changes -> number of the data at its last change
 *     {ns:0}:g:kind      hash    registered roster -> id of the write
 *     {ns:0}:k:cell      hash    value, version
 *
 *     {ns:0}:c:session   channel of one session: which of its entries to look at, and its own heartbeats
 *     {ns:0}:n:roster    channel of a roster: it has changed, and of a group, how; likewise {ns:0}:g:kind and
 *                                {ns:0}:k:cell
 */
export interface Layout {
  /**
   * The keys that every script gets. The others begin with all of the first but its last letter. The second one never
   * exists: a slot of which some keys have been moved to another server is refused as a whole then, as it must be, since
   * a script would take what has been moved, or is still to be moved, for absent.
   */
  readonly keys: readonly [main: string, absent: string];
  /** Where a cluster has them. */
  readonly slot: number;
  roster(roster: RosterKey): string;
  segment(name: string): string;
  rosterChannel(roster: string): string;
  registryChannel(kind: string): string;
  cellChannel(cell: string): string;
  sessionChannel(sessionId: string): string;
}

/** `keyPrefix` stands before all names. It has no braces where there are shards. */
export function layoutOf(namespace: string, shard: number, shards: number, keyPrefix = ''): Layout {
  // The tag ends at the first closing brace.
  const inner = encodeSegment(namespace).replaceAll('{', '%7B').replaceAll('}', '%7D');
  const name = tagOf(inner, shard, shards);
  const tag = `${keyPrefix}{${name}}`;
  return {
    keys: [`${tag}:m`, `${tag}:-`],
    slot: slotOf(name),
    roster: ({ kind, name }) => `${kind}:${encodeSegment(name)}`,
    segment: encodeSegment,
    rosterChannel: (roster) => `${tag}:n:${roster}`,
    registryChannel: (kind) => `${tag}:g:${kind}`,
    cellChannel: (cell) => `${tag}:k:${cell}`,
    sessionChannel: (sessionId) => `${tag}:c:${sessionId}`,
  };
}

/** The same 128 bits in 22 letters instead of 32: beyond 64 bytes an element costs Redis several times the memory. */
export function compact(hexadecimal: string): string {
  return Buffer.from(hexadecimal, 'hex').toString('base64url');
}

/** An entry's id says whose it is, its mode and its permits (none: any number), so that a wake needs no look-up. */
export function entryIdOf(sessionId: string, { id, mode, permits }: StandRequest): string {
  const limit = Number.isSafeInteger(permits) ? String(permits) : '';
  return `${sessionId}.${compact(id)}.${mode === 'exclusive' ? 'x' : 's'}${limit}`;
}

const ENTRY_ID = /^[\w-]+\.[\w-]+\.([sx])(\d*)$/;

/** Mode and permits of an entry; `undefined` for what is not an entry of ours. */
export function wishOf(entryId: string): Pick<Entry, 'mode' | 'permits'> | undefined {
  const [, mode, limit] = ENTRY_ID.exec(entryId) ?? [];
  if (mode === undefined) return undefined;
  return { mode: mode === 'x' ? 'exclusive' : 'shared', permits: limit ? Number(limit) : Number.POSITIVE_INFINITY };
}
