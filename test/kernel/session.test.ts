import { BehaviorSubject, defer, of, retry, Subject, throwError } from 'rxjs';
import { describe, expect, it, vi } from 'vitest';
import type { Session } from '../../src/backends/backend.js';
import {
  AuthenticationFailed,
  MissingPackage,
  PermissionDenied,
  SessionLost,
  Unavailable,
} from '../../src/backends/errors.js';
import type { Proof, Store } from '../../src/backends/store.js';
import { tellDueLosses } from '../../src/backends/validity.js';
import { chance, setUp } from './scripted-store.js';

const unavailable = (): Unavailable => new Unavailable('scripted', 'it', new Error('ECONNREFUSED'));
const about = (log: readonly string[], ...words: string[]): string[] =>
  log.filter((line) => words.some((word) => line.split(' ').includes(word)));
const states = (log: readonly string[]): string[] => log.filter((line) => /connecting|live|suspended|lost$/.test(line));

chance(0);

describe('the deadline', () => {
  it('is counted from when the session was asked for', () => {
    const { time, store, log, watchSession } = setUp();
    store.hold('renew');
    store.on('open', (call) => call.later(15, () => call.tell(store.session({ provedMs: call.sentMs }))));
    watchSession();
    time.pass(200);
    expect(states(log).slice(0, 5)).toEqual(['0 connecting', '15 live', '50 suspended', '94 lost', '94 connecting']);
  });

  it('is counted from when the last proved renewal was sent, not from its reply', () => {
    const { time, store, log, watchSession } = setUp();
    store.on('renew', (call) => {
      if (call.sentMs === 20) call.later(15, () => call.answer(call.sentMs));
    });
    watchSession();
    time.pass(113);
    expect(log).not.toContain('113 lost');
    expect(log.some((line) => line.endsWith('lost'))).toBe(false);
    time.pass(1);
    expect(log).toContain('114 lost');
  });

  it('is counted from what the store says is proved, not from the renewal that says so', () => {
    const { time, store, log, watchSession } = setUp();
    store.on('renew', (call) => {
      if (call.sentMs <= 40) call.answer(call.sentMs - 15);
    });
    watchSession();
    time.pass(200);
    expect(log.find((line) => line.endsWith('lost'))).toBe('119 lost');
  });

  it('is counted from what the session has proved by itself, asked when it is compared with the clock', () => {
    const { time, store, log, watchSession } = setUp();
    let provedMs = 0;
    store.hold('renew');
    store.on('open', (call) =>
      call.tell(Object.assign(store.session(), { proof: (): Proof => ({ provedMs, leastAheadMs: 0 }) })),
    );
    watchSession();
    time.pass(80);
    provedMs = 70;
    time.pass(83);
    expect(log.some((line) => line.endsWith('lost'))).toBe(false);
    time.pass(1);
    expect(log).toContain('164 lost');
    // What is proved when it is over revives nothing.
    provedMs = 160;
    expect(states(log).filter((line) => line.endsWith('lost'))).toHaveLength(1);
  });

  it('is at once where the session has been given up by whoever renews it', () => {
    const { time, store, log, watchSession } = setUp();
    let proof: Proof | undefined = { provedMs: 0, leastAheadMs: 0 };
    store.on('open', (call) => call.tell(Object.assign(store.session(), { proof: () => proof })));
    watchSession();
    time.pass(10);
    proof = undefined;
    expect(log.some((line) => line.endsWith('lost'))).toBe(false);
    tellDueLosses();
    expect(log).toContain('10 lost');
  });

  it('does not move for a renewal that proves nothing', () => {
    const { time, store, log, watchSession } = setUp();
    store.on('renew', (call) => call.done());
    watchSession();
    time.pass(200);
    expect(states(log).slice(0, 3)).toEqual(['0 live', '94 lost', '94 connecting']);
    expect(store.times('renew').slice(0, 5)).toEqual([20, 40, 60, 80, 119]);
  });

  it('does not move back for an older proof', () => {
    const { time, store, log, watchSession } = setUp();
    store.on('renew', (call) => call.answer(call.sentMs === 20 ? 20 : 5));
    watchSession();
    time.pass(200);
    expect(log.find((line) => line.endsWith('lost'))).toBe('114 lost');
  });

  it('is ttl times one minus drift, minus guard', () => {
    const { time, store, log, watchSession } = setUp({ drift: 0.1, guardMs: 10 });
    store.hold('renew');
    watchSession();
    time.pass(200);
    expect(log.find((line) => line.endsWith('lost'))).toBe('80 lost');
  });

  it('is counted with the ttl that the store has granted, be it shorter or longer', () => {
    for (const [ttlMs, lost] of [
      [60, '44 lost'],
      [200, '170 lost'],
    ] as const) {
      const { time, store, log, watchSession } = setUp({ drift: 0.1, guardMs: 10 });
      store.on('open', (call) => call.tell(store.session({ ttlMs })));
      store.hold('renew');
      watchSession();
      time.pass(200);
      expect(log.find((line) => line.endsWith('lost'))).toBe(lost);
    }
  });

  it('has passed at its very millisecond', () => {
    const { time, store, enter } = setUp();
    store.hold('renew');
    const { places } = enter();
    time.block(93);
    expect(places[0]?.isValid()).toBe(true);
    time.block(1);
    expect(places[0]?.isValid()).toBe(false);
    expect(places[0]?.signal.reason).toMatchObject({ cause: { reason: 'it was not renewed in time' } });
  });

  it('is not revived by a proof that arrives after it', () => {
    const { time, store, log, watchSession } = setUp();
    store.hold('renew');
    watchSession();
    time.pass(21);
    const late = store.last('renew');
    time.pass(73);
    expect(log).toContain('94 lost');
    const before = [...log];
    late.answer(late.sentMs);
    expect(log).toEqual(before);
    expect(late.isGone).toBe(true);
  });

  it('LateTimersDoNotReviveASession: a proof that is read after the deadline, but before its timer, loses it', () => {
    const { time, store, log, watchSession, enter } = setUp();
    store.hold('renew');
    watchSession();
    const { places } = enter();
    time.pass(21);
    time.block(100);
    store.last('renew').answer(20);
    expect(log).toContain('121 lost');
    expect(places[0]?.isValid()).toBe(false);
  });

  it('is told by anyone who asks for due losses when the timers are late', () => {
    const { time, store, log, watchSession } = setUp();
    store.hold('renew');
    watchSession();
    time.block(93);
    tellDueLosses();
    expect(states(log)).toEqual(['0 live']);
    time.block(1);
    tellDueLosses();
    expect(states(log)).toEqual(['0 live', '94 lost', '94 connecting']);
  });

  it('moves with each proof, for as long as the store answers', () => {
    const { time, log, watchSession } = setUp();
    watchSession();
    time.pass(10_000);
    expect(states(log)).toEqual(['0 live']);
  });

  it('has passed for a session that took longer than it to open: nothing is admitted in it', () => {
    const { time, store, log, watchSession, enter } = setUp();
    let opened = 0;
    store.on('open', (call) => {
      if (opened++ === 0) call.later(96, () => call.tell(store.session({ provedMs: call.sentMs })));
      else call.tell(store.session());
    });
    watchSession();
    enter();
    time.pass(97);
    expect(log.filter((line) => line.includes('admitted'))).toEqual([]);
    expect(states(log)).toEqual(['0 connecting', '96 connecting']);
    time.pass(20);
    expect(states(log).at(-1)).toMatch(/live/);
  });
});

describe('renewal', () => {
  it('goes on every renewEveryMs', () => {
    const { time, store, watchSession } = setUp();
    watchSession();
    time.pass(105);
    expect(store.times('renew')).toEqual([20, 40, 60, 80, 100]);
  });

  it('keeps its rhythm by the time it was sent, however slow the replies are', () => {
    const { time, store, watchSession } = setUp();
    store.on('renew', (call) => call.later(15, () => call.answer(call.sentMs)));
    watchSession();
    time.pass(105);
    expect(store.times('renew')).toEqual([20, 40, 60, 80, 100]);
  });

  it('starts renewEveryMs after the session was asked for, not after it was opened', () => {
    const { time, store, watchSession } = setUp();
    store.on('open', (call) => call.later(15, () => call.tell(store.session({ provedMs: call.sentMs }))));
    watchSession();
    time.pass(50);
    expect(store.times('renew')).toEqual([20, 40]);
  });

  it('follows at once on a reply that took longer than renewEveryMs, and never two at a time', () => {
    const { time, store, watchSession } = setUp();
    store.on('renew', (call) => call.later(25, () => call.answer(call.sentMs)));
    watchSession();
    time.pass(100);
    expect(store.times('renew')).toEqual([20, 45, 70, 95]);
  });

  it('that is unanswered for requestTimeoutMs suspends the session, and the next one makes it live', () => {
    const { time, store, log, watchSession } = setUp();
    store.on('renew', (call) => {
      if (call.sentMs !== 20) call.answer(call.sentMs);
    });
    watchSession();
    time.pass(60);
    expect(states(log)).toEqual(['0 live', '50 suspended', '54 live']);
    expect(store.times('renew')).toEqual([20, 54]);
    expect(store.all('renew')[0]?.isGone).toBe(true);
  });

  it('of a store that admits nobody yet is told with the session, until it admits', () => {
    const { time, store, backend } = setUp();
    const seen: Session[] = [];
    const barredMs = new BehaviorSubject(70);
    store.on('open', (call) => call.tell(store.session({ barredMs$: barredMs })));
    store.on('renew', (call) => (call.sentMs < 28 ? call.fail(unavailable()) : call.answer(call.sentMs)));
    backend.session$.subscribe((session) => seen.push(session));
    time.pass(60);
    barredMs.next(0);
    expect(seen).toEqual([
      { state: 'live', id: 's1', barredMs: 70 },
      { state: 'suspended', id: 's1', cause: expect.any(Unavailable) },
      { state: 'live', id: 's1', barredMs: 42 },
      { state: 'live', id: 's1' },
    ]);
    backend.close();
    expect(barredMs.observed).toBe(false);
  });

  it('of a store that admits nobody yet is told to those who come later with what is left of that', () => {
    const { time, store, backend } = setUp();
    store.on('open', (call) => call.tell(store.session({ barredMs$: new BehaviorSubject(70) })));
    const early: Session[] = [];
    backend.session$.subscribe((session) => early.push(session));
    const late = [10, 59.6, 30].map((ms) => {
      time.block(ms);
      let told: Session | undefined;
      backend.session$.subscribe((session) => {
        told = session;
      });
      return told;
    });
    expect(early).toEqual([{ state: 'live', id: 's1', barredMs: 70 }]);
    // The store has not said yet that it admits: until then it does not.
    expect(late).toEqual([60, 1, 1].map((barredMs) => ({ state: 'live', id: 's1', barredMs })));
  });

  it('of a store that admits again is not told while the session is in doubt', () => {
    const { store, log, watchSession } = setUp();
    const barredMs = new BehaviorSubject(70);
    store.on('open', (call) => call.tell(store.session({ barredMs$: barredMs })));
    watchSession();
    store.latest.link.next(false);
    barredMs.next(0);
    expect(states(log)).toEqual(['0 live', '0 suspended']);
  });

  it('that fails suspends the session, with the failure as cause, and is tried again soon', () => {
    const { time, store, backend } = setUp();
    const seen: Session[] = [];
    backend.session$.subscribe((session) => seen.push(session));
    const cause = unavailable();
    store.on('renew', (call) => (call.sentMs < 28 ? call.fail(cause) : call.answer(call.sentMs)));
    time.pass(60);
    expect(store.times('renew')).toEqual([20, 24, 28, 48]);
    expect(seen).toEqual([
      { state: 'live', id: 's1' },
      { state: 'suspended', id: 's1', cause },
      { state: 'live', id: 's1' },
    ]);
  });

  it('that fails with something unforeseen suspends the session, is reported, and nothing escapes', () => {
    const { time, store, backend, faults } = setUp();
    const seen: Session[] = [];
    backend.session$.subscribe((session) => seen.push(session));
    store.on('renew', (call) => call.fail(new RangeError('unforeseen')));
    time.pass(21);
    expect(seen.at(-1)).toMatchObject({
      state: 'suspended',
      cause: { _tag: 'Unavailable', cause: RangeError('unforeseen') },
    });
    expect(faults).toMatchObject([{ _tag: 'Unavailable', cause: RangeError('unforeseen') }]);
  });

  it('LateTimersDoNotReviveASession: none is sent when the deadline has passed', () => {
    const { time, store, log, watchSession } = setUp();
    watchSession();
    time.block(100);
    time.pass(20);
    expect(store.times('renew')).toEqual([]);
    expect(log).toContain('120 lost');
  });

  it('stops with the session', () => {
    const { time, store, watchSession } = setUp();
    watchSession();
    time.pass(30);
    store.latest.link.error(new SessionLost('s1', 'expired', true));
    time.pass(4);
    store.hold('open');
    time.pass(500);
    expect(store.times('renew').filter((ms) => ms > 30)).toEqual([]);
  });
});

describe('the link', () => {
  it('suspends the session when it breaks, and makes it live with the first renewal after it is back', () => {
    const { time, store, log, watchSession } = setUp();
    store.on('renew', (call) => call.later(3, () => call.answer(call.sentMs)));
    watchSession();
    time.pass(30);
    store.latest.link.next(false);
    time.pass(5);
    store.latest.link.next(true);
    time.pass(10);
    expect(states(log)).toEqual(['0 live', '30 suspended', '38 live']);
    expect(store.times('renew')).toEqual([20, 35]);
  });

  it('keeps the session suspended while it is down, whatever renewals say', () => {
    const { time, store, log, watchSession } = setUp();
    watchSession();
    time.pass(30);
    store.latest.link.next(false);
    time.pass(50);
    expect(states(log)).toEqual(['0 live', '30 suspended']);
    store.latest.link.next(true);
    time.pass(1);
    expect(states(log)).toEqual(['0 live', '30 suspended', '80 live']);
  });

  it('suspends once, however often it is told to be down', () => {
    const { time, store, log, watchSession } = setUp();
    watchSession();
    store.latest.link.next(false);
    store.latest.link.next(false);
    time.pass(1);
    expect(states(log)).toEqual(['0 live', '0 suspended']);
  });

  it('suspends a session that is opened without it', () => {
    const { time, store, log, watchSession } = setUp();
    store.on('open', (call) => call.tell(store.session({ linked: false })));
    watchSession();
    time.pass(1);
    expect(states(log).at(-1)).toBe('0 suspended');
  });

  it('does not renew for being told again that it is up', () => {
    const { time, store, watchSession } = setUp();
    watchSession();
    time.pass(5);
    store.latest.link.next(true);
    time.pass(20);
    expect(store.times('renew')).toEqual([20]);
  });
});

describe('giveUpAt: suspended', () => {
  it('gives up everything as soon as the link breaks', () => {
    const { time, store, log, enter, watchSession } = setUp({ giveUpAt: 'suspended' });
    watchSession();
    enter();
    time.pass(10);
    store.latest.link.next(false);
    expect(log.filter((line) => line.startsWith('10'))).toEqual([
      '10 suspended',
      '10 place aborted',
      '10 place PlaceLost',
      '10 lost',
      '10 connecting',
    ]);
  });

  it('gives up when a renewal is overdue', () => {
    const { time, store, log, watchSession } = setUp({ giveUpAt: 'suspended' });
    store.hold('renew');
    watchSession();
    time.pass(52);
    expect(states(log)).toEqual(['0 live', '50 suspended', '50 lost', '50 connecting']);
  });

  it('does not give up otherwise', () => {
    const { time, store, log, enter } = setUp({ giveUpAt: 'deadline' });
    const { places } = enter();
    time.pass(10);
    store.latest.link.next(false);
    time.pass(80);
    expect(places[0]?.isValid()).toBe(true);
    expect(log.filter((line) => line.includes('PlaceLost'))).toEqual([]);
  });
});

describe('a session the store has ended', () => {
  const expired = new SessionLost('s1', 'the administrator said so', true);

  it('is lost when its link says so, and the store is not told goodbye', () => {
    const { time, store, log, backend } = setUp();
    const seen: Session[] = [];
    backend.session$.subscribe((session) => seen.push(session));
    time.pass(10);
    store.latest.link.error(expired);
    expect(seen).toEqual([
      { state: 'live', id: 's1' },
      { state: 'lost', id: 's1', cause: expired },
      { state: 'connecting', attempt: 1, cause: expired },
    ]);
    expect(log).toEqual(['0 open', '10 cut']);
  });

  it('is lost when a renewal says so', () => {
    const { time, store, log, watchSession } = setUp();
    watchSession();
    store.on('renew', (call) => call.fail(expired));
    time.pass(21);
    expect(log.slice(-5)).toEqual(['0 live', '20 renew s1', '20 lost', '20 cut', '20 connecting']);
  });

  it('is lost when any act says so', () => {
    const { time, store, log, watchSession, enter } = setUp();
    store.on('enter', (call) => call.fail(expired));
    watchSession();
    enter();
    expect(log.slice(-5)).toEqual(['0 enter s1', '0 place PlaceLost', '0 lost', '0 cut', '0 connecting']);
    time.pass(1);
  });

  it('is lost when any stream says so', () => {
    const { store, log, watchSession, backend } = setUp();
    watchSession();
    store.on('entries', (call) => call.fail(expired));
    backend.entries({ kind: 'lock', name: 'l' }).subscribe({ error: () => log.push('error') });
    expect(log.slice(-4)).toEqual(['0 entries s1', '0 lost', '0 cut', '0 connecting']);
  });

  it('is lost when its link ends or fails for whatever reason, and what stands in it is taken away if possible', () => {
    for (const end of ['done', 'fail'] as const) {
      const { time, store, log, watchSession } = setUp();
      watchSession();
      time.pass(10);
      if (end === 'done') store.last('open').done();
      else store.last('open').fail(unavailable());
      expect(log.filter((line) => line.startsWith('10')).sort()).toEqual(
        ['10 connecting', '10 cut', '10 end s1', '10 lost'].sort(),
      );
    }
  });

  it('is lost when its link fails with what would be fatal for opening', () => {
    const { time, store, log, watchSession } = setUp();
    watchSession();
    time.pass(10);
    store.last('open').fail(new AuthenticationFailed('scripted', 'nowhere'));
    expect(states(log)).toEqual(['0 live', '10 lost', '10 connecting']);
  });

  it('is lost once: what else says so is not heard', () => {
    const { store, log, watchSession } = setUp();
    watchSession();
    store.latest.link.error(expired);
    store.last('open').fail(unavailable());
    tellDueLosses();
    expect(states(log)).toEqual(['0 live', '0 lost', '0 connecting']);
  });

  it('is lost once though its link fails while the goodbye is under way', () => {
    const { time, store, log, watchSession } = setUp();
    store.hold('renew', 'end');
    watchSession();
    time.pass(94);
    store.all('open')[0]?.fail(unavailable());
    time.pass(4);
    expect(states(log)).toEqual(['0 live', '50 suspended', '94 lost', '94 connecting']);
    expect(store.all('end')).toHaveLength(1);
  });

  it('is lost at once when it says so while it is being opened', () => {
    const { time, store, log, watchSession } = setUp();
    let opened = 0;
    store.on('open', (call) => {
      const session = store.session();
      if (opened++ === 0) session.link.error(expired);
      call.tell(session);
    });
    watchSession();
    time.pass(6);
    expect(states(log).at(-1)).toBe('5 live');
    expect(log.filter((line) => line.endsWith('open'))).toEqual(['0 open', '5 open']);
  });
});

describe('what happens at a loss', () => {
  it('comes in order: abort and PlaceLost, then lost, then the goodbye, then a new session', () => {
    const { time, store, log, watchSession, enter } = setUp();
    store.on('renew', (call) => {
      if (store.sessions.length > 1) call.answer(call.sentMs);
    });
    watchSession();
    enter({}, 'first');
    enter({}, 'second');
    time.pass(94);
    expect(log.filter((line) => line.startsWith('94'))).toEqual([
      '94 first aborted',
      '94 first PlaceLost',
      '94 second aborted',
      '94 second PlaceLost',
      '94 lost',
      '94 end s1',
      '94 cut',
      '94 connecting',
    ]);
    time.pass(5);
    expect(log.slice(-2)).toEqual(['99 open', '99 live']);
  });

  it('tells the store to prolong nothing when it says goodbye after a loss, and not when it is closed', () => {
    const lost = setUp();
    lost.store.hold('renew');
    lost.watchSession();
    lost.time.pass(94);
    expect(lost.store.last('end').args).toEqual([true]);
    const closed = setUp();
    closed.watchSession();
    void closed.backend.close();
    expect(closed.store.last('end').args).toEqual([false]);
  });

  it('cuts the link when the goodbye has gone through, or the store says that the session has ended', () => {
    const { time, store, log, watchSession, faults } = setUp();
    const expire = (): void => {
      time.block(100);
      tellDueLosses();
    };
    store.hold('end');
    watchSession();
    expire();
    expect(log).not.toContain('100 cut');
    time.pass(10);
    store.last('end').done();
    expect(log).toContain('110 cut');
    expire();
    store.last('end').fail(new SessionLost('s2', 'expired', true));
    expect(log).toContain('210 cut');
    expect(faults).toEqual([]);
    time.pass(10);
    expire();
    store.last('end').fail(new PermissionDenied('scripted', 'end'));
    expect(log.filter((line) => line.endsWith('cut'))).toHaveLength(3);
    expect(faults).toMatchObject([
      { _tag: 'ReleaseFailed', subject: 'session s3', cause: { _tag: 'PermissionDenied' } },
    ]);
  });

  it('says goodbye over the lost session’s own link when that is back: nobody waits behind his own ghost', () => {
    const { time, store, log, watchSession, faults } = setUp();
    store.hold('renew', 'open');
    store.on('open', (call) => {
      if (store.sessions.length === 0) call.tell(store.session());
    });
    watchSession();
    const ghost = store.latest;
    ghost.link.next(false);
    time.pass(300);
    expect(about(log, 'lost', 'end')).toEqual(['94 lost']);
    expect(faults).toMatchObject([{ _tag: 'ReleaseFailed', subject: 'session s1' }]);
    store.last('open').tell(store.session());
    ghost.link.next(true);
    expect(about(log, 'end', 'live', 'cut').slice(-3)).toEqual(['300 live', '300 end s1', '300 cut']);
    expect(faults).toHaveLength(1);
  });

  it('says goodbye again when there was no answer, until a later session has lived for as long', () => {
    const { time, store, log, watchSession, faults } = setUp();
    store.hold('end');
    watchSession();
    time.block(100);
    tellDueLosses();
    time.pass(104);
    expect(store.last('open').sentMs).toBe(105);
    expect(store.times('end')).toEqual([100, 135, 175]);
    expect(faults).toHaveLength(1);
    expect(about(log, 'cut')).toEqual([]);
    time.pass(1);
    expect(log).toContain('205 cut');
    time.pass(200);
    expect(store.times('end')).toHaveLength(3);
  });

  it('is over with the backend: no goodbye is said again after close()', async () => {
    const { time, store, backend, watchSession } = setUp();
    store.on('end', (call) => (call.session?.id === 's1' ? call.fail(unavailable()) : call.done()));
    watchSession();
    time.block(100);
    tellDueLosses();
    time.pass(6);
    await backend.close();
    const said = store.times('end').length;
    time.pass(500);
    expect(store.times('end')).toHaveLength(said);
    expect(time.pending).toBe(0);
  });

  it('is not told twice, nor held up by one who unsubscribes in the midst of it', () => {
    const { time, store, log, backend } = setUp();
    store.hold('renew');
    const wish = { mode: 'shared', permits: 1, payload: new Uint8Array() } as const;
    const key = { kind: 'lock', name: 'l' } as const;
    const second = { stop: (): void => undefined };
    backend.enter(key, wish).subscribe({
      error: () => {
        log.push('first');
        second.stop();
      },
    });
    const subscription = backend.enter(key, wish).subscribe({ error: () => log.push('second') });
    second.stop = () => subscription.unsubscribe();
    time.pass(94);
    expect(log.filter((line) => line === 'first' || line === 'second')).toEqual(['first']);
    expect(log.filter((line) => line.includes('leave'))).toEqual([]);
  });
});

describe('a machine that was suspended', () => {
  it('loses its session when what it slept since the last proof was sent, and what it was awake, reach the deadline', () => {
    const { time, store, enter, log, backend } = setUp();
    const seen: Session[] = [];
    backend.session$.subscribe((session) => seen.push(session));
    const { places } = enter();
    time.pass(10);
    time.sleep(83);
    expect(places[0]?.isValid()).toBe(true);
    time.sleep(1);
    expect(places[0]?.isValid()).toBe(false);
    expect(log).toContain('10 place PlaceLost');
    expect(seen[1]).toMatchObject({
      state: 'lost',
      cause: { byStore: false, reason: expect.stringContaining('set forward, by 84 ms since it was last renewed') },
    });
    expect(store.log).toContain('10 end s1');
  });

  it('forgets none of many short sleeps, however often somebody looks', () => {
    const { time, store, enter } = setUp();
    const { places } = enter();
    store.hold('renew');
    for (let i = 0; i < 18; i++) {
      time.sleep(4);
      time.pass(1);
      expect(places[0]?.isValid()).toBe(true);
    }
    time.sleep(4);
    expect(places[0]?.isValid()).toBe(false);
  });

  it('is not told of as the cause where its clocks differ by the rounding of one of them', () => {
    const reasons = [1, 2, 3].map((aheadMs) => {
      const { time, store, enter } = setUp();
      const { places } = enter();
      store.hold('renew');
      time.sleep(aheadMs);
      time.block(93 - aheadMs);
      expect(places[0]?.isValid()).toBe(true);
      time.block(1);
      expect(places[0]?.isValid()).toBe(false);
      return places[0]?.signal.reason.cause.reason;
    });
    const rounding = 'it was not renewed in time';
    expect(reasons).toEqual([rounding, rounding, expect.stringContaining('by 3 ms')]);
  });

  it('counts from when the last proof was sent, not from when its answer came', () => {
    const { time, store, enter } = setUp();
    const { places } = enter();
    store.on('renew', (call) => call.later(10, () => call.answer(call.sentMs)));
    time.pass(25);
    time.sleep(60);
    time.pass(5);
    expect(places[0]?.isValid()).toBe(true);
    store.hold('renew');
    time.pass(23);
    expect(places[0]?.isValid()).toBe(true);
    time.pass(1);
    expect(places[0]?.isValid()).toBe(false);
  });

  it('tells nobody of a session that was on its way while it slept for too long, and opens another', () => {
    const { time, store, log, watchSession, enter } = setUp();
    store.on('open', (call) => {
      const provedMs = time.now();
      call.later(10, () => call.tell(store.session({ provedMs })));
    });
    watchSession();
    enter();
    time.pass(5);
    time.sleep(84);
    time.pass(5);
    expect(states(log)).toEqual(['0 connecting', '10 connecting']);
    time.pass(15);
    expect(states(log).at(-1)).toBe('25 live');
    expect(about(log, 'enter')).toEqual(['25 enter s2']);
  });

  it('counts a sleep that came while the session was on its way', () => {
    const { time, store, enter } = setUp();
    store.on('open', (call) => {
      const provedMs = time.now();
      call.later(10, () => call.tell(store.session({ provedMs })));
    });
    store.hold('renew');
    const { places } = enter();
    time.pass(5);
    time.sleep(50);
    time.pass(5);
    expect(places[0]?.isValid()).toBe(true);
    time.pass(33);
    expect(places[0]?.isValid()).toBe(true);
    time.pass(1);
    expect(places[0]?.isValid()).toBe(false);
  });

  it('notices it at its next renewal, though nobody asks', () => {
    const { time, log, watchSession } = setUp();
    watchSession();
    time.pass(5);
    time.sleep(1_000);
    time.pass(14);
    expect(states(log)).toEqual(['0 live']);
    time.pass(1);
    expect(states(log)).toEqual(['0 live', '20 lost', '20 connecting']);
  });

  it('does not add up small differences between the clocks, nor mind a wall clock that is set back', () => {
    const { time, log, watchSession } = setUp();
    watchSession();
    for (let i = 0; i < 10; i++) {
      time.sleep(15);
      time.pass(20);
    }
    time.sleep(-5_000);
    time.pass(40);
    expect(states(log)).toEqual(['0 live']);
  });

  it('is none where only the monotonic clock goes on, as in a busy process', () => {
    const { time, log, watchSession } = setUp();
    watchSession();
    time.block(60);
    time.pass(20);
    expect(states(log)).toEqual(['0 live']);
  });
});

describe('a new session', () => {
  it('is not given up while the adapter is loaded, however long that takes: it says nothing of the store', () => {
    const loading = new Subject<Store>();
    const { time, store, log, watchSession } = setUp({}, loading);
    watchSession();
    time.pass(500);
    loading.next(store);
    expect(states(log)).toEqual(['0 connecting', '500 live']);
  });

  it('is opened after pauses that double up to maxBackoffMs, half of each being certain', () => {
    const { time, store, watchSession } = setUp();
    store.on('open', (call) => call.fail(unavailable()));
    watchSession();
    time.pass(200);
    expect(store.times('open')).toEqual([0, 5, 15, 35, 75, 115, 155, 195]);
  });

  it('is opened after pauses that are never longer than maxBackoffMs, however chance has it', () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.999_999);
    const { time, store, watchSession } = setUp();
    store.on('open', (call) => call.fail(unavailable()));
    watchSession();
    time.pass(400);
    const pauses = store.times('open').map((ms, i, all) => ms - (all[i - 1] ?? 0));
    expect(pauses.map(Math.round)).toEqual([0, 10, 20, 40, 80, 80, 80, 80].slice(0, pauses.length));
    expect(Math.max(...pauses)).toBeLessThanOrEqual(80);
    expect(pauses.length).toBeGreaterThan(6);
  });

  it('is still paused for after thousands of failures', () => {
    const { time, store, watchSession } = setUp({ initialBackoffMs: 1, maxBackoffMs: 2 });
    store.on('open', (call) => call.fail(unavailable()));
    watchSession();
    time.pass(3_000);
    expect(store.times('open').length).toBeGreaterThan(2_900);
    expect(store.times('open').length).toBeLessThan(3_100);
  });

  it('counts its attempts, with what the last one failed of', () => {
    const { time, store, backend } = setUp();
    const seen: Session[] = [];
    backend.session$.subscribe((session) => seen.push(session));
    const cause = unavailable();
    store.on('open', (call) => (call.sentMs < 15 ? call.fail(cause) : call.tell(store.session())));
    const again: Session[] = [];
    backend.session$.subscribe((session) => again.push(session));
    time.pass(10);
    expect(seen).toEqual([{ state: 'live', id: 's1' }]);
    expect(again).toEqual(seen);
    store.latest.link.error(new SessionLost('s1', 'expired', true));
    time.pass(40);
    expect(seen.slice(2)).toMatchObject([
      { state: 'connecting', attempt: 1, cause: { _tag: 'SessionLost' } },
      { state: 'live', id: 's2' },
    ]);
  });

  it('tells of each failed attempt', () => {
    const { time, store, backend } = setUp();
    const cause = unavailable();
    store.on('open', (call) => (call.sentMs < 15 ? call.fail(cause) : call.tell(store.session())));
    const seen: Session[] = [];
    backend.session$.subscribe((session) => seen.push(session));
    time.pass(30);
    expect(seen).toEqual([
      { state: 'connecting', attempt: 1, cause },
      { state: 'connecting', attempt: 2, cause },
      { state: 'live', id: 's1' },
    ]);
  });

  it('counts attempts from the start after a renewal was proved, and goes on counting where none was', () => {
    const { time, store, log, watchSession, backend } = setUp();
    const attempts: number[] = [];
    backend.session$.subscribe((session) => {
      if (session.state === 'connecting') attempts.push(session.attempt);
    });
    watchSession();
    const lose = (): void => store.latest.link.error(new SessionLost(store.latest.id, 'expired', true));
    lose();
    time.pass(5);
    lose();
    time.pass(10);
    lose();
    expect(attempts).toEqual([1, 2, 3]);
    time.pass(20 + 20); // opened at 35, proved at 55
    time.pass(5);
    lose();
    expect(attempts).toEqual([1, 2, 3, 1]);
    expect(log.filter((line) => line.endsWith('open'))).toEqual(['0 open', '5 open', '15 open', '35 open']);
  });

  it('is asked for again when opening has no answer for ttlMs, and the attempt is cut', () => {
    const { time, store, log, watchSession } = setUp();
    store.hold('open');
    watchSession();
    time.pass(106);
    expect(log).toEqual(['0 open', '0 connecting', '100 cut', '100 connecting', '105 open']);
  });

  it('is asked for again when opening ends without one', () => {
    const { time, store, log, watchSession } = setUp();
    store.on('open', (call) => call.done());
    watchSession();
    time.pass(6);
    expect(log.filter((line) => line.endsWith('open'))).toEqual(['0 open', '5 open']);
  });

  it('is asked for again when opening says that the session is lost', () => {
    const { time, store, log, watchSession } = setUp();
    store.on('open', (call) => call.fail(new SessionLost('s0', 'too late', true)));
    watchSession();
    time.pass(6);
    expect(log.filter((line) => line.endsWith('open'))).toEqual(['0 open', '5 open']);
  });

  it('is opened by whoever subscribes first, once for all, and by nobody before', () => {
    const { store, backend, watchSession } = setUp();
    expect(store.times('open')).toEqual([]);
    watchSession();
    watchSession();
    backend.entries({ kind: 'group', name: 'g' }).subscribe();
    expect(store.times('open')).toEqual([0]);
  });

  it('is opened with what the adapter needs', () => {
    const { time, store, watchSession } = setUp({ drift: 0 });
    watchSession();
    expect(store.context).toMatchObject({ timing: { ttlMs: 100, renewEveryMs: 20, drift: 0 }, scheduler: time });
    time.pass(7);
    expect(store.context?.now()).toBe(7);
    expect(store.context?.newId()).toMatch(/^[0-9a-f]{32}$/);
    expect(store.context?.newId()).not.toBe(store.context?.newId());
  });

  it('lets the adapter report faults', () => {
    const { store, watchSession, faults } = setUp();
    watchSession();
    const fault = unavailable();
    store.context?.fault(fault);
    expect(faults).toEqual([fault]);
  });
});

describe('failFastMs', () => {
  it('errors with ConnectionRefused when no session could be opened in time, with the root cause', () => {
    const { time, store, backend, log } = setUp({ failFastMs: 50 });
    store.on('open', (call) => call.fail(unavailable()));
    const errors: unknown[] = [];
    backend.session$.subscribe({ error: (error) => errors.push(error) });
    backend.entries({ kind: 'lock', name: 'l' }).subscribe({ error: (error) => errors.push(error) });
    time.pass(49);
    expect(errors).toEqual([]);
    time.pass(1);
    expect(errors).toHaveLength(2);
    expect(errors[0]).toBe(errors[1]);
    expect(errors[0]).toMatchObject({
      _tag: 'ConnectionRefused',
      backend: 'scripted',
      address: 'nowhere:1',
      failFastMs: 50,
      cause: new Error('ECONNREFUSED'),
    });
    const before = log.length;
    time.pass(500);
    expect(log).toHaveLength(before);
    expect(time.pending).toBe(0);
  });

  it('errors when the store does not answer at all', () => {
    const { time, store, log, watchSession } = setUp({ failFastMs: 50 });
    store.hold('open');
    watchSession();
    time.pass(50);
    expect(log).toEqual(['0 open', '0 connecting', '50 cut', '50 session$ ConnectionRefused']);
    expect(time.pending).toBe(0);
  });

  it('tries again for whoever subscribes next, and fails fast again', () => {
    const { time, store, log, watchSession } = setUp({ failFastMs: 50 });
    store.hold('open');
    watchSession();
    time.pass(60);
    watchSession();
    expect(log.slice(-2)).toEqual(['60 open', '60 connecting']);
    time.pass(50);
    expect(log.slice(-1)).toEqual(['110 session$ ConnectionRefused']);
  });

  it('does not error when the session was opened in time', () => {
    const { time, log, watchSession } = setUp({ failFastMs: 50 });
    watchSession();
    time.pass(200);
    expect(states(log)).toEqual(['0 live']);
  });

  it('does not error when a session was open once, however long the next one takes', () => {
    const { time, store, log, watchSession } = setUp({ failFastMs: 50 });
    watchSession();
    time.pass(10);
    store.on('open', (call) => call.fail(unavailable()));
    store.latest.link.error(new SessionLost('s1', 'expired', true));
    time.pass(500);
    expect(log.filter((line) => line.includes('ConnectionRefused'))).toEqual([]);
    expect(states(log).at(-1)).toMatch(/connecting/);
  });

  it('waits for ever where it is not given', () => {
    const { time, store, log, watchSession } = setUp();
    store.on('open', (call) => call.fail(unavailable()));
    watchSession();
    time.pass(10_000);
    expect(states(log).at(-1)).toMatch(/connecting/);
  });
});

describe('what waiting does not heal', () => {
  const refused = new AuthenticationFailed('scripted', 'nowhere');

  it('reaches everybody who has subscribed, and the link is cut', () => {
    const { time, store, log, backend, watchSession, enter } = setUp();
    store.hold('open');
    watchSession();
    enter();
    backend.entries({ kind: 'lock', name: 'l' }).subscribe({ error: (error) => log.push(`entries ${error.name}`) });
    backend.evict({ kind: 'lock', name: 'l' }, 'x').subscribe({ error: (error) => log.push(`evict ${error.name}`) });
    time.pass(5);
    store.last('open').fail(refused);
    expect(log.slice(2).sort()).toEqual(
      [
        '5 cut',
        '5 place AuthenticationFailed',
        '5 session$ AuthenticationFailed',
        'entries AuthenticationFailed',
        'evict AuthenticationFailed',
      ].sort(),
    );
    time.pass(100);
    expect(time.pending).toBe(0);
  });

  it('reaches one who subscribes while it is found out', () => {
    const { store, log, watchSession } = setUp();
    store.on('open', (call) => call.fail(refused));
    watchSession();
    expect(log).toEqual(['0 open', '0 cut', '0 session$ AuthenticationFailed']);
  });

  it('does not keep a later subscription from trying again', () => {
    const { time, store, log, watchSession } = setUp();
    store.on('open', (call) => call.fail(refused));
    watchSession();
    store.on('open', (call) => call.tell(store.session()));
    time.pass(5);
    watchSession();
    expect(log.slice(3)).toEqual(['5 open', '5 live']);
  });

  it('does not keep one from trying again who does so in the error itself, after a pause', () => {
    const { time, store, backend } = setUp();
    const seen: Session[] = [];
    store.on('open', (call) => call.fail(refused));
    backend.session$.subscribe({
      error: () => {
        store.on('open', (call) => call.tell(store.session()));
        backend.session$.subscribe((session) => seen.push(session));
      },
    });
    expect(seen).toEqual([{ state: 'connecting', attempt: 1, cause: refused }]);
    time.pass(5);
    expect(store.times('open')).toEqual([0, 5]);
    expect(seen.at(-1)).toMatchObject({ state: 'live' });
  });

  it('a bare retry() meets no storm: it is tried again with back-off, which a proved session ends', () => {
    const { time, store, backend } = setUp();
    store.on('open', (call) => call.fail(refused));
    backend.entries({ kind: 'lock', name: 'l' }).pipe(retry()).subscribe();
    backend.session$.pipe(retry()).subscribe();
    time.pass(200);
    expect(store.times('open')).toEqual([0, 5, 15, 35, 75, 115, 155, 195]);
    store.on('open', (call) => call.tell(store.session()));
    time.pass(100);
    store.on('open', (call) => call.fail(refused));
    store.latest.link.error(new SessionLost('s1', 'expired', true));
    time.pass(35);
    expect(store.times('open').slice(8)).toEqual([235, 305, 315, 335]);
  });

  it('is not tried again after the backend was closed in the pause', async () => {
    const { time, store, backend, log } = setUp();
    store.on('open', (call) => call.fail(refused));
    backend.session$.pipe(retry()).subscribe({ complete: () => log.push('complete') });
    await backend.close();
    expect([log.at(-1), time.pending]).toEqual(['complete', 0]);
    time.pass(100);
    expect(store.times('open')).toEqual([0]);
  });

  it('failFastMs is counted from the end of the pause', () => {
    const { time, store, log, backend } = setUp({ failFastMs: 3 });
    store.hold('open');
    backend.session$.pipe(retry(1)).subscribe({ error: ({ name }) => log.push(`${time.now()} ${name}`) });
    time.pass(100);
    expect(log).toEqual(['0 open', '3 cut', '8 open', '11 cut', '11 ConnectionRefused']);
  });

  it('ends a backend whose credentials are refused later', () => {
    const { time, store, log, watchSession } = setUp();
    watchSession();
    time.pass(10);
    store.on('open', (call) => call.fail(refused));
    store.latest.link.error(new SessionLost('s1', 'expired', true));
    time.pass(5);
    expect(log.slice(-2).sort()).toEqual(['15 cut', '15 session$ AuthenticationFailed']);
  });

  it('is also what keeps the adapter from being loaded', () => {
    let loads = 0;
    const missing = new MissingPackage('ioredis', 'redis');
    const { backend, time } = setUp(
      { failFastMs: 50 },
      defer(() => {
        loads++;
        return throwError(() => missing);
      }),
    );
    const errors: unknown[] = [];
    backend.session$.subscribe({ error: (error) => errors.push(error) });
    time.pass(100);
    expect(errors).toEqual([missing]);
    expect(loads).toBe(1);
    backend.session$.subscribe({ error: (error) => errors.push(error) });
    expect(loads).toBe(2);
  });

  it('is told with the attempt that follows: as Unavailable, where it is not one of the errors foreseen', () => {
    const denied = new PermissionDenied('scripted', 'open');
    for (const [cause, told] of [
      [denied, denied],
      [new RangeError('unforeseen'), { _tag: 'Unavailable', cause: new RangeError('unforeseen') }],
    ] as const) {
      const { store, backend } = setUp();
      store.on('open', (call) => call.fail(cause));
      backend.session$.subscribe({ error: () => undefined });
      const seen: Session[] = [];
      backend.session$.subscribe((session) => seen.push(session));
      expect(seen).toMatchObject([{ state: 'connecting', attempt: 1, cause: told }]);
    }
  });

  it('is told as it is, even where it is not one of the errors foreseen', () => {
    const { store, log, watchSession } = setUp();
    store.on('open', (call) => call.fail(new RangeError('unforeseen')));
    watchSession();
    expect(log.at(-1)).toBe('0 session$ RangeError');
  });
});

describe('a store that is made again for each session', () => {
  it('is made when a session is opened, and not before', () => {
    let made = 0;
    const base = setUp();
    const { backend, time } = setUp(
      {},
      defer(() => {
        made++;
        return of(base.store);
      }),
    );
    expect(made).toBe(0);
    backend.session$.subscribe();
    expect(made).toBe(1);
    expect(time.pending).toBeGreaterThan(0);
  });
});
