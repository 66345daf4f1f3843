import { acquire, connect, lock } from 'conclave';
import { type Client, overClients, type Release } from './over-clients.js';
import type { Participant } from './participant.js';

/** As it is used with promises: a backend for each client, with the options that everybody gets. */
export const ours: readonly Participant[] = [
  {
    name: 'conclave',
    mustExclude: true,
    open: overClients((url) => client(url, 'sent')),
  },
  {
    name: 'conclave, release awaited',
    isUncontendedOnly: true,
    mustExclude: true,
    open: overClients((url) => client(url, 'awaited')),
  },
];

async function client(url: string, release: 'sent' | 'awaited'): Promise<Client> {
  const backend = connect(url);
  return {
    async acquire(name): Promise<Release> {
      const held = await acquire(lock(backend, name));
      return async () => {
        const released = held.release();
        if (release === 'awaited') await released;
      };
    },
    [Symbol.asyncDispose]: () => backend.close(),
  };
}
