import type { Codec } from '../backend.js';
import { InvalidPayload } from '../errors.js';
import { fromUtf8, toUtf8 } from './utf8.js';

/** Largest payload, in bytes. */
export const MAX_PAYLOAD_BYTES = 65_536;
/** What a recipe may keep beside the user's payload, in any codec: a member's id and owner. */
export const RECORD_BYTES = 8_192;

/** JSON in UTF-8; `undefined` is no bytes at all. */
export const jsonCodec: Codec = {
  encode: (value) => {
    if (value === undefined) return new Uint8Array();
    const text = JSON.stringify(value);
    if (text === undefined) throw new TypeError(`JSON has no form for a ${typeof value}`);
    return toUtf8(text);
  },
  decode: (bytes) => (bytes.length === 0 ? undefined : JSON.parse(fromUtf8(bytes))),
};

/** Wraps a codec so that it fails with `InvalidPayload`, and refuses what is over the limit, before anything is sent. */
export function encodePayload(
  codec: Codec,
  subject: string,
  value: unknown,
  limit: number = MAX_PAYLOAD_BYTES,
): Uint8Array {
  return checkPayload(subject, attempt(codec, subject, value), limit);
}

/** Returns what is no larger than the limit, and throws `InvalidPayload` if it is. */
export function checkPayload(subject: string, bytes: Uint8Array, limit: number = MAX_PAYLOAD_BYTES): Uint8Array {
  if (bytes.length > limit)
    throw new InvalidPayload(subject, `it is ${bytes.length} bytes long, and ${limit} is the limit`);
  return bytes;
}

function attempt(codec: Codec, subject: string, value: unknown): Uint8Array {
  let bytes: unknown;
  try {
    bytes = codec.encode(value);
  } catch (cause) {
    throw new InvalidPayload(subject, 'the codec cannot encode it', cause);
  }
  if (!(bytes instanceof Uint8Array)) throw new InvalidPayload(subject, 'the codec gave no Uint8Array');
  return bytes;
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
