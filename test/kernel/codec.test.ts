import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Codec } from '../../src/backends/backend.js';
import { encodePayload, jsonCodec, MAX_PAYLOAD_BYTES } from '../../src/backends/shared/codec.js';

const raw: Codec = { encode: (value) => value as Uint8Array, decode: (bytes) => bytes };

describe('jsonCodec', () => {
  it('gives back every value that JSON has', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(jsonCodec.decode(jsonCodec.encode(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('makes no bytes of undefined, and undefined of no bytes', () => {
    expect(jsonCodec.encode(undefined)).toEqual(new Uint8Array());
    expect(jsonCodec.decode(new Uint8Array())).toBeUndefined();
  });

  it('writes JSON in UTF-8', () => {
    expect(new TextDecoder().decode(jsonCodec.encode({ name: 'Grüße' }))).toBe('{"name":"Grüße"}');
    expect(jsonCodec.encode(null)).toEqual(new TextEncoder().encode('null'));
  });

  it.each([() => 1, Symbol('x')])('refuses %o, for which JSON has no form', (value) => {
    expect(() => jsonCodec.encode(value)).toThrow(`JSON has no form for a ${typeof value}`);
  });

  it.each([
    ['not UTF-8', [0x22, 0xff, 0x22]],
    ['half of something', [0x7b]],
    ['two values', [0x31, 0x20, 0x32]],
  ])('refuses bytes that are %s', (_, bytes) => {
    expect(() => jsonCodec.decode(new Uint8Array(bytes))).toThrow();
  });
});

describe('encodePayload', () => {
  it('encodes by the codec', () => {
    expect(encodePayload(jsonCodec, 'it', [1])).toEqual(new TextEncoder().encode('[1]'));
  });

  it('takes what is as long as the limit, and refuses one byte more, naming both', () => {
    expect(encodePayload(raw, 'it', new Uint8Array(MAX_PAYLOAD_BYTES))).toHaveLength(65_536);
    expect(() => encodePayload(raw, 'lock "l"', new Uint8Array(MAX_PAYLOAD_BYTES + 1))).toThrow(
      expect.objectContaining({
        _tag: 'InvalidPayload',
        subject: 'lock "l"',
        reason: 'it is 65537 bytes long, and 65536 is the limit',
      }),
    );
  });

  it('refuses what the codec cannot encode, with its error as cause', () => {
    const circular: unknown[] = [];
    circular.push(circular);
    for (const value of [1n, circular, () => 1])
      expect(() => encodePayload(jsonCodec, 'it', value)).toThrow(
        expect.objectContaining({
          _tag: 'InvalidPayload',
          reason: 'the codec cannot encode it',
          cause: expect.any(TypeError),
        }),
      );
  });

  it.each([undefined, 'text', [1, 2], { length: 2 }])('refuses a codec that gives %j for bytes', (bytes) => {
    expect(() => encodePayload(raw, 'it', bytes)).toThrow(
      expect.objectContaining({ _tag: 'InvalidPayload', reason: 'the codec gave no Uint8Array' }),
    );
  });

  it('takes a Buffer, which is a Uint8Array', () => {
    expect(encodePayload(raw, 'it', Buffer.from('x'))).toHaveLength(1);
  });
});
