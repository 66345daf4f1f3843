/** What is used of it: redlock 5 brings types, but its `exports` do not lead to them. */
declare module 'redlock' {
  import type { Redis } from 'ioredis';

  interface Lock {
    release(): Promise<unknown>;
  }

  export default class Redlock {
    constructor(clients: Iterable<Redis>, settings?: { readonly retryCount?: number });
    acquire(resources: readonly string[], durationMs: number): Promise<Lock>;
  }
}
