import { randomUUID } from 'node:crypto';
import { firstValueFrom, Subject, Subscription } from 'rxjs';
import { expect, test } from 'vitest';
import { type Backend, connect, leadership, withLeadership } from '../../src/index.js';
import { startProxy, type TcpProxy } from '../../src/testing/servers/tcp-proxy.js';
import { realStores } from './stores.js';

const ONE_WAY_MS = 200;

/** A client far away from the store. */
async function far(url: string, namespace: string): Promise<AsyncDisposable & { backend: Backend; proxy: TcpProxy }> {
  const { protocol, hostname, port } = new URL(url);
  const proxy = await startProxy({ host: hostname, port: Number(port) });
  const backend = connect(proxy.url(protocol.slice(0, -1)), { namespace, ttlMs: 10_000, requestTimeoutMs: 4_000 });
  return {
    backend,
    proxy,
    [Symbol.asyncDispose]: async () => {
      await backend.close();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

test.each(realStores)(
  'FarAway: on %s a preferred candidate leads within two round trips after the work of the present one has settled',
  async (name, { url }) => {
    const namespace = randomUUID();
    await using present = await far(url, namespace);
    await using better = await far(url, namespace);
    const begun = new Subject<void>();
    const told = new Subject<void>();
    let settle = (): void => undefined;
    const work = ({ signal }: { readonly signal: AbortSignal }): Promise<void> => {
      signal.addEventListener('abort', () => told.next());
      begun.next();
      return new Promise((settled) => {
        settle = settled;
      });
    };
    let isBegun = firstValueFrom(begun);
    const presiding = withLeadership(present.backend, 'chief', work, { priority: 1 }).subscribe();
    /** How long it takes from the end of the work until the better one leads. It comes, and goes again. */
    const handedOverMs = async (meanwhile: () => Promise<unknown>): Promise<number> => {
      await isBegun;
      const isTold = firstValueFrom(told);
      const leads = new Promise<number>((resolve, failed) => {
        leading = leadership(better.backend, 'chief', { priority: 2 }).subscribe({
          next: (isLeading) => isLeading && resolve(performance.now()),
          error: failed,
        });
      });
      await isTold;
      await meanwhile();
      const settledMs = performance.now();
      settle();
      const tookMs = (await leads) - settledMs;
      isBegun = firstValueFrom(begun);
      leading.unsubscribe();
      return tookMs;
    };
    let leading = new Subscription();
    // The first time, Redis is sent scripts that it does not know yet.
    await handedOverMs(async () => undefined);
    let roundTripMs = 0;
    const tookMs = await handedOverMs(async () => {
      for (const { proxy } of [present, better]) proxy.delay({ toServerMs: ONE_WAY_MS, toClientMs: ONE_WAY_MS });
      const askedMs = performance.now();
      await firstValueFrom(better.backend.look({ kind: 'election', name: 'nobody' }));
      roundTripMs = performance.now() - askedMs;
    });
    const roundTrips = tookMs / roundTripMs;
    console.log(`${name}: ${roundTrips.toFixed(2)} round trips`);
    // With a third one it would be more than that, whatever the machine is busy with.
    expect(roundTrips).toBeLessThan(3);
    for (const { proxy } of [present, better]) proxy.delay({});
    presiding.unsubscribe();
  },
);
