import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import { type Backend, join, leadership, lock, partition, withLock } from 'conclave';
import { filter, firstValueFrom, type Observable, type Subscription } from 'rxjs';

/** For how long a lock was held, by the clock that all processes of a machine share. */
export interface Held {
  readonly token: bigint;
  readonly fromNs: bigint;
  readonly untilNs: bigint;
}

/** What a peer can be asked to do with its backend. */
export function peerCalls(backend: Backend) {
  const stays: Subscription[] = [];
  /** Stays subscribed; resolves with the first value. */
  const stay = <T>(source: Observable<T>): Promise<T> =>
    new Promise((next, error) => {
      stays.push(source.subscribe({ next, error }));
    });
  return {
    hold: async (name: string): Promise<bigint> => (await stay(lock(backend, name))).token,
    lead: (election: string): Promise<boolean> => stay(leadership(backend, election).pipe(filter((leads) => leads))),
    joinGroup: async (group: string, id: string): Promise<bigint> =>
      (await stay(join(backend, group, { id, create: true }))).token,
    /** Resolves when it owns everything. */
    divide: async (group: string, items: readonly string[], settledMs: number): Promise<number> =>
      (await stay(partition(backend, group, items, { settledMs }).pipe(filter(({ size }) => size === items.length))))
        .size,
    standInLine: (name: string): void => {
      stays.push(lock(backend, name).subscribe({ error: () => undefined }));
    },
    leaveAll: (): void => {
      for (const one of stays.splice(0)) one.unsubscribe();
    },
    churn: (name: string, rounds: number): Promise<readonly Held[]> => churn(backend, name, rounds),
    /** Closes, and tells what still keeps the process busy a moment later. */
    close: async (): Promise<readonly string[]> => {
      await backend.close();
      await delay(100);
      return process.getActiveResourcesInfo();
    },
    /** From then on only what the library has left running keeps the process alive. */
    endByItself: (): void => {
      void setImmediate().then(() => process.channel?.unref());
    },
  };
}

export type PeerCalls = ReturnType<typeof peerCalls>;

/** Acquires and releases again and again. */
export async function churn(backend: Backend, name: string, rounds: number): Promise<readonly Held[]> {
  const held: Held[] = [];
  for (let round = 0; round < rounds; round++) {
    await firstValueFrom(
      withLock(backend, name, async ({ token }) => {
        const fromNs = process.hrtime.bigint();
        await setImmediate();
        held.push({ token, fromNs, untilNs: process.hrtime.bigint() });
      }),
    );
  }
  return held;
}
