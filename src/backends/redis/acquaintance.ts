import type { Argument, Reply } from './connections.js';
import { text, tokenOf } from './replies.js';
import type { Server } from './server.js';

/** Who asks. */
interface Asker {
  readonly id: string;
  readonly ttlMs: number;
  /** How much clocks may differ in rate. */
  readonly drift: number;
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
  /** What every script is told first. */
  preamble(server: Server): Argument[];
  /** Notes the shard's time, and what data it is; returns the rest of the reply. */
  read(reply: Reply): Told;
}

export interface Told {
  /** The name of the data. It is another one if that may not have all that was acknowledged. */
  readonly dataId: string;
  readonly reply: Reply;
}

/** What data there was when it was asked for. */
interface Data {
  /** Another one if it may not have all that was acknowledged. */
  readonly id: string;
  /** How many changes it had: there must be as many, or some of them have been lost. */
  readonly count: number;
  /** Who asked, and which of them was its own last one: however many others make, they do not make that up. */
  readonly session: string;
  readonly own: number;
  readonly askedMs: number;
}

/** What a client says of the shard's time. */
interface Witness {
  /**
   * By how many µs the shard's time is ahead of this client's monotonic clock, at the most: it was told after it had
   * been asked for.
   */
  readonly aheadUs: number;
  /** When that was so: since then it may have grown a little. */
  readonly asOfMs: number;
  /** What was due already when this client came, and has not been seen to be claimed since: it cannot tell of that. */
  readonly elderUs: number;
}

/**
 * How much faster than this client's clock the shard's time may run. At any rate, or what a clock has once lost, or loses
 * all the time against the others, would be missing for good: who waits alone would wait longer by it each time.
 *
 * It matters only where the server's clock has leapt, since the shard's time never passes that. A lease of one ttl, and the
 * slack that a leap may add at once, ends after ttl / (1 + rate) at the earliest, or ttl * (1 - rate), of this client's
 * clock; its holder has given up after ttl * (1 - drift) of his own. So half of the drift is used, and half of it, and all
 * of the guard, are left for clocks that do differ. What grew while the client did not ask is believed for a third of a
 * ttl, a sixth of the drift in a lease, or who comes after a day would confirm any leap.
 */
function aheadUs({ aheadUs, asOfMs }: Witness, atMs: number, { ttlMs, drift }: Asker): number {
  return aheadUs + Math.min(Math.max(0, atMs - asOfMs), ttlMs / 3) * 1_000 * (drift / 2);
}

/** What one client knows of the shard, whatever becomes of its sessions and connections. */
export class Acquaintance {
  /** The highest token met with: the next is higher, whatever the server has forgotten. */
  #token = 0n;
  #data: Data = { id: '', count: 0, session: '', own: 0, askedMs: Number.NEGATIVE_INFINITY };
  /** `undefined` as long as the client has not been there. */
  #witness: Witness | undefined;

  ask(asker: Asker, now: () => number): Asking {
    const { id, ttlMs, epoch } = asker;
    const sentMs = now();
    return {
      preamble: (server) => [
        id,
        Math.round(ttlMs * 1_000),
        epoch,
        server.runId,
        server.upMs(),
        this.#witness === undefined ? '' : Math.floor(aheadUs(this.#witness, sentMs, asker) + sentMs * 1_000),
        this.#witness?.elderUs ?? 0,
        this.#token.toString(),
        this.#data.id,
        this.#data.count,
        this.#data.session === id ? this.#data.own : 0,
      ],
      read: ([state, ...reply]) => {
        const [time, due, own, count, dataId = ''] = text(state).split(' ');
        if (sentMs >= this.#data.askedMs)
          this.#learn({ id: dataId, count: Number(count), session: id, own: Number(own), askedMs: sentMs });
        this.#told(Number(time), Number(due), sentMs, now(), asker);
        return { dataId, reply };
      },
    };
  }

  met(decimal: string): bigint {
    const token = tokenOf(decimal);
    if (token > this.#token && token <= HIGHEST_BELIEVED) this.#token = token;
    return token;
  }

  #learn(told: Data): void {
    const known = this.#data;
    if (told.id === '') return;
    // What another server counts has nothing to do with what was known.
    if (known.id !== told.id && known.id !== '') this.#witness = undefined;
    const isSame = known.id === told.id;
    this.#data = {
      ...told,
      count: isSame ? Math.max(told.count, known.count) : told.count,
      own: isSame && known.session === told.session ? Math.max(told.own, known.own) : told.own,
    };
  }

  #told(timeUs: number, dueUs: number, sentMs: number, receivedMs: number, asker: Asker): void {
    if (!Number.isFinite(timeUs) || !Number.isFinite(dueUs)) return;
    const most = timeUs - sentMs * 1_000;
    const least = timeUs - receivedMs * 1_000;
    const fresh: Witness = { aheadUs: most, asOfMs: sentMs, elderUs: dueUs };
    const known = this.#witness ?? fresh;
    const knownUs = aheadUs(known, sentMs, asker);
    // Further than a leap may ever bring it at once: this machine was suspended, or the data was lost. Anything less is
    // waited for, or two clients would believe each other's errors in turns.
    this.#witness =
      least > knownUs + (asker.ttlMs * 1_000) / 3
        ? fresh
        : {
            aheadUs: Math.min(knownUs, most),
            asOfMs: Math.max(known.asOfMs, sentMs),
            elderUs: Math.min(known.elderUs, dueUs),
          };
  }
}
