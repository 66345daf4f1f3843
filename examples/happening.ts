/** What can happen to a worker. */
export type What =
  | 'joins'
  | 'leads'
  | 'leads no longer'
  | 'runs a job'
  | 'takes the lock'
  | 'releases the lock'
  | 'loses the lock'
  | 'is cut off'
  | 'is killed';

export interface Happening {
  readonly worker: string;
  readonly what: What;
  /** On the monotonic clock of the machine, which all of its processes share. */
  readonly atMs: number;
  /** Of the membership, the leadership or the lock that was granted. */
  readonly token?: bigint | undefined;
}

/** Writes down what happens to `worker`, when it does. */
export function happening(worker: string): (what: What, token?: bigint) => Happening {
  return (what, token) => ({ worker, what, atMs: nowMs(), token });
}

export function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
