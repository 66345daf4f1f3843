import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { encodeEvent, type Told } from './history.js';
import { msToNs } from './intervals.js';

const clockFile = process.env['CONCLAVE_TEST_CLOCK'];
const clock = clockFile === undefined ? undefined : openSync(clockFile, 'r');

/** For how long the clock of this process has stood still: see `ShiftedClock`. */
function stoodStillNs(): bigint {
  if (clock === undefined) return 0n;
  const bytes = Buffer.alloc(8);
  readSync(clock, bytes, 0, bytes.length, 8);
  return msToNs(Number(bytes.readBigInt64LE()));
}

/** The machine's monotonic clock, also where that of this process has stood still. */
export function now(): bigint {
  for (;;) {
    const before = stoodStillNs();
    const at = process.hrtime.bigint();
    // It may have been stopped between the two.
    if (stoodStillNs() === before) return at + before;
  }
}

/** Writes what happens to a file, before it goes on: a SIGKILL loses nothing that was told. */
export class Recorder implements Disposable {
  readonly #descriptor: number;

  constructor(
    readonly path: string,
    private readonly process: string,
  ) {
    this.#descriptor = openSync(path, 'a');
  }

  tell(happening: Told, at = now()): void {
    this.tellOf(this.process, happening, at);
  }

  tellOf(process: string, happening: Told, at = now()): void {
    writeSync(this.#descriptor, `${encodeEvent({ ...happening, process, at })}\n`);
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }
}
