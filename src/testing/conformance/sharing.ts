import {
  type Grant,
  holders,
  lock,
  lockAll,
  PermitsMismatch,
  readLock,
  semaphore,
  withPermit,
  writeLock,
} from 'conclave';
import { isSome } from 'fp-ts/lib/Option.js';
import { firstValueFrom, type Observable, timer } from 'rxjs';
import { expect } from 'vitest';
import type { Probe } from './probe.js';
import type { Stage, Suite } from './stage.js';

/** Locks that several hold: readers beside readers, so many of a semaphore, several locks at once. */
export function sharingCases({ hazard }: Suite): void {
  /** How often it was held at the same moment, at most, by the order in which this process was told. */
  const counted = () => {
    let now = 0;
    let most = 0;
    return {
      begin: (): void => {
        now += 1;
        most = Math.max(most, now);
      },
      end: (): void => {
        now -= 1;
      },
      most: () => most,
    };
  };
  const waiting = async (stage: Stage, source: Observable<Grant>, inLine: number): Promise<Probe<Grant>> => {
    const probe = stage.probe(source);
    await stage.inLine('ledger', inLine);
    return probe;
  };

  hazard('readers read beside each other, and holders shows all of them', async (stage) => {
    const [here, there] = [stage.backend(), stage.backend()];
    const readers = [here, here, there].map((backend, i) => stage.probe(readLock(backend, 'ledger', { data: i })));
    const grants = await Promise.all(readers.map((reader) => reader.first('the read lock')));
    expect(new Set(grants.map(({ token }) => token)).size).toBe(3);
    const seen = await stage.probe(holders(there, 'ledger')).now(({ length }) => length === 3, 'three holders');
    expect(new Set(seen.map(({ data }) => isSome(data) && data.value))).toEqual(new Set([0, 1, 2]));
    expect(seen.map(({ mode }) => mode)).toEqual(['shared', 'shared', 'shared']);
  });

  hazard('a writer waits for every reader, and readers who come later wait for it', async (stage) => {
    const [here, there] = [stage.backend(), stage.backend()];
    const first = stage.probe(readLock(here, 'ledger'));
    await first.first('the first read lock');
    const second = stage.probe(readLock(there, 'ledger'));
    await second.first('the second read lock');
    const writer = await waiting(stage, writeLock(here, 'ledger'), 3);
    const late = await waiting(stage, readLock(there, 'ledger'), 4);
    first.unsubscribe();
    await stage.inLine('ledger', 3);
    expect([writer.values.length, late.values.length]).toEqual([0, 0]);
    second.unsubscribe();
    const written = await writer.first('the write lock', stage.promptMs);
    expect(late.values).toEqual([]);
    writer.unsubscribe();
    const read = await late.first('the late read lock', stage.promptMs);
    expect(read.token).toBeGreaterThan(written.token);
  });

  hazard('readers who wait behind one writer are let in together', async (stage) => {
    const [here, there] = [stage.backend(), stage.backend()];
    const { held } = await stage.hold(here, 'ledger');
    const readers: Probe<Grant>[] = [];
    for (let i = 0; i < 4; i++) readers.push(await waiting(stage, readLock(i % 2 ? here : there, 'ledger'), i + 2));
    held.unsubscribe();
    await Promise.all(readers.map((reader) => reader.first('the read lock', stage.promptMs)));
  });

  hazard('a semaphore admits so many, and one more for each who leaves, in order', async (stage) => {
    const backends = [stage.backend(), stage.backend()];
    const probes: Probe<Grant>[] = [];
    for (let i = 0; i < 5; i++)
      probes.push(await waiting(stage, semaphore(backends[i % 2] ?? stage.watcher, 'ledger', 3), i + 1));
    await Promise.all(probes.slice(0, 3).map((probe) => probe.first('a permit')));
    expect(probes.map(({ values }) => values.length)).toEqual([1, 1, 1, 0, 0]);
    expect(await firstValueFrom(holders(stage.watcher, 'ledger'))).toHaveLength(3);
    probes[1]?.unsubscribe();
    await probes[3]?.first('the permit of the one who left', stage.promptMs);
    expect(probes[4]?.values).toEqual([]);
    probes[0]?.unsubscribe();
    await probes[4]?.first('the next permit', stage.promptMs);
  });

  hazard('who asks for a semaphore with another number is refused with both, and leaves nothing', async (stage) => {
    const [here, there] = [stage.backend(), stage.backend()];
    await stage.probe(semaphore(here, 'ledger', 3)).first('a permit');
    const refused = await stage.probe(semaphore(there, 'ledger', 4)).failure('it was refused');
    expect(refused).toBeInstanceOf(PermitsMismatch);
    expect(refused).toMatchObject({ semaphore: 'ledger', permits: 4, otherPermits: 3 });
    await stage.inLine('ledger', 1);
    await stage.probe(semaphore(there, 'ledger', 3)).first('a permit, by the same number');
  });

  hazard('work under a semaphore never runs more often at once than it has permits', async (stage) => {
    const backends = [stage.backend(), stage.backend(), stage.backend()];
    const { begin, end, most } = counted();
    const works = Array.from({ length: 9 }, (_, i) =>
      stage.probe(
        withPermit(backends[i % 3] ?? stage.watcher, 'ledger', 2, () => {
          begin();
          return firstValueFrom(timer(10)).finally(end);
        }),
      ),
    );
    await Promise.all(works.map((work) => work.completion('the work', 3 * stage.soonMs)));
    // Where one is admitted after the other, the first may be done by then. That there is room for both is shown above.
    expect(most()).toBeLessThanOrEqual(2);
  });

  hazard('Deadlock: two who take the same locks in opposite orders all get them, all or none', async (stage) => {
    const [here, there] = [stage.backend(), stage.backend()];
    const names = ['ledger', 'journal', 'balance'];
    const { begin, end, most } = counted();
    const rounds = async (own: readonly string[], backend: typeof here): Promise<void> => {
      for (let round = 0; round < 10; round++) {
        const held = stage.probe(lockAll(backend, own));
        const { grants } = await held.first('all the locks', 3 * stage.soonMs);
        begin();
        expect([...grants.keys()].sort()).toEqual([...names].sort());
        end();
        held.unsubscribe();
      }
    };
    await Promise.all([rounds(names, here), rounds([...names].reverse(), there)]);
    expect(most()).toBe(1);
  });

  hazard('the loss of one of several locks is told as the loss of all, and the others are released', async (stage) => {
    const [here, there] = [stage.backend(), stage.backend()];
    const held = stage.probe(lockAll(here, ['ledger', 'journal']));
    const all = await held.first('both locks');
    const { id = '' } = all.grants.get('journal') ?? {};
    expect(await firstValueFrom(there.evict({ kind: 'lock', name: 'journal' }, id))).toBe(true);
    expect(await held.failure('the loss')).toMatchObject({ _tag: 'LockLost', lock: 'journal', reason: 'evicted' });
    expect([all.isValid(), all.signal.reason]).toMatchObject([false, { lock: 'journal' }]);
    await stage.hold(there, 'ledger', { waitMs: stage.soonMs });
  });

  hazard('what is held for too long is told as lost, and then the next is admitted', async (stage) => {
    const [here, there] = [stage.backend(), stage.backend()];
    const held = stage.probe(lock(here, 'ledger', { maxHoldMs: 300 }));
    const grant = await held.first('the lock');
    const next = stage.probe(lock(there, 'ledger'));
    expect(await held.failure('the loss')).toMatchObject({ _tag: 'LockLost', reason: 'held too long' });
    expect(grant.isValid()).toBe(false);
    await next.first('the lock, given up', stage.promptMs);
    expect((next.timesNs[0] ?? 0n) > (held.endedAtNs ?? 0n)).toBe(true);
  });
}
