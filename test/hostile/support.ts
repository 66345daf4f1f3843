import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { firstValueFrom, type Observable, throwError, timeout } from 'rxjs';
import { afterAll, beforeAll, expect } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { CoordinationError } from '../../src/backends/errors.js';

/** What hangs is found out after this long, on a noisy machine too. */
const HANGS_MS = 8_000;

/** Fails the file in which it is called when something escapes that nobody was told of, or listeners pile up. */
export function nothingEscapes(): void {
  const escaped: string[] = [];
  const note = (cause: unknown): void => {
    escaped.push(inspect(cause));
  };
  const warned = (warning: Error): void => {
    if (warning.name === 'MaxListenersExceededWarning') note(warning);
  };
  beforeAll(() => {
    process.on('unhandledRejection', note);
    process.on('uncaughtException', note);
    process.on('warning', warned);
  });
  afterAll(async () => {
    // What RxJS cannot tell anybody it throws in a timer of its own.
    await delay(20);
    process.off('unhandledRejection', note);
    process.off('uncaughtException', note);
    process.off('warning', warned);
    expect(escaped).toEqual([]);
  });
}

/** The error if it is one of the library's, and tells no secret; else throws what it is instead. */
export function typed(error: unknown, secret?: string): CoordinationError {
  if (!(error instanceof CoordinationError)) throw new Error(`not typed: ${inspect(error)}`, { cause: error });
  expect(error._tag).toBe(error.name);
  expect(error.message).not.toBe('');
  if (secret !== undefined) expect(`${error.message} ${JSON.stringify(error)}`).not.toContain(secret);
  return error;
}

export type Outcome<T> = { readonly value: T } | { readonly error: CoordinationError };

/** Calls `act`: whether it throws or not, only a typed error may come of it. */
export function called<T>(act: () => T, secret?: string): Outcome<T> {
  try {
    return { value: act() };
  } catch (error) {
    return { error: typed(error, secret) };
  }
}

/** The first that comes of the stream that `act` returns: a value (`undefined` where there is none), or a typed error. */
export async function outcomeOf<T>(act: () => Observable<T>, limitMs = HANGS_MS): Promise<Outcome<T | undefined>> {
  const made = called(act);
  if ('error' in made) return made;
  const hangs = new Error(`nothing came within ${limitMs} ms`);
  const bounded = made.value.pipe(timeout({ first: limitMs, with: () => throwError(() => hangs) }));
  try {
    return { value: await firstValueFrom(bounded, { defaultValue: undefined }) };
  } catch (error) {
    if (error === hangs) throw error;
    return { error: typed(error) };
  }
}

/** Closes the backend, which must not take for ever whatever it was made of. */
export async function closed(backend: Backend): Promise<void> {
  const patience = new AbortController();
  const tooLate = delay(HANGS_MS, 'it hangs', { signal: patience.signal }).catch(() => 'it was closed');
  const outcome = await Promise.race([tooLate, backend.close().then(() => 'it was closed')]);
  patience.abort();
  expect(outcome).toBe('it was closed');
}

function throwing(): never {
  throw new Error('thrown by a value');
}

/** Whatever can stand where something else is expected. */
export const rubbish: fc.Arbitrary<unknown> = fc.oneof(
  fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withNullPrototype: true,
    withObjectString: true,
    withSparseArray: true,
    withTypedArray: true,
    withUnicodeString: true,
  }),
  fc.double(),
  fc.constantFrom<unknown>(
    ...['', ' ', '\ud800', '\u0000', 'x'.repeat(5_000), 0n, 1n, -1, 0, 1e308, Number.NaN, null, undefined, Symbol('s')],
    ...[{ toString: throwing }, { valueOf: throwing }, { toJSON: throwing }, { [Symbol.toPrimitive]: throwing }],
    ...[Object.create(null), [null], [undefined], [1n], [[]], [{}], () => 5, () => undefined, class {}],
    ...[{ host: 5 }, [{ host: 5 }], [{ host: '', port: -1 }], [{}, null], { encode: 1, decode: 1 }, { now: 1 }],
  ),
);

/** Strings of any 16-bit units, half surrogates too, and around the limit of 512 bytes. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 600 }),
  fc.string({ unit: 'grapheme', maxLength: 100 }),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 600 }).map((units) => String.fromCharCode(...units)),
  fc
    .tuple(fc.constantFrom('a', '/', '%', 'é', '🙂', '\u0000', '\ud83d'), fc.integer({ min: 100, max: 600 }))
    .map(([unit, count]) => unit.repeat(count)),
  fc.constantFrom('', '.', '..', '__proto__', '\ud800', 'a\udc00', '\udc00\ud800'),
);

/** A handful of the ways in which another client's bytes can be wrong. */
export const anyBytes: fc.Arbitrary<Buffer> = fc.oneof(
  fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
  fc
    .constantFrom('', '{', 'null', '5', '[]', '{}', '"\\ud800"', '{"id":5}', '{"id":"a"}', '{"id":"a","owner":{}}')
    .map((text) => Buffer.from(text)),
  fc.constantFrom(0x00, 0x20, 0x7b, 0xff).map((byte) => Buffer.alloc(300_000, byte)),
);
