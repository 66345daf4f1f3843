// Jest with jsdom has neither, though it runs in Node, and takes both away from what runs there.
const { TextEncoder, TextDecoder } = 'TextEncoder' in globalThis ? globalThis : process.getBuiltinModule('node:util');

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

export function toUtf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Throws where it is no UTF-8. */
export function fromUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}
