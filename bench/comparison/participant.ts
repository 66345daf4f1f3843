/** Who takes part in the comparison, and what is asked of everybody. */
export interface Participant {
  readonly name: string;
  /** What npm calls the package that does it. */
  readonly npmPackage?: string;
  /** Only the uncontended round trips are measured: a floor, or another way of doing the same. */
  readonly isUncontendedOnly?: true;
  /** Whether two at a time make the whole run fail. */
  readonly mustExclude?: true;
  /** Which of the server's counts are requests of its clients, where they differ from those of the store. */
  readonly requests?: RegExp;
  /** `undefined` where it is not installed. */
  open(url: string, clients: number): Promise<Subject | undefined>;
}

/** Clients with a connection each, under measurement. */
export interface Subject extends AsyncDisposable {
  readonly version?: string;
  /** One client acquires and releases a free lock for so long; gives milliseconds for one pair. */
  pairs(durationMs: number): Promise<number>;
  /** All clients contend for one lock for so long, and each is in at least once. */
  contend(durationMs: number): Promise<Contention>;
  /** One client holds a lock, and so many wait for it, spread over the clients. */
  line(waiters: number): Promise<Line>;
}

export interface Contention {
  /** How often each was inside. */
  readonly sections: readonly number[];
  /** How often somebody came in while another was inside. */
  readonly overlaps: number;
}

export interface Line {
  /** The holder releases; gives the milliseconds until one who waits is admitted, who then holds. */
  handOver(): Promise<number>;
  /** Everybody who waits is admitted in turn and releases. After `handOver`. */
  end(): Promise<void>;
}
