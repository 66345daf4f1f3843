import { filter, firstValueFrom, takeUntil, toArray } from 'rxjs';
import { expect, test } from 'vitest';
import type { CoordinationError } from '../../src/backends/errors.js';
import { lock } from '../../src/observables/locks/lock.js';
import { status } from '../../src/observables/session/status.js';
import { networkTo, realStores, vanish } from './stores.js';

/** What a message must not leave its reader with. */
const empty = /no reason given|the store |undefined|\[object|maxRetriesPerRequest/;

function check(error: CoordinationError, name: string, address: string): void {
  expect(error.message).not.toMatch(empty);
  expect(error.message).toContain(`${name} at ${address}`);
}

test.each(realStores)(
  'NamelessFailure: what is said of %s that is gone names it, its address and the reason',
  async (_name, store) => {
    const { proxy, way } = await networkTo(store);
    const backend = way.connect({ ttlMs: 2_000, requestTimeoutMs: 300 });
    try {
      const faults = firstValueFrom(backend.faults$.pipe(toArray()));
      const holding = lock(backend, 'messages').subscribe({ error: () => undefined });
      await firstValueFrom(status(backend).pipe(filter(({ state }) => state === 'live')));
      const told = firstValueFrom(
        status(backend).pipe(
          takeUntil(
            status(backend).pipe(
              filter(({ state, ...rest }) => state === 'connecting' && 'attempt' in rest && Number(rest.attempt) > 1),
            ),
          ),
          toArray(),
        ),
      );
      vanish(proxy);
      const address = `127.0.0.1:${proxy.port}`;
      const causes = (await told).flatMap((one) => ('cause' in one && one.cause !== undefined ? [one.cause] : []));
      expect(causes.length).toBeGreaterThan(1);
      const { name } = backend;
      for (const cause of causes) if (cause._tag === 'Unavailable') check(cause, name, address);
      holding.unsubscribe();
      await backend.close();
      for (const fault of await faults) if (fault._tag !== 'SessionLost') check(fault, name, address);
    } finally {
      await backend.close();
      await proxy.close();
    }
  },
);
