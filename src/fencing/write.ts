import { InvalidOptions } from '../backends/errors.js';
import { type Expectation, FLAG, objectWith, shown, unknownIn, violationsOf } from '../backends/shared/expectations.js';

/** What is common to all that is written under a token. */
export interface FencedWrite {
  /** The token of the grant: `grant.token`. */
  readonly token: bigint;
  /** What is written, by name. `{}` writes the token only, which keeps out earlier holders from then on. */
  readonly set: Readonly<Record<string, unknown>>;
  /** `true`: what is not there is made. Default `false`: it errors with `ResourceNotFound`. */
  readonly create?: boolean;
}

/** Tables keep tokens in 64 bits with a sign. */
const MAX_TOKEN = 2n ** 63n - 1n;

const TOKEN: Expectation = [
  'the token of a grant, a bigint from 0n to 2n ** 63n - 1n',
  (value) => typeof value === 'bigint' && value >= 0n && value <= MAX_TOKEN,
];

const isObject = objectWith()[1];
/** What one writes `{ name: value }` for. */
export const FIELDS: Expectation = [
  'an object with what is to be written, by name',
  (value) => isObject(value) && !Array.isArray(value),
];

/** Something that a server can be told the name of. */
export const NAME: Expectation = [
  'a string of well-formed Unicode that is not empty and holds no NUL',
  (value) => typeof value === 'string' && value !== '' && !/\0|\p{Surrogate}/u.test(value),
];

/** Throws `InvalidOptions`: for what every write has, and for the `own` fields of this one, of which some are `required`. */
export function checkWrite(
  write: FencedWrite,
  tokenName: string,
  own: Readonly<Record<string, Expectation>>,
  required: readonly string[],
): void {
  const known = { token: TOKEN, set: FIELDS, create: FLAG, ...own };
  refuse([...violationsOf(write, known, ['token', 'set', ...required]), ...unknownIn(write, known)]);
  refuse(fieldViolations('set', write.set, tokenName));
}

/** A sentence for each field by a name that cannot be one, or that is the token's. */
export function fieldViolations(what: string, fields: object, tokenName: string): string[] {
  return Object.entries(fields).flatMap(([name, value]) => {
    const field = `${what}[${JSON.stringify(name)}]`;
    if (!NAME[1](name)) return [`a name in ${what} must be ${NAME[0]}, but is ${shown(name)}`];
    if (name === tokenName) return [`${field} must be left out: it is where the token stands`];
    const isThing = value !== undefined && typeof value !== 'function' && typeof value !== 'symbol';
    return isThing ? [] : [`${field} must be something that can be written, but is ${shown(value)}`];
  });
}

export function refuse(violations: readonly string[]): void {
  if (violations.length > 0) throw new InvalidOptions(violations);
}
