import type { Observable } from 'rxjs';
import { deepEqual } from './deep-equal.js';
import { drawMarbles, type Marble, parseMarbles } from './marble-text.js';
import { readable } from './readable.js';

/** What an Observable did at one moment. */
export interface Happening {
  readonly atMs: number;
  readonly kind: 'N' | 'E' | 'C';
  /** The item, or the error. */
  readonly value?: unknown;
}

/** What each symbol of a marble string stands for. Symbols that are not given stand for themselves. */
export type MarbleValues = Readonly<Record<string, unknown>>;

/** Two marble diagrams differ. The message draws them one above the other. */
export class MarbleMismatch extends Error {
  override readonly name = 'MarbleMismatch';
  constructor(
    readonly expected: string,
    readonly actual: string,
    message: string,
  ) {
    super(message);
  }
}

/** What an Observable has done so far, in the time of a simulation. */
export interface Recording {
  readonly happenings: readonly Happening[];
  /** Throws `MarbleMismatch` unless exactly this has happened. */
  toBe(marbles: string, values?: MarbleValues, error?: unknown): void;
  /** Stops. */
  unsubscribe(): void;
}

/** Something that knows the time. */
interface Clock {
  now(): number;
}

/**
 * Subscribes, and writes down what happens and when.
 *
 * @example
 * const cluster = simulate();
 * const leads = record(leadership(cluster.backend('a'), 'scheduler'), cluster);
 * cluster.pass(10_000);
 * leads.toBe('(ft)', { f: false, t: true });
 */
export function record(observable: Observable<unknown>, clock: Clock): Recording {
  const happenings: Happening[] = [];
  const subscription = observable.subscribe({
    next: (value) => happenings.push({ atMs: clock.now(), kind: 'N', value }),
    error: (value) => happenings.push({ atMs: clock.now(), kind: 'E', value }),
    complete: () => happenings.push({ atMs: clock.now(), kind: 'C' }),
  });
  return {
    happenings,
    toBe: (marbles, values, error) => {
      const expected = happeningsOf(marbles, values, error);
      const mismatch = mismatchOf(expected, happenings, values);
      if (mismatch !== undefined) throw mismatch;
    },
    unsubscribe: () => subscription.unsubscribe(),
  };
}

/** What a marble string says will happen. An error that is not given is `'error'`, as in RxJS. */
export function happeningsOf(
  marbles: string,
  values: MarbleValues = {},
  error: unknown = 'error',
): readonly Happening[] {
  return parseMarbles(marbles).map(({ atMs, symbol }): Happening => {
    if (symbol === '|') return { atMs, kind: 'C' };
    if (symbol === '#') return { atMs, kind: 'E', value: error };
    return { atMs, kind: 'N', value: Object.hasOwn(values, symbol) ? values[symbol] : symbol };
  });
}

/** `undefined` where both are the same. */
export function mismatchOf(
  expected: readonly Happening[],
  actual: readonly Happening[],
  values: MarbleValues = {},
): MarbleMismatch | undefined {
  if (deepEqual(plain(expected), plain(actual))) return undefined;
  const symbols = new Symbols(values);
  const marbles = [expected, actual].map((row) => row.map((happening) => symbols.marbleOf(happening)));
  return mismatchBetween(marbles, [...symbols.legend, ...errorLines(expected, actual)]);
}

/** What `#` stands for, and in which of the diagrams where that is not the same in both. */
function errorLines(expected: readonly Happening[], actual: readonly Happening[]): readonly string[] {
  const errorsOf = (row: readonly Happening[]) => row.filter(({ kind }) => kind === 'E').map(({ value }) => value);
  const line = (value: unknown) => `# = ${value instanceof Error ? String(value) : readable(value)}`;
  const [wanted, got] = [errorsOf(expected), errorsOf(actual)];
  if (deepEqual(wanted, got)) return wanted.map(line);
  return [...wanted.map((value) => `expected ${line(value)}`), ...got.map((value) => `actual ${line(value)}`)];
}

/** The two diagrams, one above the other. */
export function mismatchBetween(rows: readonly (readonly Marble[])[], legend: readonly string[] = []): MarbleMismatch {
  const [expected = '', actual = ''] = drawMarbles(rows);
  const lines = [`expected  ${expected}`, `actual    ${actual}`, ...legend];
  return new MarbleMismatch(
    expected,
    actual,
    `The marbles differ.\n\n${lines.map((line) => `  ${line}`).join('\n')}\n`,
  );
}

function plain(happenings: readonly Happening[]): unknown {
  return happenings.map(({ atMs, kind, value }) => [atMs, kind, value]);
}

/** Gives each value a symbol: the one that the test gave it, its own, or the next letter that is free. */
class Symbols {
  readonly legend: string[] = [];
  readonly #known: { readonly symbol: string; readonly value: unknown }[];
  readonly #free: string[];

  constructor(values: MarbleValues) {
    this.#known = Object.entries(values).map(([symbol, value]) => ({ symbol, value }));
    const taken = new Set(Object.keys(values));
    this.#free = [...'xyzuvwabcdefghijklmnopqrstABCDEFGHIJKLMNOPQRSTUVWXYZ'].filter((symbol) => !taken.has(symbol));
    for (const { symbol, value } of this.#known) this.legend.push(`${symbol} = ${readable(value)}`);
  }

  marbleOf({ atMs, kind, value }: Happening): Marble {
    if (kind === 'C') return { atMs, symbol: '|' };
    if (kind === 'N') return { atMs, symbol: this.#symbolOf(value) };
    return { atMs, symbol: '#' };
  }

  #symbolOf(value: unknown): string {
    const known = this.#known.find((one) => deepEqual(one.value, value));
    if (known !== undefined) return known.symbol;
    const own = typeof value === 'string' ? this.#free.indexOf(value) : -1;
    const symbol = (own >= 0 ? this.#free.splice(own, 1)[0] : this.#free.shift()) ?? '?';
    this.#known.push({ symbol, value });
    if (symbol !== value) this.legend.push(`${symbol} = ${readable(value)}`);
    return symbol;
  }
}
