import { InvalidOptions } from '../errors.js';

/** What a field of options must be: in words, and how to tell. */
export type Expectation = readonly [words: string, fits: (value: unknown) => boolean];

export const TEXT: Expectation = [
  'a string of well-formed Unicode',
  (value) => typeof value === 'string' && !/\p{Surrogate}/u.test(value),
];
export const FLAG: Expectation = ['true or false', (value) => typeof value === 'boolean'];

export function number(least: number, most: number): Expectation {
  return [`a number from ${least} to ${most}`, (value) => typeof value === 'number' && value >= least && value <= most];
}

export function integer(least: number, most: number): Expectation {
  const [words, fits] = number(least, most);
  return [words.replace('a number', 'an integer'), (value) => fits(value) && Number.isInteger(value)];
}

/** An object whose `methods` are functions. */
export function objectWith(...methods: readonly string[]): Expectation {
  return [
    methods.length === 0 ? 'an object' : `an object with the methods ${methods.join(' and ')}`,
    (value) => isObject(value) && methods.every((method) => typeof value[method] === 'function'),
  ];
}

/** An object with these fields, all of them but the `optional` ones, and no others: what nobody reads is not dropped. */
export function objectOf(
  fields: Readonly<Record<string, Expectation>>,
  optional: Readonly<Record<string, Expectation>> = {},
): Expectation {
  const known = { ...fields, ...optional };
  const isWhole = (value: unknown): boolean =>
    violationsOf(value, known, Object.keys(fields)).length === 0 && unknownIn(value, known).length === 0;
  return [`an object { ${Object.keys(known).join(', ')} }, with no other fields`, isWhole];
}

export function either(...expectations: readonly Expectation[]): Expectation {
  return [expectations.map(([words]) => words).join(', or '), (value) => expectations.some(([, fits]) => fits(value))];
}

export function listOf([words, fits]: Expectation): Expectation {
  return [`a list, and each of it ${words}`, (value) => Array.isArray(value) && value.every(fits)];
}

/** One of these words. */
export function oneOf(...words: readonly string[]): Expectation {
  return [words.map((word) => `'${word}'`).join(' or '), (value) => words.some((word) => word === value)];
}

export const FUNCTION: Expectation = ['a function', (value) => typeof value === 'function'];
/** Of a list, which has no such size, a gate would never open, and nobody would know why. */
export const SETS_OR_MAPS: Expectation = ['sets or maps', objectWith('has', 'keys')[1]];

/**
 * One sentence for each field that is not what it must be; where it is not there, only if it is `required`.
 * Calls nothing that the user's objects bring.
 */
export function violationsOf(
  options: unknown,
  expected: Readonly<Record<string, Expectation>>,
  required: readonly string[] = [],
): string[] {
  if (!isObject(options)) return [`options must be an object, but are ${shown(options)}`];
  const violations: string[] = [];
  for (const field of Object.keys(expected)) {
    const value = options[field];
    const [words, fits] = expected[field] ?? ANYTHING;
    if ((value !== undefined || required.includes(field)) && !fits(value))
      violations.push(`${field} must be ${words}, but is ${shown(value)}`);
  }
  return violations;
}

/** Throws `InvalidOptions` where what a stream or a function of the user's gives, of `subject` if there is one, is not what it must be. */
export function checkGiven(field: string, [words, fits]: Expectation, value: unknown, subject?: string): void {
  if (fits(value)) return;
  const ofWhat = subject === undefined ? '' : ` for ${shown(subject)}`;
  throw new InvalidOptions([`${field} must give ${words}, but gives ${shown(value)}${ofWhat}`]);
}

/** Throws `InvalidOptions`, which names each field that is not what it must be. */
export function check(
  options: unknown,
  expected: Readonly<Record<string, Expectation>>,
  required: readonly string[] = [],
): void {
  const violations = violationsOf(options, expected, required);
  if (violations.length > 0) throw new InvalidOptions(violations);
}

/** Throws `InvalidOptions` where `work` is no function: told at the call, and not when what it waits for is held. */
export function checkWork(work: unknown): void {
  check({ work }, { work: FUNCTION }, ['work']);
}

/** What may be anything at all. */
export const ANYTHING: Expectation = ['anything', () => true];

/** One sentence for each option that is given and that nobody knows, with the name that was probably meant. */
export function unknownIn(options: unknown, known: Readonly<Record<string, Expectation>>): string[] {
  if (!isObject(options)) return [];
  return Object.entries(options).flatMap(([name, value]) => {
    if (value === undefined || Object.hasOwn(known, name)) return [];
    const names = Object.keys(known);
    const meant = names.find((one) => isAlmost(one.toLowerCase(), name.toLowerCase()));
    return [
      `${name} is not an option (${meant === undefined ? `known are ${names.join(', ')}` : `is ${meant} meant?`})`,
    ];
  });
}

/** Throws `InvalidOptions` for each field that is not what it must be, and for each that nobody knows. */
export function checkAll(
  options: unknown,
  known: Readonly<Record<string, Expectation>>,
  required: readonly string[] = [],
): void {
  const violations = violationsOf(options, known, required).concat(unknownIn(options, known));
  if (violations.length > 0) throw new InvalidOptions(violations);
}

/** Whether one letter is missing, too many, another one, or at another place; or an ending like a unit is missing. */
function isAlmost(a: string, b: string): boolean {
  const [long, short] = a.length > b.length ? [a, b] : [b, a];
  if (short.length < 3) return long === short;
  if (long.startsWith(short) && long.length - short.length <= 2) return true;
  if ([...long].sort().join() === [...short].sort().join()) return true;
  const at = [...long].findIndex((letter, i) => letter !== short[i]);
  return long.slice(at + 1) === short.slice(long.length === short.length ? at + 1 : at);
}

/** A value for people to read, whatever it is. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (value === null || ['number', 'bigint', 'boolean', 'undefined'].includes(typeof value)) return String(value);
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`.replace('a object', 'an object');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
