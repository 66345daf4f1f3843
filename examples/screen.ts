import { diagram, legend } from './diagram.js';
import { type Happening, nowMs } from './happening.js';

const columnMs = 100;

/** Draws what happens while it happens. */
export interface Screen {
  tell(happening: Happening): void;
  /** Draws it for the last time. */
  end(): void;
}

/** On a terminal, a line for each worker that grows; elsewhere, a row for each happening, and the lines at the end. */
export function screenFor(output: NodeJS.WriteStream, workers: readonly string[]): Screen {
  const isLive = output.isTTY && output.columns > 20 && process.env['TERM'] !== 'dumb';
  const colours = isLive && !process.env['NO_COLOR'];
  const happenings: Happening[] = [];
  let drawn = 0;

  const startMs = (): number => happenings[0]?.atMs ?? nowMs();
  const lines = (): readonly string[] => {
    const width = isLive ? output.columns - 1 : Number.POSITIVE_INFINITY;
    return diagram(happenings, nowMs(), { workers, startMs: startMs(), columnMs, width, colours });
  };
  const redraw = (): void => {
    const up = drawn === 0 ? '' : `\x1b[${drawn}A`;
    const now = lines();
    output.write(up + now.map((line) => `\x1b[2K${line}\n`).join(''));
    drawn = now.length;
  };
  const row = ({ worker, what, atMs, token }: Happening): void => {
    if (what === 'runs a job') return; // three a second: only in the diagram
    const time = `${((atMs - startMs()) / 1_000).toFixed(2)} s`.padStart(8);
    output.write(`${time}  ${worker} ${what}${token === undefined ? '' : `, token ${token}`}\n`);
  };
  output.write(`${legend.join('\n')}\n\n`);
  const timer = isLive ? setInterval(redraw, columnMs) : undefined;

  return {
    tell(happening) {
      happenings.push(happening);
      if (isLive) redraw();
      else row(happening);
    },
    end() {
      clearInterval(timer);
      if (isLive) redraw();
      else output.write(`\n${lines().join('\n')}\n`);
    },
  };
}
