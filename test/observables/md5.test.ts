import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Md5, md5 } from '../../src/observables/sharing/md5.js';

const ofNode = (...parts: readonly Uint8Array[]): string =>
  createHash('md5').update(Buffer.concat(parts)).digest('hex');

describe('MD5 is that of everybody', () => {
  // A block has 64 bytes, the last 8 of the last one are the length: each of these ends somewhere else in it.
  it('at each length until the third block is begun', () => {
    const bytes = Uint8Array.from({ length: 130 }, (_, index) => 7 * index + 1);
    for (let length = 0; length <= bytes.length; length++) {
      const beginning = bytes.subarray(0, length);
      expect(md5(beginning)).toBe(ofNode(beginning));
    }
  });

  it('in whatever parts bytes come, and after each of them', () => {
    const parts = fc.array(fc.uint8Array({ maxLength: 200, size: 'max' }), { maxLength: 8 });
    fc.assert(
      fc.property(parts, (parts) => {
        const hash = new Md5();
        const told = parts.map((part) => hash.update(part).toHex());
        expect(told).toEqual(parts.map((_, last) => ofNode(...parts.slice(0, last + 1))));
      }),
    );
  });

  it('where bytes are a part of other bytes', () => {
    const bytes = Uint8Array.from({ length: 200 }, (_, index) => index);
    expect(md5(bytes.subarray(3, 150))).toBe(ofNode(bytes.subarray(3, 150)));
  });
});
