import { closeSync, openSync, readFileSync } from 'node:fs';

const tailBytes = 65_536;

/**
 * Where a child process writes its stdout and stderr. A file and not a pipe, so that the child goes on while this
 * process does not read.
 */
export class LogFile {
  constructor(private readonly path: string) {}

  /** Calls `use` with a descriptor to append to. */
  append<T>(use: (descriptor: number) => T): T {
    const descriptor = openSync(this.path, 'a');
    try {
      return use(descriptor);
    } finally {
      closeSync(descriptor);
    }
  }

  tail(bytes: number = tailBytes): string {
    try {
      return readFileSync(this.path).subarray(-bytes).toString();
    } catch {
      return '';
    }
  }
}
