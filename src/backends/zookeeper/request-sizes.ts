/** So many connections must have ended over a size before that is taken for the reason. */
const ENOUGH = 3;
/** No server takes less. */
const LEAST_BYTES = 1_024;

/** A request that was unanswered when the server hung up. */
export interface Unanswered {
  /** Of the data that it carried. */
  readonly bytes: number;
  /** Whether it had just been sent. Who reads how large it is hangs up at once. */
  readonly isRecent: boolean;
}

/**
 * What size of request the servers take, as far as a session has learned. One that is larger than their
 * `jute.maxbuffer` they do not refuse: they hang up, on everybody who shares the connection, and each time that it is
 * sent again.
 */
export class RequestSizes {
  #takenBytes = LEAST_BYTES;
  #tooLargeBytes = Number.POSITIVE_INFINITY;
  readonly #cuts = new Map<number, number>();

  /** Why a request with so much data is not sent. */
  objection(bytes: number): string | undefined {
    if (bytes < this.#tooLargeBytes) return undefined;
    return (
      `it is ${bytes} bytes long, and ${ENOUGH} connections were closed over ${this.#tooLargeBytes}, while no ` +
      `more than ${this.#takenBytes} were taken: raise the servers' jute.maxbuffer, or store less`
    );
  }

  /** An answer to a request with so much data has come. */
  taken(bytes: number): void {
    this.#takenBytes = Math.max(this.#takenBytes, bytes);
    for (const cut of this.#cuts.keys()) if (cut <= bytes) this.#cuts.delete(cut);
  }

  /** A connection that was up has ended, not by this side, while these were unanswered. */
  cut(unanswered: readonly Unanswered[]): void {
    const largest = Math.max(0, ...unanswered.map(({ bytes }) => bytes));
    // Connections end for other reasons, too.
    if (largest <= this.#takenBytes) this.#cuts.clear();
    if (largest <= this.#takenBytes || !unanswered.some(({ bytes, isRecent }) => bytes === largest && isRecent)) return;
    const cuts = (this.#cuts.get(largest) ?? 0) + 1;
    this.#cuts.set(largest, cuts);
    if (cuts < ENOUGH) return;
    this.#tooLargeBytes = largest;
    this.#cuts.clear();
  }
}
