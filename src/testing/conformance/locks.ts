import { breakLock, Contended, holders, LockLost, LockNotAcquired, lock, tryLock, withLock } from 'conclave';
import { isLeft, isRight } from 'fp-ts/lib/Either.js';
import { none, some } from 'fp-ts/lib/Option.js';
import { firstValueFrom, lastValueFrom, NEVER, Observable } from 'rxjs';
import { expect } from 'vitest';
import type { Suite } from './stage.js';

export function lockCases({ hazard }: Suite): void {
  hazard('two subscriptions of one process do not share a lock', async (stage) => {
    const backend = stage.backend();
    const lock$ = lock(backend, 'ledger');
    const first = stage.probe(lock$);
    const grant = await first.first('the lock');
    const second = stage.probe(lock$);
    await stage.inLine('ledger', 2);
    expect(second.values).toEqual([]);
    first.unsubscribe();
    const next = await second.first('the lock, released');
    expect(next.token).toBeGreaterThan(grant.token);
    expect([grant.isValid(), next.isValid()]).toEqual([false, true]);
  });

  hazard('a failed tryLock leaves nothing in line', async (stage) => {
    const [here, there] = [stage.backend(), stage.backend()];
    const { held, grant } = await stage.hold(here, 'ledger');
    for (const backend of [here, there]) {
      const failed = await lastValueFrom(tryLock(backend, 'ledger'));
      expect(isLeft(failed) && failed.left).toBeInstanceOf(Contended);
    }
    expect((await stage.entries('ledger')).map(({ id }) => id)).toEqual([grant.id]);
    const waiter = stage.probe(lock(there, 'ledger'));
    await stage.inLine('ledger', 2);
    held.unsubscribe();
    await waiter.first('the lock, with nobody else in line', stage.promptMs);
  });

  hazard('a tryLock that succeeds holds until unsubscribed', async (stage) => {
    const [here, there] = [stage.backend(), stage.backend()];
    const trying = stage.probe(tryLock(here, 'ledger', { data: 'mine' }));
    const held = await trying.first('the outcome');
    expect(isRight(held) && held.right.isValid()).toBe(true);
    expect(isLeft(await lastValueFrom(tryLock(there, 'ledger')))).toBe(true);
    trying.unsubscribe();
    await stage.hold(there, 'ledger');
  });

  hazard('a tryLock right after the release does not stumble over it', async (stage) => {
    const backend = stage.backend();
    for (let round = 0; round < 10; round++) {
      const { held } = await stage.hold(backend, 'ledger');
      held.unsubscribe();
      const trying = stage.probe(tryLock(backend, 'ledger'));
      expect({ round, outcome: await trying.first('the outcome') }).toMatchObject({
        round,
        outcome: { _tag: 'Right' },
      });
      trying.unsubscribe();
    }
  });

  hazard('who waited for waitMs in vain leaves nothing in line', async (stage) => {
    const [here, there] = [stage.backend(), stage.backend()];
    const { held, grant } = await stage.hold(here, 'ledger');
    for (const waitMs of [0, 150]) {
      const error = await stage.probe(lock(there, 'ledger', { waitMs })).failure('it was not acquired');
      expect(error).toBeInstanceOf(LockNotAcquired);
      expect(error).toMatchObject({ lock: 'ledger', waitMs });
      expect((await stage.inLine('ledger', 1)).map(({ id }) => id)).toEqual([grant.id]);
    }
    held.unsubscribe();
    await stage.hold(there, 'ledger', { waitMs: stage.soonMs });
  });

  hazard('who unsubscribes while waiting leaves the line', async (stage) => {
    const [here, there] = [stage.backend(), stage.backend()];
    const { held } = await stage.hold(here, 'ledger');
    const quitter = stage.probe(lock(there, 'ledger'));
    await stage.inLine('ledger', 2);
    const patient = stage.probe(lock(there, 'ledger'));
    await stage.inLine('ledger', 3);
    quitter.unsubscribe();
    await stage.inLine('ledger', 2);
    held.unsubscribe();
    await patient.first('the lock', stage.promptMs);
    expect(quitter.values).toEqual([]);
  });

  hazard('who unsubscribes while the request to stand in line is under way leaves nothing', async (stage) => {
    const [here, there] = [stage.backend(), stage.backend()];
    await stage.hold(here, 'warm');
    for (let round = 0; round < 20; round++) {
      const hasty = stage.probe(lock(here, 'ledger'));
      if (round % 2 === 1) await new Promise((passed) => setTimeout(passed, round / 4));
      hasty.unsubscribe();
    }
    const next = stage.probe(lock(there, 'ledger'));
    const { id } = await next.first('the lock', stage.promptMs);
    expect((await stage.inLine('ledger', 1)).map((entry) => entry.id)).toEqual([id]);
  });

  hazard('subscribing again queues behind the release, and behind those who waited', async (stage) => {
    const [here, there] = [stage.backend(), stage.backend()];
    const first = await stage.hold(here, 'ledger');
    first.held.unsubscribe();
    const second = await stage.hold(here, 'ledger');
    expect(second.grant.token).toBeGreaterThan(first.grant.token);
    const rival = stage.probe(lock(there, 'ledger'));
    await stage.inLine('ledger', 2);
    second.held.unsubscribe();
    const third = stage.probe(lock(here, 'ledger'));
    const rivals = await rival.first('the lock for who waited');
    await stage.inLine('ledger', 2);
    expect(third.values).toEqual([]);
    rival.unsubscribe();
    expect((await third.first('the lock again')).token).toBeGreaterThan(rivals.token);
  });

  hazard('who holds a broken lock is told, and the next is admitted', async (stage) => {
    const { grant, held } = await stage.hold(stage.backend(), 'ledger');
    const next = stage.probe(lock(stage.backend(), 'ledger'));
    await stage.inLine('ledger', 2);
    expect(await lastValueFrom(breakLock(stage.watcher, 'ledger'))).toBe(true);
    const error = await held.failure('the lock is broken');
    expect(error).toBeInstanceOf(LockLost);
    expect(error).toMatchObject({ lock: 'ledger', token: grant.token, reason: 'evicted' });
    expect([grant.isValid(), grant.signal.aborted]).toEqual([false, true]);
    const { token } = await next.first('the lock for the next');
    expect(token).toBeGreaterThan(grant.token);
    next.unsubscribe();
    await stage.inLine('ledger', 0);
    expect(await lastValueFrom(breakLock(stage.watcher, 'ledger'))).toBe(false);
  });

  hazard('a release that comes after the lock was broken frees nobody else', async (stage) => {
    const { grant, held } = await stage.hold(stage.backend(), 'ledger');
    const second = stage.probe(lock(stage.backend(), 'ledger'));
    await stage.inLine('ledger', 2);
    const third = stage.probe(lock(stage.backend(), 'ledger'));
    await stage.inLine('ledger', 3);
    const broken = lastValueFrom(stage.watcher.evict({ kind: 'lock', name: 'ledger' }, grant.id));
    held.unsubscribe();
    await broken;
    const next = await second.first('the lock for the second');
    expect((await stage.inLine('ledger', 2)).map(({ id }) => id)[0]).toBe(next.id);
    expect([next.isValid(), third.values.length]).toEqual([true, 0]);
  });

  hazard('holders are told with their data, without taking part', async (stage) => {
    const seen = stage.probe(holders(stage.watcher, 'ledger'));
    expect(await seen.first('nobody')).toEqual([]);
    const first = await stage.hold(stage.backend(), 'ledger', { data: { job: 1 } });
    await seen.now(({ length }) => length === 1, 'the holder');
    expect(seen.last).toMatchObject([{ id: first.grant.id, token: first.grant.token, data: some({ job: 1 }) }]);
    const second = stage.probe(lock(stage.backend(), 'ledger'));
    await stage.inLine('ledger', 2);
    first.held.unsubscribe();
    const { id } = await second.first('the lock');
    await seen.now((held) => held[0]?.id === id, 'the next holder');
    expect(seen.last).toMatchObject([{ id, data: none }]);
  });

  hazard('withLock releases after the work has been torn down, not before', async (stage) => {
    const [here, there] = [stage.backend(), stage.backend()];
    let tornDownNs: bigint | undefined;
    const work = new Observable<number>((subscriber) => {
      subscriber.next(1);
      return () => {
        tornDownNs = process.hrtime.bigint();
      };
    });
    const working = stage.probe(withLock(here, 'ledger', () => work));
    await working.first('the work under way');
    const rival = stage.probe(lock(there, 'ledger'));
    await stage.inLine('ledger', 2);
    working.unsubscribe();
    await rival.first('the lock for the rival');
    expect(tornDownNs).toBeLessThan(rival.timesNs[0] ?? 0n);
  });

  hazard('withLock releases when its promise has settled, not when it is unsubscribed', async (stage) => {
    const [here, there] = [stage.backend(), stage.backend()];
    let settle: () => void = () => undefined;
    const working = stage.probe(
      withLock(here, 'ledger', async ({ isValid }) => {
        await new Promise<void>((settled) => {
          settle = settled;
        });
        return isValid();
      }),
    );
    await stage.inLine('ledger', 1);
    await stage.hold(here, 'what was asked after it and is answered after it');
    working.unsubscribe();
    const rival = stage.probe(lock(there, 'ledger'));
    await stage.inLine('ledger', 2);
    // What was asked after a release would be answered after it.
    await stage.hold(here, 'another');
    await stage.hold(there, 'yet another');
    expect(await stage.inLine('ledger', 2)).toHaveLength(2);
    expect(rival.values).toEqual([]);
    settle();
    await rival.first('the lock for the rival');
  });

  hazard('withLock releases when the work completes or fails, and tells its outcome', async (stage) => {
    const backend = stage.backend();
    const done = withLock(backend, 'ledger', async ({ token }) => token);
    const first = await lastValueFrom(done);
    const failed = stage.probe(withLock(backend, 'ledger', () => Promise.reject(new RangeError('asked to'))));
    expect(await failed.failure('the work failed')).toBeInstanceOf(RangeError);
    const thrown = stage.probe(
      withLock(backend, 'ledger', () => {
        throw new TypeError('asked to');
      }),
    );
    expect(await thrown.failure('the work threw')).toBeInstanceOf(TypeError);
    const { grant } = await stage.hold(stage.backend(), 'ledger', { waitMs: stage.soonMs });
    expect(grant.token).toBeGreaterThan(first);
  });

  hazard('a lock that is lost ends the work under it', async (stage) => {
    let isTornDown = false;
    const working = stage.probe(
      withLock(stage.backend(), 'ledger', ({ signal }) => {
        signal.addEventListener('abort', () => {
          isTornDown = true;
        });
        return NEVER;
      }),
    );
    await stage.inLine('ledger', 1);
    expect(await firstValueFrom(breakLock(stage.watcher, 'ledger'))).toBe(true);
    expect(await working.failure('the lock is broken')).toBeInstanceOf(LockLost);
    expect(isTornDown).toBe(true);
  });

  hazard('who releases is told when the store has it, and whether it was held until then', async (stage) => {
    const backend = stage.backend();
    for (let round = 0; round < 5; round++) {
      const { grant, held } = await stage.hold(backend, 'ledger');
      expect(await lastValueFrom(grant.release())).toBe(true);
      expect(await stage.entries('ledger')).toEqual([]);
      await held.completion('it is released');
      expect(await lastValueFrom(grant.release())).toBe(true);
    }
    const { grant, held } = await stage.hold(backend, 'ledger');
    expect(await lastValueFrom(breakLock(stage.watcher, 'ledger'))).toBe(true);
    await held.failure('it is broken');
    expect(await lastValueFrom(grant.release())).toBe(false);
  });

  hazard('the signal of a grant aborts when it is released', async (stage) => {
    const { grant, held } = await stage.hold(stage.backend(), 'ledger');
    expect([grant.signal.aborted, grant.isValid()]).toEqual([false, true]);
    held.unsubscribe();
    expect([grant.signal.aborted, grant.isValid()]).toEqual([true, false]);
  });
}
