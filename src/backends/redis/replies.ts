import type { Outlook } from './places.js';
import type { Reply } from './wire.js';

/** Beyond this, the server's numbers are not exact: no token of ours is that high. */
const HIGHEST_TOKEN = BigInt(Number.MAX_SAFE_INTEGER);

export function text(value: unknown): string {
  return Buffer.isBuffer(value) ? value.toString() : String(value ?? '');
}

export function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(text) : [];
}

export function listsIn(value: unknown): readonly (readonly unknown[])[] {
  return Array.isArray(value) ? value.filter((each) => Array.isArray(each)) : [];
}

export function numbers(value: unknown): readonly number[] {
  return Array.isArray(value) ? value.map(Number) : [];
}

/** 0 for what others have written there. */
export function tokenOf(decimal: string): bigint {
  const token = /^\d{1,16}$/.test(decimal) ? BigInt(decimal) : 0n;
  return token > HIGHEST_TOKEN ? 0n : token;
}

export function payloadOf(value: unknown): Uint8Array {
  return Buffer.isBuffer(value) ? new Uint8Array(value) : new Uint8Array();
}

/** The same bytes as a client takes them: most often there are none, and a command of text alone costs less. */
export function bytes(payload: Uint8Array): string | Buffer {
  return payload.length === 0 ? '' : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
}

/** What begins the replies of RENEW and LOOK. */
export function outlookOf(reply: Reply): Outlook {
  const earliest = text(reply[2]);
  return {
    quarantineMs: Number(text(reply[1])),
    earliestMs: earliest === '' ? undefined : Number(earliest),
    isPromised: earliest.startsWith('+'),
    more: text(reply[3]) === '1',
  };
}
