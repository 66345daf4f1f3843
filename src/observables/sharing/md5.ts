/*
 * MD5, as RFC 1321 has it: where points stand and what keys are has been written by it, here and by others. It keeps nothing
 * secret. Packages of hash functions load Node's `crypto` along, which costs more than all of conclave, or are none for pages.
 */
const BLOCK_BYTES = 64;
const LENGTH_BYTES = 8;
const STEPS = 64;

const INITIAL: readonly [number, number, number, number] = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
/** By how many bits each of four steps rotates, in each of four rounds. */
const ROTATIONS = Uint8Array.of(7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21);
const SINES = Int32Array.from({ length: STEPS }, (_, step) => Math.floor(2 ** 32 * Math.abs(Math.sin(step + 1))));

/** The hash of bytes that come in parts. */
export class Md5 {
  readonly #state = Int32Array.from(INITIAL);
  readonly #block = new Uint8Array(BLOCK_BYTES);
  #bytes = 0;

  update(bytes: Uint8Array): this {
    let at = 0;
    while (at < bytes.length) {
      const filled = this.#bytes % BLOCK_BYTES;
      const part = bytes.subarray(at, at + BLOCK_BYTES - filled);
      this.#block.set(part, filled);
      this.#bytes += part.length;
      at += part.length;
      if (filled + part.length === BLOCK_BYTES) mix(this.#state, wordsOf(this.#block));
    }
    return this;
  }

  /** Of what has come until now, 32 hexadecimal digits; more may follow. */
  toHex(): string {
    const filled = this.#bytes % BLOCK_BYTES;
    const state = this.#state.slice();
    // A bit, and zeros as far as the end of the block, but for the length: of the next one, if this has no room for it.
    const last = new Uint8Array(filled + 1 + LENGTH_BYTES > BLOCK_BYTES ? 2 * BLOCK_BYTES : BLOCK_BYTES);
    last.set(this.#block.subarray(0, filled));
    last[filled] = 0x80;
    wordsOf(last).setBigUint64(last.length - LENGTH_BYTES, BigInt(this.#bytes) * 8n, true);
    for (let at = 0; at < last.length; at += BLOCK_BYTES) mix(state, wordsOf(last.subarray(at)));
    const words = new DataView(new ArrayBuffer(16));
    state.forEach((word, index) => {
      words.setInt32(4 * index, word, true);
    });
    return [0, 8].map((at) => words.getBigUint64(at).toString(16).padStart(16, '0')).join('');
  }
}

/** 32 hexadecimal digits. */
export function md5(bytes: Uint8Array): string {
  return new Md5().update(bytes).toHex();
}

/** Mixes a block into the state: four rounds of sixteen steps. */
function mix(state: Int32Array, block: DataView): void {
  let [a, b, c, d] = state as unknown as [number, number, number, number];
  for (let step = 0; step < STEPS; step++) {
    const round = step >> 4;
    let mixed: number;
    let word: number;
    if (round === 0) [mixed, word] = [(b & c) | (~b & d), step];
    else if (round === 1) [mixed, word] = [(d & b) | (~d & c), 5 * step + 1];
    else if (round === 2) [mixed, word] = [b ^ c ^ d, 3 * step + 5];
    else [mixed, word] = [c ^ (b | ~d), 7 * step];
    const sum = (a + mixed + (SINES[step] as number) + block.getInt32(4 * (word & 15), true)) | 0;
    const bits = ROTATIONS[4 * round + (step & 3)] as number;
    [a, b, c, d] = [d, (b + ((sum << bits) | (sum >>> (32 - bits)))) | 0, b, c];
  }
  for (const [index, word] of [a, b, c, d].entries()) state[index] = (state[index] as number) + word;
}

function wordsOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
