import type { Proof } from '../store.js';
import { aheadFromShared, aheadToShared, fromShared, sharedNow, toShared } from './shared-clock.js';

const PROVED = 0;
const AHEAD = 1;
const IS_OVER = 2;

/**
 * What is proved of one session, in memory that both threads see: written by the one that renews, read by the one that
 * relies on it. The moment is written last and read first. So who reads a new moment reads what was ahead since then. Who reads
 * the moment of one proof and what was ahead since a later one may miss a suspension in between: the later proof covers it.
 */
export class SharedProof {
  readonly #cells: BigInt64Array;

  constructor(readonly memory: SharedArrayBuffer = new SharedArrayBuffer(3 * BigInt64Array.BYTES_PER_ELEMENT)) {
    this.#cells = new BigInt64Array(memory);
  }

  prove({ provedMs, leastAheadMs }: Proof): void {
    Atomics.store(this.#cells, AHEAD, microseconds(aheadToShared(leastAheadMs)));
    Atomics.store(this.#cells, PROVED, microseconds(toShared(provedMs)));
  }

  /** From now on nothing may be relied on. */
  end(): void {
    Atomics.store(this.#cells, IS_OVER, 1n);
  }

  read(): Proof | undefined {
    if (Atomics.load(this.#cells, IS_OVER) !== 0n) return undefined;
    return {
      provedMs: fromShared(milliseconds(Atomics.load(this.#cells, PROVED))),
      leastAheadMs: aheadFromShared(milliseconds(Atomics.load(this.#cells, AHEAD))),
    };
  }
}

/** When the main thread's event loop has last turned. */
export class Pulse {
  readonly #cells: BigInt64Array;

  constructor(readonly memory: SharedArrayBuffer = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT)) {
    this.#cells = new BigInt64Array(memory);
  }

  beat(): void {
    Atomics.store(this.#cells, 0, microseconds(sharedNow()));
  }

  sinceMs(): number {
    return sharedNow() - milliseconds(Atomics.load(this.#cells, 0));
  }
}

/** Rounded to the earlier. */
function microseconds(ms: number): bigint {
  return BigInt(Math.floor(ms * 1_000));
}

function milliseconds(us: bigint): number {
  return Number(us) / 1_000;
}
