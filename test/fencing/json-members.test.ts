import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withMembers } from '../../src/fencing/json-members.js';

/** With the `__proto__` of an object as one of its own members, as JSON has it. */
const object = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ noUnicodeString: false }));

describe('withMembers', () => {
  it('is what parsing, changing, and writing anew would be, where no digit is lost', () => {
    fc.assert(
      fc.property(object, object, fc.constantFrom(undefined, 1, '\n\t'), (was, set, space) => {
        const values = new Map(Object.entries(set).map(([name, value]) => [name, JSON.stringify(value)]));
        const text = withMembers(JSON.stringify(was, undefined, space), values);
        const expected = new Map(
          [...Object.entries(was), ...Object.entries(set)].map(([k, v]) => [k, JSON.stringify(v)]),
        );
        const actual = Object.entries(JSON.parse(text) as object).map(([k, v]) => [k, JSON.stringify(v)] as const);
        expect(new Map(actual)).toEqual(expected);
      }),
    );
  });

  it('takes a member that comes twice for one, where it is set, and leaves it where it is not', () => {
    expect(withMembers('{"a":1,"b":1,"a":2,"b":2}', new Map([['a', '3']]))).toBe('{"a":3,"b":1,"b":2}');
    expect(withMembers(' { } ', new Map())).toBe('{}');
  });
});
