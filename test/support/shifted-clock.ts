import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { watchdog } from '../../src/testing/processes/watchdog.js';

const source = fileURLToPath(new URL('clock-shim.c', import.meta.url));
let library: string | undefined;

/**
 * The wall clock of processes that are started with its environment, which can be set while they run, and their monotonic
 * clock, which can have stood still while they were stopped. It reaches whoever asks libc: Redis, the JVM, Node. Programs in Go, and thus etcd, ask the kernel.
 */
export class ShiftedClock implements Disposable {
  readonly environment: Readonly<Record<string, string>>;
  readonly #file: number;
  #aheadMs = 0;
  #stoodStillMs = 0;

  constructor() {
    const path = join(watchdog().folder, `clock-${randomUUID()}`);
    this.#file = openSync(path, 'wx');
    this.#write();
    this.environment = { LD_PRELOAD: shim(), CONCLAVE_TEST_CLOCK: path };
  }

  /** How far it is ahead of that of the machine. */
  get aheadMs(): number {
    return this.#aheadMs;
  }

  /** Sets it forward by so much, or back. */
  leap(ms: number): void {
    this.#aheadMs += Math.round(ms);
    this.#write();
  }

  /** The monotonic clock has stood still for so long, and the wall clock has not, as where a machine is suspended. */
  standStill(ms: number): void {
    this.#stoodStillMs += Math.floor(ms);
    this.#write();
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }

  #write(): void {
    const bytes = Buffer.alloc(16);
    bytes.writeBigInt64LE(BigInt(this.#aheadMs), 0);
    bytes.writeBigInt64LE(BigInt(this.#stoodStillMs), 8);
    writeSync(this.#file, bytes, 0, bytes.length, 0);
  }
}

/** Built once for each process. */
function shim(): string {
  if (library !== undefined) return library;
  const built = join(watchdog().folder, `clock-shim-${randomUUID()}.so`);
  execFileSync('gcc', ['-O2', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC', '-o', built, source]);
  library = built;
  return built;
}
