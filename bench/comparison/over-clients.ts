import { setImmediate as nextTurn } from 'node:timers/promises';
import { disposeAll } from '../../src/testing/servers/server.js';
import type { Contention, Line, Participant, Subject } from './participant.js';

/** A connection of its own in this process. */
export interface Client extends AsyncDisposable {
  /** Waits for the lock. */
  acquire(name: string): Promise<Release>;
}

/** Resolves when the caller may go on, which need not be when the store has it. */
export type Release = () => Promise<unknown>;

/** Measures clients of this process. */
export function overClients(connect: (url: string) => Promise<Client>): Participant['open'] {
  return async (url, count) => new Measured(await Promise.all(Array.from({ length: count }, () => connect(url))));
}

let names = 0;

class Measured implements Subject {
  readonly #clients: readonly Client[];
  readonly #free = `free-${names++}`;

  constructor(clients: readonly Client[]) {
    this.#clients = clients;
  }

  async pairs(durationMs: number): Promise<number> {
    const client = this.#at(0);
    const beganMs = performance.now();
    let pairs = 0;
    let tookMs = 0;
    for (; tookMs < durationMs; pairs++) {
      const release = await client.acquire(this.#free);
      await release();
      tookMs = performance.now() - beganMs;
    }
    return tookMs / pairs;
  }

  async contend(durationMs: number): Promise<Contention> {
    const name = `contended-${names++}`;
    const endMs = performance.now() + durationMs;
    let inside = 0;
    let overlaps = 0;
    const contender = async (client: Client): Promise<number> => {
      let sections = 0;
      do {
        const release = await client.acquire(name);
        inside++;
        if (inside > 1) overlaps++;
        // Whoever else is let in by now comes in before this one goes.
        await nextTurn();
        if (performance.now() < endMs) sections++;
        inside--;
        await release();
      } while (performance.now() < endMs);
      return sections;
    };
    return { sections: await Promise.all(this.#clients.map(contender)), overlaps };
  }

  async line(waiters: number): Promise<Line> {
    const name = `line-${names++}`;
    const releaseFirst = await this.#at(0).acquire(name);
    const { promise: admittedMs, resolve: admitted } = deferred<number>();
    const { promise: ended, resolve: end } = deferred<void>();
    const passing = Promise.all(
      Array.from({ length: waiters }, async (_, index) => {
        const release = await this.#at(index + 1).acquire(name);
        admitted(performance.now());
        await ended;
        await release();
      }),
    );
    return {
      handOver: async () => {
        const releasedMs = performance.now();
        const released = releaseFirst();
        const tookMs = (await admittedMs) - releasedMs;
        await released;
        return tookMs;
      },
      end: async () => {
        end();
        await passing;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await disposeAll(this.#clients);
  }

  #at(index: number): Client {
    const client = this.#clients[index % this.#clients.length];
    if (client === undefined) throw new RangeError('there is no client to measure with');
    return client;
  }
}

function deferred<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
