import type { Wire } from './wire.js';

/**
 * Waits until replicas have what was written on one connection: WAIT speaks of its own connection's writes, and nothing
 * else is answered on it meanwhile. One WAIT is under way at most, and those who ask during it share the next.
 */
export class Replicas {
  #running: Promise<number> = Promise.resolve(0);
  #next: Promise<number> | undefined;

  constructor(
    private readonly wire: Wire,
    private readonly count: number,
    /** Two of these and the script itself must fit into the time of one request. */
    private readonly timeoutMs: number,
  ) {}

  /** How many replicas have all that was written here so far; fewer than asked for if they did not say so in time. */
  acknowledged(): Promise<number> {
    const ask = (): Promise<number> => {
      this.#next = undefined;
      this.#running = this.wire.call('WAIT', this.count, this.timeoutMs).then(Number);
      return this.#running;
    };
    this.#next ??= this.#running.then(ask, ask);
    return this.#next;
  }
}
