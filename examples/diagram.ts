import type { Happening, What } from './happening.js';

/** How each happening is drawn, and what stands on the line from then on; `undefined`: what stood there before. */
const marks: Readonly<Record<What, readonly [mark: string, line: string | undefined]>> = {
  joins: ['j', '-'],
  leads: ['L', '='],
  'leads no longer': ['x', ' '],
  'runs a job': ['o', undefined],
  'takes the lock': ['(', undefined],
  'releases the lock': [')', undefined],
  'loses the lock': [')', undefined],
  'is cut off': ['!', undefined],
  'is killed': ['!', ' '],
};

/** What the marks mean, no wider than a small terminal. */
export const legend = [
  'j joins the group   L is elected   = leads   o runs a job, gated by whileLeader',
  '( ) holds the lock  ! is cut off, or killed  x is told that it leads no longer',
];

const margin = 10;

export interface DiagramOptions {
  readonly workers: readonly string[];
  readonly startMs: number;
  readonly columnMs: number;
  /** Columns of the terminal: of what is wider, the latest part is drawn. */
  readonly width: number;
  readonly colours: boolean;
}

/** A marble diagram of what has happened until `untilMs`: one line for each worker, and one for the seconds. */
export function diagram(happenings: readonly Happening[], untilMs: number, options: DiagramOptions): readonly string[] {
  const { workers, startMs, columnMs, width, colours } = options;
  const columns = Math.floor((untilMs - startMs) / columnMs) + 1;
  const lines = workers.map((worker) => {
    let line = '';
    let now = ' ';
    for (const { what, atMs } of happenings.filter((each) => each.worker === worker)) {
      const [mark, after = now] = marks[what];
      // Two in one column: the second one moves to the next.
      line = line.padEnd(Math.floor((atMs - startMs) / columnMs), now) + mark;
      now = now === '=' && what === 'joins' ? now : after;
    }
    return line.padEnd(columns, now);
  });
  const longest = Math.max(...lines.map((line) => line.length));
  const hidden = Math.max(0, longest + margin - width);
  const draw = (label: string, line: string): string => label.padEnd(margin) + line.slice(hidden);
  return [
    ...workers.map((worker, i) => draw(worker, lines[i] ?? '')).map(colours ? coloured : plain),
    draw('', seconds(longest, columnMs)).trimEnd(),
  ];
}

function seconds(columns: number, columnMs: number): string {
  const perSecond = 1_000 / columnMs;
  return Array.from({ length: Math.ceil(columns / perSecond) }, (_, second) => `${second} s`.padEnd(perSecond)).join(
    '',
  );
}

function plain(line: string): string {
  return line.trimEnd();
}

function coloured(line: string): string {
  const paint = (code: number) => (text: string) => `\x1b[${code}m${text}\x1b[0m`;
  const [label, marked] = [line.slice(0, margin), line.slice(margin)];
  const [green, yellow, red] = [paint(32), paint(33), paint(31)];
  return (
    label +
    marked
      .replace(/[L=o]+/g, green)
      .replace(/[()]/g, yellow)
      .replace(/[!x]/g, red)
  );
}
