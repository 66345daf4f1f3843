import { closeSync, openSync, writeSync } from 'node:fs';
import { encodeEvent, type Told } from './history.js';

export const now = (): bigint => process.hrtime.bigint();

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
