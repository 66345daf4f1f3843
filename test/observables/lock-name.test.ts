import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lockName } from '../../src/observables/locks/lock-name.js';

const refusal = (template: string, data: unknown): unknown => {
  try {
    return lockName(template, data);
  } catch (error) {
    return error;
  }
};

class Volume {
  readonly #id: number;
  plain = 'own';
  constructor(id: number) {
    this.#id = id;
  }
  get id(): number {
    return this.#id;
  }
  get broken(): string {
    throw new Error('no connection');
  }
  named(): string {
    return 'method';
  }
}

describe('lockName', () => {
  it('fills in parts and keys', () => {
    const data = { volume: { id: 7 }, snap: { name: 'daily', 'a.b': { c: 1 } }, list: ['x', 'y'] };
    expect(lockName('foo-{volume.id}-{snap[name]}', data)).toBe('foo-7-daily');
    expect(lockName('{snap[a.b].c}/{list[1]}', data)).toBe('1/y');
    expect(lockName('without fields', undefined)).toBe('without fields');
    expect(lockName('{{{volume.id}}}', data)).toBe('{7}');
    expect(lockName('{{volume.id}}', data)).toBe('{volume.id}');
  });

  it('takes what can stand in a name', () => {
    expect(lockName('{a}-{b}-{c}-{d}-{e}', { a: 'x', b: 0, c: 2n ** 63n, d: false, e: -1.5 })).toBe(
      'x-0-9223372036854775808-false--1.5',
    );
  });

  it.each([
    ['{volume.id}', {}, 'volume is not there'],
    ['{volume.id}', { volume: {} }, 'volume.id is not there'],
    ['{volume.id}', { volume: null }, 'volume is null'],
    ['{volume.id}', { volume: 'v' }, 'volume is "v"'],
    ['{volume.length}', { volume: 'v' }, 'volume is "v"'],
    ['{volume}', { volume: {} }, 'volume is an object'],
    ['{volume}', { volume: [] }, 'volume is a list'],
    ['{volume}', { volume: null }, 'volume is null'],
    ['{volume}', { volume: undefined }, 'volume is undefined'],
    ['{volume}', { volume: '' }, 'volume is empty'],
    ['{volume}', { volume: Number.NaN }, 'volume is NaN'],
    ['{volume}', { volume: Number.POSITIVE_INFINITY }, 'volume is Infinity'],
    ['{volume}', { volume: Symbol('v') }, 'volume is a symbol'],
    ['{volume}', { volume: () => 'v' }, 'volume is a function'],
    ['{volume}', undefined, 'the data is undefined'],
    ['{volume}', 'v', 'the data is "v"'],
  ])('names the field and the template: %s of %o', (template, data, reason) => {
    const field = template.slice(1, -1);
    expect(refusal(template, data)).toMatchObject({ _tag: 'InvalidTemplate', template, field, reason, canHeal: false });
  });

  it('says all of it in the message', () => {
    expect(() => lockName('foo-{volume.id}', { volume: {} })).toThrow(
      'Invalid template "foo-{volume.id}": {volume.id} cannot be filled in, since volume.id is not there.',
    );
  });

  it.each(['toString', 'constructor', '__proto__', 'hasOwnProperty', 'constructor.name', '__proto__.constructor.name'])(
    'knows no field %s, which every object inherits',
    (field) => {
      for (const data of [{}, new Volume(1), [], Object.create({})])
        expect(refusal(`{${field}}`, data)).toMatchObject({ _tag: 'InvalidTemplate', field });
    },
  );

  it('knows what is an object of its own by such a name', () => {
    expect(lockName('{constructor}', { constructor: 'mine' })).toBe('mine');
    expect(lockName('{toString}', Object.assign(Object.create(null), { toString: 1 }))).toBe('1');
  });

  it('reads getters of a class, of its own and its base, and no methods', () => {
    class Snapshot extends Volume {}
    expect(lockName('{v.id}-{v.plain}', { v: new Snapshot(3) })).toBe('3-own');
    expect(lockName('{size}', new Map([[1, 1]]))).toBe('1');
    expect(refusal('{v.named}', { v: new Snapshot(3) })).toMatchObject({ reason: 'v.named is not there' });
    expect(refusal('{v.named}', { v: Object.create({ named: 'x' }) })).toMatchObject({
      reason: 'v.named is not there',
    });
  });

  it('reads no getter of a base that the class itself has put a method or a value in place of', () => {
    class Snapshot extends Volume {}
    for (const value of ['x', () => 'x']) {
      Object.defineProperty(Snapshot.prototype, 'id', { value, configurable: true });
      expect(refusal('{v.id}', { v: new Snapshot(3) })).toMatchObject({ reason: 'v.id is not there' });
    }
  });

  it('finds nothing in an object that is of no class', () => {
    expect(refusal('{v.id}', { v: Object.create(null) })).toMatchObject({ reason: 'v.id is not there' });
  });

  it('tells a getter that throws, as the cause', () => {
    expect(refusal('{v.broken}', { v: new Volume(1) })).toMatchObject({
      _tag: 'InvalidTemplate',
      field: 'v.broken',
      cause: { message: 'no connection' },
    });
    expect(refusal('{caller}', () => 1)).toMatchObject({ reason: 'caller is not there' });
  });

  it.each([
    ['{', 'no field begins at position 0'],
    ['a}', 'the brace at position 1 closes no field'],
    ['a{}', 'no field begins at position 1'],
    ['{a', 'no field begins'],
    ['{a.}', 'no field begins'],
    ['{.a}', 'no field begins'],
    ['{a..b}', 'no field begins'],
    ['{a[]}', 'no field begins'],
    ['{a[b}', 'no field begins'],
    ['{a[b]c}', 'no field begins'],
    ['{a!r}', 'no field begins'],
    ['{a:>8}', 'no field begins'],
    ['{a{b}}', 'no field begins'],
  ])('refuses the template %s', (template, reason) => {
    const error = refusal(template, { a: { b: 1 } });
    expect(error).toMatchObject({ _tag: 'InvalidTemplate', template, field: undefined });
    expect(String(error)).toContain(reason);
  });

  it.each([undefined, null, 7, {}, ['{a}']])('refuses a template that is no string: %o', (template) => {
    expect(refusal(template as never, {})).toMatchObject({ _tag: 'InvalidTemplate', template });
  });

  it('makes names only: not empty, not too long, well-formed', () => {
    expect(refusal('', {})).toMatchObject({ _tag: 'InvalidName' });
    expect(refusal('{a}', { a: 'x'.repeat(513) })).toMatchObject({ _tag: 'InvalidName' });
    expect(refusal('{a}', { a: '\ud800' })).toMatchObject({ _tag: 'InvalidName' });
  });

  it('gives a name or a typed error, whatever template and data are', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'{}[].!:ab\\ ') }), fc.anything(), (template, a) => {
        const made = refusal(template, { a, b: 'x' });
        if (typeof made === 'string') expect(made.length).toBeGreaterThan(0);
        else expect(['InvalidTemplate', 'InvalidName']).toContain((made as { _tag: string })._tag);
      }),
    );
  });

  it('keeps any text that is escaped', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 100 }), (text) => {
        const template = text.replaceAll('{', '{{').replaceAll('}', '}}');
        expect(lockName(template, {})).toBe(text);
        expect(lockName('{a}', { a: text })).toBe(text);
      }),
    );
  });

  it('reads a template in a time that grows with its length', () => {
    const long = `${'{a.'.repeat(100_000)}`;
    const start = performance.now();
    expect(refusal(long, {})).toMatchObject({ _tag: 'InvalidTemplate' });
    expect(refusal(`{a${'[b'.repeat(100_000)}`, {})).toMatchObject({ _tag: 'InvalidTemplate' });
    expect(performance.now() - start).toBeLessThan(2_000);
  });
});
