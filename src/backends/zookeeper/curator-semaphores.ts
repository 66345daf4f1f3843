import { parseNumbered, type SemaphoreNames, UNNUMBERED } from './names.js';

/** What conclave adds to the name of an entry that has got a permit. */
const LEASE = '-lease-';

/**
 * Those of Curator's `InterProcessSemaphoreV2`. It counts the children of `leases`, and nobody makes one there who is not
 * the first in `locks`.
 */
export const curatorSemaphores: SemaphoreNames = {
  locks: 'locks',
  leases: 'leases',
  waiting: (name) => {
    const numbered = parseNumbered('lock', name);
    return numbered === undefined || tellsPermits(name) ? numbered : { ...numbered, mode: 'exclusive', permits: 0 };
  },
  holding: (name) => {
    const [, entry = '', token = ''] = /^(.+)-lease-(\d+)$/.exec(name) ?? [];
    const numbered = tellsPermits(entry) ? parseNumbered('lock', entry) : undefined;
    return numbered === undefined
      ? { name, mode: 'exclusive', permits: Number.POSITIVE_INFINITY, sequence: UNNUMBERED }
      : { ...numbered, token: BigInt(token) };
  },
  leaseOf: (entry, token) => `${entry}${LEASE}${token}`,
};

/** Conclave's do, since a semaphore of one is a lock, and stands elsewhere. */
function tellsPermits(name: string): boolean {
  return /^_c_[0-9a-f-]{36}\.\d+-/.test(name);
}
