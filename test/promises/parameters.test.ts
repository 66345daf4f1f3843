import { describe, expect, it } from 'vitest';
import { parametersOf } from '../../src/promises/parameters.js';

/** As people write them, and not as a compiler leaves them. */
const made = (source: string): ((...args: never) => unknown) => new Function(`return (${source});`)();
const method = (source: string): ((...args: never) => unknown) =>
  Object.values(new Function(`return { ${source} };`)() as Record<string, (...args: never) => unknown>)[0] as never;

const names = (fn: (...args: never) => unknown): unknown =>
  parametersOf(fn)?.map(({ name, isRest }) => (isRest ? `...${name}` : (name ?? '?')));

describe('parametersOf', () => {
  it.each([
    ['function () {}', []],
    ['function named(a, b) {}', ['a', 'b']],
    ['async function (a) {}', ['a']],
    ['function* (a,) {}', ['a']],
    ['async function* gen(a) {}', ['a']],
    ['a => a', ['a']],
    ['async a => a', ['a']],
    ['async => async', ['async']],
    ['() => 1', []],
    ['(a, b) => ({ c: a })', ['a', 'b']],
    ['async (a, ...rest) => rest', ['a', '...rest']],
    ['(a, { b, c: [d] }, [e, f]) => 1', ['a', '?', '?']],
    ['({ a } = {}, b) => 1', ['?', 'b']],
    ['(...[a, b]) => 1', ['...undefined']],
    ['function ($, _, été, 变量) {}', ['$', '_', 'été', '变量']],
    ['(a = 1, b) => 1', ['a', 'b']],
    ['(a = ")", b = \',\', c = `)`) => 1', ['a', 'b', 'c']],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source
    ['(a = `${[1, 2].map((x) => `(${x}`)}`, b) => 1', ['a', 'b']],
    ['(a = "\\")", b) => 1', ['a', 'b']],
    ['(a = (b, c) => { return b, c; }, d) => 1', ['a', 'd']],
    ['(a = x => ({ x }), b) => 1', ['a', 'b']],
    ['(a = class { b = ","; c() { return ")"; } }, d) => 1', ['a', 'd']],
    ['(a = { b: ")", c }, d) => 1', ['a', 'd']],
    ['(a /* , x ) */, b // , y )\n, c) => 1', ['a', 'b', 'c']],
    ['function /* ( */ named /* x */ ( /* y */ a) {}', ['a']],
    ['async /* => */ (a) => a', ['a']],
    ['(a = async () => await 1, b) => 1', ['a', 'b']],
    ['(a = function (x, y) { if (x) { return y; } }, b) => 1', ['a', 'b']],
  ])('reads %s', (source, expected) => {
    expect(names(made(source))).toEqual(expected);
  });

  it.each([
    ['m(a, b) {}', ['a', 'b']],
    ['async m(a) {}', ['a']],
    ['*m(a) {}', ['a']],
    ['async *m(a) {}', ['a']],
    ['"a(b"(c) {}', ['c']],
    ['[((x) => "m(")(1)](a) {}', ['a']],
    ['["x" + (() => 1)()](a) {}', ['a']],
    ['7(a) {}', ['a']],
    ['async(a) {}', ['a']],
    ['get(a) {}', ['a']],
  ])('reads the method %s', (source, expected) => {
    expect(names(method(source))).toEqual(expected);
  });

  it('reads methods of classes, private and static ones too', () => {
    class A {
      static all(of: number): number {
        return of;
      }
      #own(id: number): number {
        return id;
      }
      get own() {
        return this.#own;
      }
    }
    expect(names(A.all)).toEqual(['of']);
    expect(names(new A().own)).toEqual(['id']);
  });

  it.each([
    ['bound', ((a: number) => a).bind(undefined)],
    ['native', Math.max],
    ['a Proxy', new Proxy((a: number) => a, {})],
    [
      'a wrapper that says it has the length of what it wraps',
      Object.defineProperty((...a: number[]) => a, 'length', { value: 2 }),
    ],
  ])('does not guess where the function is %s', (_, fn) => {
    expect(parametersOf(fn)).toBeUndefined();
  });

  it('does not read a name that is escaped', () => {
    expect(names(made('(\\u0061, b) => 1'))).toBeUndefined();
  });

  it.each([
    '(a = n++ / 2, b = 3 / 4, id) => id',
    '(a = { b: 1 } / 2, c = 3 / 4, id) => id',
    '(a = 4 / 2, id) => id',
    '(a = /,"/, id) => id',
    '(a = () => { if (1) /,"/.test(""); }, b = 2, id) => id',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source
    '(a = `${1 / 2}, ${3 / 4}`, id) => id',
    '(a = 1 <!-- , b\n, id) => id',
    '(a = 1\n--> , b\n, id) => id',
  ])(
    'WrongLock: a slash that divides is not taken for a regular expression, nor the other way round, in %s',
    (source) => {
      expect(names(made(source))).toBeUndefined();
    },
  );

  it('WrongLock: nor in the name of a method', () => {
    expect(names(method('[7 / 1 + "(b," + 4 / 2](id) {}'))).toBeUndefined();
  });
});
