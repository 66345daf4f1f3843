import { InvalidName } from '../errors.js';
import { toUtf8 } from './utf8.js';

/** Longest name, in bytes of UTF-8. */
export const MAX_NAME_BYTES = 512;

/** Returns the name if it is one, and throws `InvalidName`, saying why, if not. */
export function checkName(name: unknown): string {
  if (typeof name !== 'string') throw new InvalidName(name, `a name is a string, and this is a ${typeof name}`);
  if (name.length === 0) throw new InvalidName(name, 'a name must not be empty');
  if (/\p{Surrogate}/u.test(name)) throw new InvalidName(name, 'it holds half a surrogate pair, which is not Unicode');
  const bytes = toUtf8(name).length;
  if (bytes > MAX_NAME_BYTES)
    throw new InvalidName(name, `it is ${bytes} bytes of UTF-8 long, and ${MAX_NAME_BYTES} is the limit`);
  return name;
}

/**
 * Makes one path segment of a name, reversibly: letters, digits and most signs stand for themselves, so that the
 * layouts of other clients are met; `%`, `/`, control characters and whatever ZooKeeper refuses are written as
 * `%XX` bytes of UTF-8, and so are the names `.` and `..`. Two names never share a segment.
 */
export function encodeSegment(name: string): string {
  if (name === '.' || name === '..') return name.replaceAll('.', '%2E');
  return [...name].map((char) => (isPlain(char) ? char : encodeChar(char))).join('');
}

/** The name of a segment made by `encodeSegment`; `undefined` for one that it does not make. */
export function decodeSegment(segment: string): string | undefined {
  try {
    const name = decodeURIComponent(segment);
    return encodeSegment(name) === segment && name.length > 0 ? name : undefined;
  } catch {
    return undefined;
  }
}

/** Escapes the first character of a segment, which stays decodable: for segments that equal a word of a layout. */
export function escapeFirst(segment: string): string {
  const first = [...segment][0] ?? '';
  return first === '%' ? segment : encodeChar(first) + segment.slice(first.length);
}

// Percent and slash are ours, the rest is what ZooKeeper refuses in a path.
function isPlain(char: string): boolean {
  const code = char.codePointAt(0) ?? 0;
  if (char === '%' || char === '/') return false;
  return (code > 0x1f && code < 0x7f) || (code > 0x9f && code < 0xd800) || (code > 0xf8ff && code < 0xfff0);
}

function encodeChar(char: string): string {
  return [...toUtf8(char)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
}
