import type { Argument, Reply } from './connections.js';
import { text, tokenOf } from './replies.js';
import type { Server } from './server.js';

/** One request of a session to the shard. */
interface Asking {
  /** What every script is told first. */
  preamble(server: Server): Argument[];
  /** Notes the shard's time; returns the rest of the reply. */
  read(reply: Reply): Reply;
}

/** What one client knows of the shard, whatever becomes of its sessions and connections. */
export class Acquaintance {
  /** The highest token met with: the next is higher, whatever the server has forgotten. */
  #token = 0n;
  /**
   * By how many µs the shard's time is ahead of this client's monotonic clock, at the most: it was told after it had
   * been asked for. It never runs faster than any clock, so what was the least once stays true. `undefined` as long
   * as the client has not been there: then an empty shard has not lost its data.
   */
  #aheadUs: number | undefined;

  ask({ id, ttlMs }: { readonly id: string; readonly ttlMs: number }, now: () => number): Asking {
    const sentMs = now();
    const ttlUs = Math.round(ttlMs * 1_000);
    return {
      preamble: (server) => [
        id,
        ttlUs,
        server.runId,
        server.upMs(),
        this.#aheadUs === undefined ? '' : Math.floor(this.#aheadUs + sentMs * 1_000),
        this.#token.toString(),
      ],
      read: ([time, ...reply]) => {
        this.#told(Number(text(time)), sentMs, now(), ttlUs);
        return reply;
      },
    };
  }

  met(decimal: string): bigint {
    const token = tokenOf(decimal);
    if (token > this.#token) this.#token = token;
    return token;
  }

  #told(timeUs: number, sentMs: number, receivedMs: number, ttlUs: number): void {
    if (!Number.isFinite(timeUs)) return;
    const most = timeUs - sentMs * 1_000;
    const least = timeUs - receivedMs * 1_000;
    const ahead = this.#aheadUs ?? most;
    // Further than a leap may ever bring it at once: this machine was suspended, or the data was lost. Anything less is
    // waited for, or two clients would believe each other's errors in turns.
    this.#aheadUs = least > ahead + ttlUs / 3 ? most : Math.min(ahead, most);
  }
}
