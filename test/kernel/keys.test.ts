import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkName,
  decodeSegment,
  encodeSegment,
  escapeFirst,
  MAX_NAME_BYTES,
} from '../../src/backends/shared/keys.js';

/** Names as they may come: any characters, and often those that some store minds. */
const awkward = [
  '.',
  '..',
  '/',
  '%',
  '%2E',
  '{',
  '}',
  '\0',
  '\n',
  ' ',
  '\u007f',
  '\u0085',
  '\ufeff',
  '\ufff0',
  '\ue000',
];
const names = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }),
  fc.array(fc.constantFrom(...awkward, 'a', 'ä', '😀'), { minLength: 1, maxLength: 10 }).map((parts) => parts.join('')),
);

describe('checkName', () => {
  it('gives back what is a name', () => {
    for (const name of ['a', 'Grüße', '日本', '😀', 'with space', '../..', 'x'.repeat(MAX_NAME_BYTES)])
      expect(checkName(name)).toBe(name);
  });

  it.each([
    ['', 'a name must not be empty'],
    ['x'.repeat(513), 'it is 513 bytes of UTF-8 long, and 512 is the limit'],
    ['é'.repeat(257), 'it is 514 bytes of UTF-8 long, and 512 is the limit'],
    ['a\ud800', 'it holds half a surrogate pair, which is not Unicode'],
    ['\udc00b', 'it holds half a surrogate pair, which is not Unicode'],
    [undefined, 'a name is a string, and this is a undefined'],
    [null, 'a name is a string, and this is a object'],
    [7, 'a name is a string, and this is a number'],
  ])('refuses %j', (name, reason) => {
    expect(() => checkName(name)).toThrow(
      expect.objectContaining({
        _tag: 'InvalidName',
        invalidName: name,
        reason,
        message: expect.stringContaining(reason),
      }),
    );
  });

  it('refuses what JSON cannot show with InvalidName, too', () => {
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    for (const name of [1n, Symbol('x'), () => 1, circular])
      expect(() => checkName(name)).toThrow(expect.objectContaining({ _tag: 'InvalidName' }));
  });

  it('counts bytes, not characters', () => {
    expect(() => checkName('é'.repeat(256))).not.toThrow();
    expect(() => checkName('😀'.repeat(128))).not.toThrow();
    expect(() => checkName('😀'.repeat(129))).toThrow();
  });
});

describe('encodeSegment', () => {
  it('is undone by decodeSegment', () => {
    fc.assert(
      fc.property(names, (name) => {
        expect(decodeSegment(encodeSegment(name))).toBe(name);
      }),
    );
  });

  it('gives two names two segments', () => {
    fc.assert(
      fc.property(names, names, (a, b) => {
        expect(encodeSegment(a) === encodeSegment(b)).toBe(a === b);
      }),
    );
  });

  it('holds nothing that a store minds', () => {
    fc.assert(
      fc.property(names, (name) => {
        const segment = encodeSegment(name);
        expect(segment).not.toMatch(/[/\p{Cc}\u{d800}-\u{f8ff}\u{fff0}-\u{ffff}]/u);
        expect(['.', '..', '']).not.toContain(segment);
        expect(segment.replaceAll(/%[0-9A-F]{2}/g, '')).not.toContain('%');
      }),
    );
  });

  it.each([
    ['plain-name_1', 'plain-name_1'],
    ['a b', 'a b'],
    ['Grüße', 'Grüße'],
    ['日本', '日本'],
    ['a/b', 'a%2Fb'],
    ['100%', '100%25'],
    ['{tag}', '{tag}'],
    ['.', '%2E'],
    ['..', '%2E%2E'],
    ['...', '...'],
    ['a.b', 'a.b'],
    ['\0', '%00'],
    ['\u001f ', '%1F '],
    ['~\u007f', '~%7F'],
    ['\u009f\u00a0', '%C2%9F\u00a0'],
    ['😀', '%F0%9F%98%80'],
    ['\ue000\uf8ff\uf900', '%EE%80%80%EF%A3%BF\uf900'],
    ['\uffef\ufff0', '\uffef%EF%BF%B0'],
    ['\ud7ff', '\ud7ff'],
  ])('makes %j of %j', (name, segment) => {
    expect(encodeSegment(name)).toBe(segment);
  });
});

describe('decodeSegment', () => {
  it.each(['', '%', '%2', '%zz', '%2f', '%41', 'a/b', '.', '..', '%FF', '%C0%AF', 'a%'])(
    'gives nothing for %j, which encodeSegment does not make',
    (segment) => {
      expect(decodeSegment(segment)).toBeUndefined();
    },
  );

  it('never throws, and gives names only of what encodeSegment makes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (segment) => {
        const name = decodeSegment(segment);
        if (name !== undefined) expect(encodeSegment(name)).toBe(segment);
      }),
    );
  });
});

describe('escapeFirst', () => {
  it('escapes the first character, whatever it is, and only that', () => {
    expect(escapeFirst('locks')).toBe('%6Cocks');
    expect(escapeFirst('ünder')).toBe('%C3%BCnder');
    expect(escapeFirst('%2Fa')).toBe('%2Fa');
  });

  it('stays decodable by URI decoding, and differs from every segment', () => {
    fc.assert(
      fc.property(
        names.filter((name) => !encodeSegment(name).startsWith('%')),
        (name) => {
          const escaped = escapeFirst(encodeSegment(name));
          expect(decodeURIComponent(escaped)).toBe(name);
          expect(escaped).not.toBe(encodeSegment(name));
          expect(decodeSegment(escaped)).toBeUndefined();
        },
      ),
    );
  });
});
