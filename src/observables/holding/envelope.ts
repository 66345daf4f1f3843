import { fromUtf8, toUtf8 } from '../../backends/shared/utf8.js';

/** What stands in front of a payload beside what the user gave. A payload without any of it is the codec's, byte for byte. */
export interface Header {
  readonly priority?: number | undefined;
  /** The name that one has chosen for oneself, the same after each start. */
  readonly identity?: string | undefined;
  /** Told apart by it: two who stand under the same identity. */
  readonly owner?: string | undefined;
  /** The token of the first entry of this owner. */
  readonly since?: bigint | undefined;
}

/** No text begins like that. */
const MAGIC = Uint8Array.of(0, ...toUtf8('conclave'));
const LENGTH_BYTES = 2;
const BEGIN = MAGIC.length + LENGTH_BYTES;

/** The payload with a header in front of it; the payload itself where there is nothing to say. */
export function enveloped(payload: Uint8Array, { since, ...header }: Header): Uint8Array {
  const fields = { ...header, since: since?.toString() };
  if (Object.values(fields).every((field) => field === undefined)) return payload;
  const head = toUtf8(JSON.stringify(fields));
  const bytes = new Uint8Array(BEGIN + head.length + payload.length);
  bytes.set(MAGIC);
  new DataView(bytes.buffer).setUint16(MAGIC.length, head.length);
  bytes.set(head, BEGIN);
  bytes.set(payload, BEGIN + head.length);
  return bytes;
}

/** The two apart. What others wrote, and looks like a header without being one, is all payload. */
export function opened(bytes: Uint8Array): { readonly header: Header; readonly payload: Uint8Array } {
  const plain = { header: {}, payload: bytes };
  if (MAGIC.some((byte, i) => bytes[i] !== byte)) return plain;
  try {
    const end = BEGIN + new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint16(MAGIC.length);
    if (bytes.length < end) return plain;
    const header = headerOf(JSON.parse(fromUtf8(bytes.subarray(BEGIN, end))));
    return { header, payload: bytes.subarray(end) };
  } catch {
    return plain;
  }
}

/** Throws where it is none; of `null` no field can be read. */
function headerOf(fields: { [name in keyof Header]?: unknown }): Header {
  if (typeof fields !== 'object') throw new TypeError('no fields');
  const { priority, identity, owner, since } = fields;
  return {
    ...(Number.isSafeInteger(priority) && { priority: Number(priority) }),
    ...(typeof identity === 'string' && { identity }),
    ...(typeof owner === 'string' && { owner }),
    ...(typeof since === 'string' && { since: BigInt(since) }),
  };
}
