import { type Backend, ConnectionRefused, lock, Unavailable } from 'conclave';
import { firstValueFrom, lastValueFrom } from 'rxjs';
import { expect } from 'vitest';
import { bytes, type Suite, textOf } from './stage.js';

const count = 20;
const names = Array.from({ length: count }, (_, i) => `n${i}`);

/** What the store keeps, whatever becomes of its servers, and what it says when it keeps nothing. */
export function durabilityCases({ hazard, quirks }: Suite): void {
  hazard('what was acknowledged before the store was killed is there when it is back with its data', async (stage) => {
    const server = await stage.server();
    const backend = stage.over(server);
    const registered = await Promise.all(
      names.map((name) => lastValueFrom(backend.register({ kind: 'election', name }))),
    );
    expect(registered).toEqual(names.map(() => true));
    const versions = new Map<string, bigint | undefined>();
    for (const name of names) {
      const { current } = await lastValueFrom(backend.swap(name, 'absent', bytes(name)));
      versions.set(name, current?.version);
    }
    await server.stop();
    await server.start({ keepData: true });
    const after = stage.over(server);
    expect(await kept(after, names)).toEqual(names);
    for (const name of names) {
      expect((await firstValueFrom(after.cell(name)))?.version).toBe(versions.get(name));
    }
    expect(await firstValueFrom(after.registered('election'))).toEqual(new Set(names));
    const written = await lastValueFrom(after.swap('n0', 'any', bytes('again')));
    expect([...versions.values()]).not.toContain(written.current?.version);
  });

  hazard('what was acknowledged is there after a fail-over of the store, if so declared', async (stage) => {
    if (!quirks.declares.consistentFailover) {
      expect(stage.backend().characteristics.consistentFailover).toBe(false);
      return;
    }
    const { startReplicated } = quirks;
    if (startReplicated === undefined)
      throw new Error('consistentFailover is declared, and nothing shows it: the quirks lack startReplicated');
    const store = stage.kept(await startReplicated.call(quirks));
    const backend = stage.over(store);
    const { grant, held } = await stage.hold(backend, 'ledger', { waitMs: 3 * stage.soonMs });
    held.unsubscribe();
    await store.isolate();
    const writing = names.map((name) => stage.probe(backend.swap(name, 'absent', bytes(name))));
    // Those that nothing has come of by then are not acknowledged.
    const limit = new Promise((passed) => setTimeout(passed, stage.options.ttlMs / 4));
    await Promise.race([limit, Promise.allSettled(writing.map((write) => write.end('the acknowledgement')))]);
    const acknowledged = names.filter((_, i) => writing[i]?.values[0]?.swapped === true);
    await store.failOver();
    const after = stage.over(store);
    const next = await stage.hold(after, 'ledger', { waitMs: 6 * stage.soonMs });
    expect(next.grant.token).toBeGreaterThan(grant.token);
    expect(await kept(after, acknowledged)).toEqual(acknowledged);
  });

  hazard('what the store refuses for long is told on faults$, and ends nothing', async (stage) => {
    const server = await stage.server();
    const backend = stage.over(server);
    const faults = stage.probe(backend.faults$);
    const { grant, held } = await stage.hold(backend, 'ledger');
    if (server.refuse === undefined) {
      stage.notShown('that a lasting refusal is told (its quirks have no refuse)');
      return;
    }
    const allow = await server.refuse();
    const waiting = stage.probe(lock(backend, 'late'));
    const fault = await faults.first('the fault', stage.promptMs);
    expect(fault).toBeInstanceOf(Unavailable);
    expect([waiting.hasEnded, held.hasEnded, grant.isValid()]).toEqual([false, false, true]);
    await allow();
    await waiting.first('the lock');
  });

  hazard('a store that is not reached is named by its address, and its password by nobody', async (stage) => {
    const { backend, secret } = await quirks.unreachable({ ...stage.options, failFastMs: 500 });
    await using _backend = backend;
    const error = await stage.probe(lock(backend, 'ledger')).failure('nobody answers');
    expect(error).toBeInstanceOf(ConnectionRefused);
    expect((error as ConnectionRefused).address).toMatch(quirks.declares.distributed ? /^.+:\d+/ : /./);
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause)
      expect(`${cause.message}`).not.toContain(secret);
  });
}

/** Those of the cells that hold what was written. */
async function kept(backend: Backend, keys: readonly string[]): Promise<readonly string[]> {
  const held = await Promise.all(
    keys.map(async (key) => {
      const cell = await firstValueFrom(backend.cell(key));
      return cell !== undefined && textOf(cell.value) === key;
    }),
  );
  return keys.filter((_, i) => held[i]);
}
