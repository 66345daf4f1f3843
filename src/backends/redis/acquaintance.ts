import type { Answer, Reply, Write } from './connections.js';
import { text, tokenOf } from './replies.js';

/** Who asks. */
interface Asker {
  readonly id: string;
  readonly ttlMs: number;
  /** Grows with each of its connections. */
  readonly epoch: number;
}

/**
 * No clock has come as far. Whoever else writes a higher version into a cell must not raise the tokens of all to where the
 * server's numbers are not exact any more.
 */
const HIGHEST_BELIEVED = 2n ** 52n;

/** One request of a session to the shard. */
interface Asking {
  /** Writes what every script is told first. */
  readonly write: Write;
  /** Notes the shard's time, and what data it is; returns the rest of the reply. */
  read(answer: Answer): Told;
}

export interface Told {
  /** The name of the data. It is another one if that may not have all that was acknowledged. */
  readonly dataId: string;
  /** How many changes it has had. */
  readonly count: number;
  readonly reply: Reply;
}

/** What one client knows of the shard, whatever becomes of its sessions and connections. */
export class Acquaintance {
  /** The highest token met with: the next is higher, whatever the server has forgotten. */
  #token = 0n;
  /** The name of the data, and how many changes it had: there must be as many, or some of them have been lost. */
  #data = { id: '', count: 0, askedMs: Number.NEGATIVE_INFINITY };
  /**
   * By how many µs the shard's time is ahead of this client's monotonic clock, at the most: it was told after it had
   * been asked for. It never runs faster than any clock, so what was the least once stays true. `undefined` as long
   * as the client has not been there.
   */
  #aheadUs: number | undefined;

  /** `trustEmpty`: a server without data was never used, whatever it may have lost. */
  constructor(private readonly trustEmpty = false) {}

  ask({ id, ttlMs, epoch }: Asker, now: () => number): Asking {
    const sentMs = now();
    const ttlUs = Math.round(ttlMs * 1_000);
    return {
      write: (server, command) => {
        const upMs = this.trustEmpty ? 'inf' : server.upMs();
        const witnessUs = this.#aheadUs === undefined ? '' : Math.floor(this.#aheadUs + sentMs * 1_000);
        const data = this.#data;
        command.push(
          `${id} ${ttlUs} ${epoch} ${server.runId} ${upMs} ${witnessUs} ${this.#token} ${data.id} ${data.count}`,
        );
      },
      read: ({ state, told }) => {
        const [time, count, dataId = ''] = text(state).split(' ');
        if (sentMs >= this.#data.askedMs) this.#learn(dataId, Number(count), sentMs);
        this.#told(Number(time), sentMs, now(), ttlUs);
        return { dataId, count: Number(count), reply: told };
      },
    };
  }

  /** Whether this is the data that it was told of last. */
  isOf(dataId: string): boolean {
    return dataId !== '' && dataId === this.#data.id;
  }

  met(decimal: string): bigint {
    const token = tokenOf(decimal);
    if (token > this.#token && token <= HIGHEST_BELIEVED) this.#token = token;
    return token;
  }

  #learn(id: string, count: number, askedMs: number): void {
    const known = this.#data;
    if (id === '') return;
    // What another server counts has nothing to do with what was known.
    if (known.id !== id && known.id !== '') this.#aheadUs = undefined;
    this.#data = { id, count: known.id === id ? Math.max(count, known.count) : count, askedMs };
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
