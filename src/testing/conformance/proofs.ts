import { type Backend, createGroup, LockLost, lock, type Session, SessionLost } from 'conclave';
import { monotonicScheduler } from 'conclave/backend';
import { asyncScheduler, type SchedulerAction, type SchedulerLike, type Subscription } from 'rxjs';
import { expect } from 'vitest';
import { marker } from './repeats.js';
import { bytes, type Suite } from './stage.js';
import { sessionIdOf } from './within-process.js';

const isLost = ({ state }: Session): boolean => state === 'lost';

/** What a session may be relied on for: when it was proved, for how long, and what ends it. */
export function proofCases({ hazard }: Suite): void {
  hazard('a renewal proves when it was sent, not when its answer came', async (stage) => {
    const link = await stage.link();
    const { ttlMs } = stage.options;
    const backend = stage.over(link, { renewEveryMs: ttlMs / 10, requestTimeoutMs: ttlMs * 0.6 });
    const { held } = await stage.hold(backend, 'ledger');
    const rival = stage.probe(lock(stage.backend(), 'ledger'));
    await stage.inLine('ledger', 2);
    link.delayReplies(ttlMs / 5);
    await passes(ttlMs);
    expect(held.hasEnded).toBe(false);
    // What it hears last is a late answer.
    link.silence();
    await passes(0.3 * ttlMs);
    link.cut();
    expect(await held.failure('the lock is lost')).toBeInstanceOf(LockLost);
    await rival.first('the lock for the rival');
    expect(held.endedAtNs).toBeLessThan(rival.timesNs[0] ?? 0n);
  });

  hazard('opening a session proves when that was sent, not when its answer came', async (stage) => {
    const link = await stage.link();
    const { ttlMs } = stage.options;
    link.delayReplies(ttlMs / 8);
    const backend = stage.over(link, { renewEveryMs: ttlMs * 0.6, requestTimeoutMs: ttlMs * 0.3 });
    const states = stage.probe(backend.session$);
    await states.now(({ state }) => state === 'live', 'the session');
    // Only the opening is slow: what comes afterwards must be done before the first renewal.
    link.delayReplies(0);
    const line = stage.line('ledger');
    await stage.enter(backend, 'ledger', { payload: bytes(marker) }).first('its place');
    await line.now(({ length }) => length === 1, 'the entry');
    link.cut();
    await line.now(({ length }) => length === 0, 'the end of the entry, with its session');
    const lostAtNs = states.timesNs[states.values.findIndex(isLost)];
    expect(lostAtNs, 'the loss, told before').toBeLessThan(line.timesNs.at(-1) ?? 0n);
  });

  hazard('who gives up what the store still keeps frees it at once, and prolongs nothing', async (stage) => {
    const link = await stage.link();
    const backend = stage.over(link, { giveUpAt: 'suspended' });
    const { held } = await stage.hold(backend, 'ledger');
    const rival = stage.probe(lock(stage.backend(), 'ledger'));
    await stage.inLine('ledger', 2);
    link.mute();
    expect(await held.failure('the lock is given up', stage.expiryMs)).toBeInstanceOf(LockLost);
    await link.heal();
    await rival.first('the lock for the rival', stage.options.ttlMs / 2);
  });

  hazard('a session that the store ends is told to be lost by it, not first at the deadline', async (stage) => {
    const server = await stage.server();
    const backend = stage.over(server);
    const { held } = await stage.hold(backend, 'ledger');
    const states = stage.probe(backend.session$);
    await server.expire(backend);
    const lost = await states.ever(isLost, 'the loss of the session', stage.promptMs);
    const cause = lost.state === 'lost' ? lost.cause : undefined;
    expect(cause instanceof SessionLost && cause.byStore, String(cause)).toBe(true);
    expect(await held.failure('the lock is lost')).toBeInstanceOf(LockLost);
    await stage.hold(stage.over(server), 'ledger', { waitMs: stage.soonMs });
  });

  hazard('a connection that breaks is told of at once, not first by a renewal', async (stage) => {
    const link = await stage.link();
    const { ttlMs } = stage.options;
    const backend = stage.over(link, { renewEveryMs: ttlMs * 0.6, requestTimeoutMs: ttlMs * 0.3 });
    const states = stage.probe(backend.session$);
    await stage.hold(backend, 'ledger');
    await link.reset();
    await states.ever(({ state }) => state === 'suspended', 'the suspended session', ttlMs / 4);
    await states.now(({ state }) => state === 'live', 'the session alive again');
  });

  hazard('two sessions are never one', async (stage) => {
    const backends = [stage.backend(), stage.backend(), stage.backend()];
    const ids = await Promise.all(backends.map(sessionIdOf));
    expect(new Set(ids).size).toBe(3);
    await backends[0]?.close();
    const { grant } = await stage.hold(backends[1] as Backend, 'ledger');
    await backends[2]?.close();
    expect([grant.isValid(), (await stage.entries('ledger')).length]).toEqual([true, 1]);
  });

  hazard('time is that of the scheduler that was given', async (stage) => {
    const ttlMs = 3 * stage.options.ttlMs;
    const scheduler = twiceAsFast();
    const link = await stage.link();
    const { held, grant } = await stage.hold(stage.over(link, { scheduler, ttlMs }), 'ledger');
    await passes(0.75 * ttlMs);
    expect([held.hasEnded, grant.isValid()]).toEqual([false, true]);
    const rival = stage.probe(lock(stage.backend(), 'ledger'));
    await stage.inLine('ledger', 2);
    link.cut();
    await rival.first('the lock for the rival', stage.quirks.hasOwnClock ? 3 * stage.soonMs : 0.75 * ttlMs);
    expect(held.endedAtNs).toBeLessThan(rival.timesNs[0] ?? 0n);
  });

  hazard('a store that is not there yet is waited for', async (stage) => {
    const server = await stage.server();
    await server.stop();
    const backend = stage.over(server);
    const states = stage.probe(backend.session$);
    const creating = stage.probe(createGroup(backend, 'crew'));
    await states.now((session) => session.state === 'connecting' && session.attempt > 1, 'a second attempt');
    await server.start();
    await creating.completion('the creation', 3 * stage.soonMs);
  });
}

/** A clock that is twice as fast as the monotonic one, and far from it. */
function twiceAsFast(): SchedulerLike {
  return {
    now: () => 1e7 + 2 * monotonicScheduler.now(),
    schedule: <T>(work: (this: SchedulerAction<T>, state: T) => void, delayMs = 0, state?: T): Subscription =>
      asyncScheduler.schedule(work as (this: SchedulerAction<T>, state?: T) => void, delayMs / 2, state),
  };
}

/** For what is true as long as time passes: there is no event to wait for. */
function passes(ms: number): Promise<void> {
  return new Promise((passed) => setTimeout(passed, ms));
}
