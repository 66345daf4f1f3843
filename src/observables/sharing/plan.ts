import { MAX_PAYLOAD_BYTES } from '../../backends/shared/codec.js';
import { toUtf8 } from '../../backends/shared/utf8.js';
import { md5 } from './md5.js';

/** 32 bits that stand for an item. Two items with the same key always have the same owner. */
export type ItemKey = number;
/** 16 hexadecimal digits that stand for a member. */
export type MemberKey = string;

/** Who shall own what. */
export type Plan = ReadonlyMap<ItemKey, MemberKey>;

export const NO_PLAN: Plan = new Map();

/** So that a plan for some hundreds of members fits into a cell, too. */
export const MOST_ITEMS = 15_000;

const VERSION = 1;
const MEMBER_BYTES = 8;
const WORD_BYTES = 4;

export function itemKeyOf(item: string): ItemKey {
  return Number.parseInt(md5(toUtf8(item)).slice(0, 2 * WORD_BYTES), 16);
}

export function memberKeyOf(id: string): MemberKey {
  return md5(toUtf8(id)).slice(0, 2 * MEMBER_BYTES);
}

/**
 * A plan as it stands in its cell. Names would take several times the room, and each member reads it at each change; so there are
 * keys: a byte for the version, then for each owner its own, the number of its items, and theirs. Equal plans are equal bytes.
 */
export function encodePlan(plan: Plan): Uint8Array {
  const shares = new Map<MemberKey, ItemKey[]>();
  for (const [item, owner] of plan) {
    const share = shares.get(owner);
    if (share === undefined) shares.set(owner, [item]);
    else share.push(item);
  }
  const bytes = new Uint8Array(1 + shares.size * (MEMBER_BYTES + WORD_BYTES) + plan.size * WORD_BYTES);
  const words = wordsOf(bytes);
  bytes[0] = VERSION;
  let at = 1;
  for (const [owner, share] of [...shares].sort(([a], [b]) => (a < b ? -1 : 1))) {
    words.setBigUint64(at, BigInt(`0x${owner}`));
    words.setUint32(at + MEMBER_BYTES, share.length);
    at += MEMBER_BYTES + WORD_BYTES;
    for (const item of share.sort((a, b) => a - b)) {
      words.setUint32(at, item);
      at += WORD_BYTES;
    }
  }
  return bytes;
}

/** Whether a cell has room for it. */
export function fitsCell(bytes: Uint8Array): boolean {
  return bytes.length <= MAX_PAYLOAD_BYTES;
}

/** Throws where it is none. */
export function decodePlan(bytes: Uint8Array): Plan {
  const words = wordsOf(bytes);
  const plan = new Map<ItemKey, MemberKey>();
  if (bytes[0] !== VERSION) throw new TypeError(`it is no plan of version ${VERSION}`);
  let at = 1;
  while (at < bytes.length) {
    // What is cut off in the middle throws a RangeError.
    const owner = words
      .getBigUint64(at)
      .toString(16)
      .padStart(2 * MEMBER_BYTES, '0');
    const count = words.getUint32(at + MEMBER_BYTES);
    at += MEMBER_BYTES + WORD_BYTES;
    for (const end = at + count * WORD_BYTES; at < end; at += WORD_BYTES) plan.set(words.getUint32(at), owner);
  }
  return plan;
}

function wordsOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
