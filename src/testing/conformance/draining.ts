import {
  BackendClosed,
  type Grant,
  leadership,
  lock,
  members,
  Released,
  status,
  withLeadership,
  withLock,
} from 'conclave';
import { filter, interval, map, NEVER, timer } from 'rxjs';
import { expect } from 'vitest';
import { consistsOf, type Suite } from './stage.js';

/** Longer than any drain of these cases: what ends before was not cut off by it. */
const LONG = { drainMs: 60_000 };

export function drainingCases({ hazard }: Suite): void {
  hazard('work in progress outlives a session that is not renewed, and the next follows at once', async (stage) => {
    const backend = stage.backend();
    // Longer than a session lives that is not renewed.
    const jobMs = 1.5 * stage.options.ttlMs;
    const grants: Grant[] = [];
    const job = (grant: Grant) => {
      grants.push(grant);
      return timer(jobMs).pipe(map(() => [grant.isValid(), grant.signal.aborted]));
    };
    const working = stage.probe(withLock(backend, 'ledger', job));
    const leading = stage.probe(withLeadership(backend, 'chief', job));
    await stage.inLine('ledger', 1);
    await stage.inLine('chief', 1, 'election');
    const [next, nextLeader] = [
      stage.probe(lock(stage.backend(), 'ledger')),
      stage.probe(leadership(stage.backend(), 'chief')),
    ];
    await stage.inLine('ledger', 2);
    await stage.inLine('chief', 2, 'election');
    const closed = backend.close(LONG);
    expect(await working.first('the end of the work', jobMs + stage.soonMs)).toEqual([true, false]);
    expect(await leading.first('the end of the work of the leader', jobMs + stage.soonMs)).toEqual([true, false]);
    await next.first('the lock', stage.promptMs);
    await nextLeader.now((leads) => leads, 'the lead', stage.promptMs);
    expect(grants.map(({ draining }) => draining.reason)).toEqual(grants.map(() => expect.any(BackendClosed)));
    expect(grants.map(({ signal }) => signal.reason)).toEqual(grants.map(() => expect.any(Released)));
    await closed;
  });

  hazard('who waits leaves the line when its backend drains, a leader steps down, and nobody enters', async (stage) => {
    const backend = stage.backend();
    const { held } = await stage.hold(backend, 'busy');
    await stage.hold(stage.watcher, 'ledger');
    const waiting = [stage.probe(lock(backend, 'ledger')), stage.probe(withLock(backend, 'ledger', () => NEVER))];
    await stage.inLine('ledger', 3);
    const leading = stage.probe(leadership(backend, 'chief'));
    await leading.now((leads) => leads, 'the lead');
    const nextLeader = stage.probe(leadership(stage.backend(), 'chief'));
    await stage.inLine('chief', 2, 'election');
    const closed = backend.close(LONG);
    for (const each of [...waiting, leading]) await each.completion('who does not work');
    expect(leading.values).toEqual([false, true, false]);
    await nextLeader.now((leads) => leads, 'the lead', stage.promptMs);
    await stage.inLine('ledger', 1);
    expect(await stage.probe(lock(backend, 'another')).failure('it drains')).toBeInstanceOf(BackendClosed);
    expect(held.hasEnded).toBe(false);
    held.unsubscribe();
    await closed;
  });

  hazard('a drain says so, and lets members be seen, until the last lock is released', async (stage) => {
    const backend = stage.backend();
    const { held, grant } = await stage.hold(backend, 'ledger');
    await stage.join(backend, 'crew', { id: 'a', create: true });
    const seen = stage.probe(members(stage.watcher, 'crew'));
    await seen.now(consistsOf('a'), 'the member');
    const states = stage.probe(status(backend).pipe(map(({ state }) => state)));
    const cells = stage.probe(backend.cell('config'));
    await cells.first('the cell');
    const closed = backend.close(LONG);
    // Who asks when it is over does not hurry it.
    const over = [backend.close(), backend[Symbol.asyncDispose]()];
    await states.now((state) => state === 'draining', 'the state');
    await stage.probe(timer(stage.options.ttlMs)).first('a lifetime', stage.options.ttlMs + stage.soonMs);
    expect([grant.isValid(), grant.signal.aborted, grant.draining.aborted]).toEqual([true, false, true]);
    expect([...(seen.last ?? [])]).toEqual(['a']);
    held.unsubscribe();
    await Promise.all([closed, ...over]);
    await seen.now(consistsOf(), 'nobody', stage.promptMs);
    await cells.completion('the cell');
    expect(states.values).toEqual(['live', 'draining', 'closed']);
  });

  hazard(
    'what is left at drainMs is aborted and torn down, and released without waiting for any expiry',
    async (stage) => {
      const backend = stage.backend();
      let isTornDown = false;
      const grants: Grant[] = [];
      const endless = stage.probe(
        withLock(backend, 'ledger', (grant) => {
          grants.push(grant);
          grant.signal.addEventListener('abort', () => {
            isTornDown = true;
          });
          return interval(10).pipe(filter(() => false));
        }),
      );
      await stage.inLine('ledger', 1);
      const next = stage.probe(lock(stage.backend(), 'ledger'));
      await stage.inLine('ledger', 2);
      await backend.close({ drainMs: 100 });
      await endless.completion('the work');
      expect([isTornDown, grants[0]?.signal.reason]).toEqual([true, expect.any(BackendClosed)]);
      await next.first('the lock', stage.promptMs);
    },
  );

  hazard('work of a leader is torn down and begun again with each lead, under a greater token', async (stage) => {
    const tokens: bigint[] = [];
    let running = 0;
    const working = stage.probe(
      withLeadership(stage.backend(), 'chief', ({ token, signal }) => {
        tokens.push(token);
        running++;
        signal.addEventListener('abort', () => {
          running--;
        });
        return NEVER;
      }),
    );
    for (let round = 1; round <= 3; round++) {
      const [mine] = await stage.inLine('chief', 1, 'election');
      if (mine === undefined) throw new Error('a line of one has one');
      await stage.probe(interval(5).pipe(filter(() => tokens.length === round))).first(`the work ${round}`);
      expect(running).toBe(1);
      await stage.probe(stage.watcher.evict({ kind: 'election', name: 'chief' }, mine.id)).first('the eviction');
    }
    await stage.probe(interval(5).pipe(filter(() => tokens.length === 4))).first('the last work');
    expect(tokens).toEqual([...tokens].sort((a, b) => Number(a - b)));
    expect(new Set(tokens).size).toBe(4);
    working.unsubscribe();
    await stage.inLine('chief', 0, 'election');
    expect([running, working.hasEnded]).toEqual([0, false]);
  });
}
