import { InvalidTemplate } from '../../backends/errors.js';
import { shown } from '../../backends/shared/expectations.js';
import { checkName } from '../../backends/shared/keys.js';

/**
 * The name of a lock, made of a template and what it is about: `lockName('foo-{volume.id}-{snap[name]}', { volume, snap })`.
 *
 * A field is `{name}`, followed by `.part` or `[key]` as often as needed; `{{` and `}}` stand for braces. What it leads to is a
 * string that is not empty, a finite number, a bigint or a boolean. Properties of the object itself count, and getters of its
 * class; what every object inherits does not.
 *
 * **Throws** `InvalidTemplate`, which names the template and the field: one that is not there, or is nothing that can stand in
 * a name; `InvalidName` where the whole is none.
 * **Guarantee** not: that different values make different names. `{a}-{b}` is `1-2-3` of `1-2` and `3`, and of `1` and `2-3`; they
 * would wait for each other.
 * **Source** Cinder's and tooz's `@synchronized('{f_name}-{volume.id}-{snap[name]}')`, Python's `str.format`.
 *
 * @example
 * withLock(backend, lockName('delete-{invoice.id}', { invoice }), ({ token }) => settle(invoice, token)).subscribe();
 */
export function lockName(template: string, data: unknown): string {
  return nameOf(parseTemplate(template), data);
}

/** A template that has been read: what stands in it as it is, and its fields. */
export interface Template {
  readonly text: string;
  readonly parts: readonly (string | Field)[];
}

/** A field of a template. */
interface Field {
  /** As it stands between the braces. */
  readonly text: string;
  /** Where it leads, step by step. */
  readonly path: readonly [string, ...string[]];
}

const WORDS = /[^{}]+/y;
const ESCAPED = /\{\{|\}\}/y;
const FIELD = /\{([^{}[\].!:]+)((?:\.[^{}[\].!:]+|\[[^[\]]+\])*)\}/y;
const STEP = /\.([^.[]+)|\[([^\]]+)\]/g;

/** Throws `InvalidTemplate`. */
export function parseTemplate(text: unknown): Template {
  if (typeof text !== 'string') throw new InvalidTemplate(text, `it is ${shown(text)}, and not a string`);
  const parts: (string | Field)[] = [];
  let at = 0;
  const read = (what: RegExp): RegExpExecArray | null => {
    what.lastIndex = at;
    const found = what.exec(text);
    at += found?.[0].length ?? 0;
    return found;
  };
  while (at < text.length) {
    const plain = read(WORDS)?.[0] ?? read(ESCAPED)?.[0].slice(1);
    if (plain !== undefined) {
      parts.push(plain);
      continue;
    }
    const [whole, first, rest = ''] = read(FIELD) ?? [];
    if (whole === undefined || first === undefined) throw new InvalidTemplate(text, misread(text, at));
    const steps = [...rest.matchAll(STEP)].map(([, part, key]) => part ?? key ?? '');
    parts.push({ text: whole.slice(1, -1), path: [first, ...steps] });
  }
  return { text, parts };
}

function misread(text: string, at: number): string {
  const what =
    text[at] === '}'
      ? `the brace at position ${at} closes no field`
      : `no field begins at position ${at}. Fields are {name}, {name.part} and {name[key]}, without formats or conversions`;
  return `${what}; {{ and }} stand for braces`;
}

/** Throws `InvalidTemplate` or `InvalidName`. */
export function nameOf({ text, parts }: Template, data: unknown): string {
  return checkName(parts.map((part) => (typeof part === 'string' ? part : textOf(text, part, data))).join(''));
}

function textOf(template: string, field: Field, data: unknown): string {
  const cannot = (reason: string, cause?: unknown): never => {
    throw new InvalidTemplate(template, reason, field.text, cause);
  };
  let value = data;
  let known = 'the data';
  for (const [depth, step] of field.path.entries()) {
    if (!canHaveFields(value)) return cannot(`${known} is ${shown(value)}`);
    let property: { value: unknown } | undefined;
    try {
      property = propertyOf(value, step);
    } catch (cause) {
      return cannot(`${step} cannot be read`, cause);
    }
    known = field.path.slice(0, depth + 1).join('.');
    if (property === undefined) return cannot(`${known} is not there`);
    value = property.value;
  }
  if (value === '') return cannot(`${known} is empty`);
  if (typeof value === 'string' || typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  return Number.isFinite(value) ? String(value) : cannot(`${known} is ${shown(value)}`);
}

function canHaveFields(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

/** A property of the object itself, or a getter of its class: not what it has because everything has it. */
function propertyOf(object: object, name: string): { value: unknown } | undefined {
  if (Object.hasOwn(object, name)) return { value: Reflect.get(object, name) };
  for (let of = Object.getPrototypeOf(object); of !== null && !isOfTheLanguage(of); of = Object.getPrototypeOf(of)) {
    const described = Object.getOwnPropertyDescriptor(of, name);
    if (described?.get !== undefined) return { value: described.get.call(object) };
    if (described !== undefined) return undefined;
  }
  return undefined;
}

/** `Object.prototype`, of whichever realm, and `Function.prototype`, whose getters throw. */
function isOfTheLanguage(prototype: object): boolean {
  return Object.getPrototypeOf(prototype) === null || prototype === Function.prototype;
}
