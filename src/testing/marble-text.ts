import { shown } from '../backends/shared/expectations.js';

/** What a marble string shows at one moment: a symbol, or `|` or `#`. */
export interface Marble {
  readonly atMs: number;
  readonly symbol: string;
}

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m)(?= |$)/;
const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 };

/**
 * Reads a marble string by the rules of RxJS's run mode: each character, of Unicode, is 1 ms, blanks are nothing, `(ab)` is at one
 * moment, `900ms`, `5s` and `2m` between blanks are time that goes by.
 */
export function parseMarbles(text: string): readonly Marble[] {
  if (typeof text !== 'string') throw new TypeError(`Marbles are a string, not ${shown(text)}.`);
  const marbles: Marble[] = [];
  let atMs = 0;
  let groupMs: number | undefined;
  for (let i = 0; i < text.length; i++) {
    const duration = i === 0 || text[i - 1] === ' ' ? DURATION.exec(text.slice(i)) : null;
    if (duration !== null) {
      const [all, amount, unit = ''] = duration;
      atMs += Number(amount) * (UNIT_MS[unit] ?? 1);
      i += all.length - 1;
      continue;
    }
    const symbol = String.fromCodePoint(text.codePointAt(i) ?? 0);
    i += symbol.length - 1;
    if (symbol === ' ') continue;
    if (symbol === '(') {
      if (groupMs !== undefined) throw new Error(`There is a group within a group in the marbles '${text}'.`);
      groupMs = atMs;
    } else if (symbol === ')') {
      if (groupMs === undefined) throw new Error(`A group ends that did not begin, in the marbles '${text}'.`);
      groupMs = undefined;
    } else if (symbol !== '-') marbles.push({ atMs: groupMs ?? atMs, symbol });
    atMs++;
  }
  if (groupMs !== undefined) throw new Error(`A group does not end in the marbles '${text}'.`);
  return marbles;
}

/** Draws rows of marbles one above the other: what happens at the same moment stands in the same column. */
export function drawMarbles(rows: readonly (readonly Marble[])[]): readonly string[] {
  const moments = [...new Set(rows.flatMap((row) => row.map(({ atMs }) => atMs)))].sort((a, b) => a - b);
  const lines = rows.map(() => '');
  /** Up to where the text of each row has told the time. */
  const toldMs = rows.map(() => 0);
  for (const moment of moments) {
    const gaps = toldMs.map((told) => gapText(moment - told));
    const cells = rows.map((row) => cellText(row.filter(({ atMs }) => atMs === moment).map(({ symbol }) => symbol)));
    const gapWidth = Math.max(...gaps.map((gap) => gap.length));
    const cellWidth = Math.max(...cells.map(lengthOf));
    rows.forEach((row, i) => {
      if (!row.some(({ atMs }) => atMs >= moment)) return;
      const [gap = '', cell = ''] = [gaps[i], cells[i]];
      lines[i] += gap.padEnd(gapWidth) + cell + ' '.repeat(cellWidth - lengthOf(cell));
      toldMs[i] = Math.max(moment, toldMs[i] ?? 0) + lengthOf(cell);
    });
  }
  return lines.map((line) => (line === '' ? '-' : line.trimEnd()));
}

/** In characters of Unicode, each of which is 1 ms. */
function lengthOf(cell: string): number {
  return [...cell].length;
}

function cellText(symbols: readonly string[]): string {
  if (symbols.length === 0) return '-';
  return symbols.length === 1 ? symbols.join('') : `(${symbols.join('')})`;
}

/** Longest time that is drawn in dashes. */
const MOST_DASHES = 8;

function gapText(ms: number): string {
  if (ms <= 0) return '';
  return Number.isInteger(ms) && ms <= MOST_DASHES ? '-'.repeat(ms) : ` ${ms}ms `;
}
