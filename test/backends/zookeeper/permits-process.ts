import { firstValueFrom } from 'rxjs';
import { zookeeper } from '../../../src/backends/zookeeper/index.js';
import { semaphore } from '../../../src/observables/locks/semaphore.js';
import { answer } from '../../../src/testing/processes/client-side.js';
import type { Held } from './other-client.js';
import { ourRounds } from './rounds.js';
import { lockNamed } from './support.js';

/** A process that takes permits where Curator has its semaphores. */
const [port = ''] = process.argv.slice(2);
const backend = zookeeper({ hosts: [{ host: '127.0.0.1', port: Number(port) }], ttlMs: 4_000, layout: 'curator' });

const calls = {
  /** Takes one and keeps it. */
  hold: (name: string, permits: number): Promise<bigint> =>
    new Promise((told, failed) => {
      semaphore(backend, name, permits).subscribe({ next: ({ token }) => told(token), error: failed });
    }),
  rounds: (name: string, how: { rounds: number; permits: number; holdMs: number }): Promise<readonly Held[]> =>
    ourRounds(backend, lockNamed(name), { ...how, mode: 'exclusive' }),
  connected: async (): Promise<void> => {
    await firstValueFrom(backend.look(lockNamed('any')));
  },
};

export type PermitsCalls = typeof calls;

answer(calls);
