import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { catchError, concat, merge, NEVER, type Observable, of, Subject, take } from 'rxjs';
import { describe, expect, it, vi } from 'vitest';
import type { Backend, Entry, Versioned } from '../../src/backends/backend.js';
import { InvalidPayload, PermissionDenied, PlaceLost, SessionLost, Unavailable } from '../../src/backends/errors.js';
import { createBackend } from '../../src/backends/kernel/create-backend.js';
import { memoryCharacteristics } from '../../src/backends/memory/characteristics.js';
import { memory } from '../../src/backends/memory/index.js';
import { MAX_PAYLOAD_BYTES, RECORD_BYTES } from '../../src/backends/shared/codec.js';
import { tearingDown } from '../../src/backends/shared/teardown.js';
import { campaign } from '../../src/observables/elections/campaign.js';
import { entryOf, ManualTime, promises, QUICK } from '../support/virtual-time.js';
import { type Call, chance, roster, ScriptedStore, setUp } from './scripted-store.js';

const unavailable = (): Unavailable => new Unavailable('scripted', 'it');
const expired = (id = 's1'): SessionLost => new SessionLost(id, 'expired', true);
const about = (log: readonly string[], ...words: string[]): string[] =>
  log.filter((line) => words.some((word) => line.includes(word)));

/** In a turn of its own: a WeakRef keeps what it refers to until the turn that made it is over. */
async function collectGarbage(): Promise<void> {
  await setImmediate();
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
}

chance(0);

describe('close', () => {
  it('ends streams first, then what is held is given up, then the session is ended and its link cut', async () => {
    const { store, backend, log, watchSession, enter } = setUp();
    watchSession();
    backend.entries(roster).subscribe({ complete: () => log.push('entries complete') });
    campaign(backend, 'e').subscribe({
      next: ({ _tag }) => log.push(`campaign ${_tag}`),
      complete: () => log.push('campaign complete'),
    });
    enter();
    const before = log.length;
    store.hold('end');
    const closed = backend.close().then(() => log.push('closed'));
    await promises();
    expect(log.slice(before)).toEqual([
      'entries complete',
      'campaign None',
      'campaign complete',
      '0 place complete',
      '0 place aborted',
      '0 end s1',
    ]);
    store.last('end').done();
    await closed;
    expect(log.slice(before + 6)).toEqual(['0 cut', '0 session$ complete', 'closed']);
  });

  it('releases everything by ending the session: no leave is sent for each', async () => {
    const { store, backend, enter } = setUp();
    enter();
    enter();
    await backend.close();
    expect(store.times('leave')).toEqual([]);
    expect(store.times('end')).toEqual([0]);
  });

  it('makes places invalid', async () => {
    const { backend, enter } = setUp();
    const { places } = enter();
    const closed = backend.close();
    expect(places[0]?.isValid()).toBe(false);
    await closed;
  });

  it('gives the same promise each time', async () => {
    const { store, backend, watchSession } = setUp();
    watchSession();
    const first = backend.close();
    expect(backend.close()).toBe(first);
    await first;
    expect(backend.close()).toBe(first);
    expect(backend[Symbol.asyncDispose]()).toBe(first);
    expect(store.times('end')).toEqual([0]);
  });

  it('does not hold on to those who have left before', async () => {
    const backend = memory({ ...QUICK, scheduler: new ManualTime() });
    const enterAndLeave = (): WeakRef<object> => {
      const wish = { mode: 'exclusive', permits: 1, payload: new Uint8Array() } as const;
      backend.enter(roster, wish).subscribe().unsubscribe();
      return new WeakRef(wish);
    };
    const left = enterAndLeave();
    await collectGarbage();
    expect(left.deref()).toBeUndefined();
    await backend.close();
  });

  it('keeps of the payloads that come while one is written only the latest, and writes that next', async () => {
    const { store, backend } = setUp();
    const payload$ = new Subject<Uint8Array>();
    store.hold('update');
    backend.enter(roster, { mode: 'shared', permits: 1, payload: new Uint8Array(), payload$ }).subscribe();
    const send = (value: number): WeakRef<object> => {
      const payload = new Uint8Array([value]);
      payload$.next(payload);
      return new WeakRef(payload);
    };
    const sent = Array.from({ length: 100 }, (_, value) => send(value));
    const kept = async (): Promise<number[]> => {
      await collectGarbage();
      return sent.flatMap((ref, value) => (ref.deref() === undefined ? [] : [value]));
    };
    // What a stack frame refers to by chance is free at a later collection.
    await vi.waitFor(async () => expect(await kept()).toEqual([0, 99]));
    store.last('update').done();
    expect(store.times('update')).toHaveLength(2);
    expect(store.last('update').args[2]).toEqual(new Uint8Array([99]));
    await backend.close();
  });

  it('is what disposing does', async () => {
    const { store, backend, watchSession } = setUp();
    watchSession();
    await backend[Symbol.asyncDispose]();
    expect(store.times('end')).toEqual([0]);
  });

  it('gives the same promise to one who closes again in the midst of it', async () => {
    const { backend, enter, store } = setUp();
    let again: Promise<void> | undefined;
    backend.session$.subscribe({
      complete: () => {
        again = backend.close();
      },
    });
    enter();
    const closed = backend.close();
    await closed;
    expect(again).toBe(closed);
    expect(store.times('end')).toEqual([0]);
  });

  it('ends the session that somebody closes on being told of it, and starts nothing in it', async () => {
    const { store, backend, enter, time, log, faults } = setUp();
    store.hold('open');
    enter();
    let closed: Promise<void> | undefined;
    backend.session$.subscribe(({ state }) => {
      if (state === 'live') closed = backend.close();
    });
    store.last('open').tell(store.session());
    await closed;
    expect(closed).toBeDefined();
    expect(log).toEqual(['0 open', '0 end s1', '0 cut', '0 place complete']);
    expect(faults).toEqual([]);
    expect(time.pending).toBe(0);
  });

  it('starts nothing more for those who wait for the session with the one who closes it', async () => {
    const { store, backend, enter, log, faults } = setUp();
    store.hold('open', 'end');
    const wish = { mode: 'exclusive', permits: 1, payload: new Uint8Array() } as const;
    let closed: Promise<void> | undefined;
    backend.enter(roster, wish).subscribe(() => {
      closed = backend.close();
    });
    enter();
    store.last('open').tell(store.session());
    store.last('end').done();
    await closed;
    expect(about(log, 'enter', 'place', 'end')).toEqual(['0 enter s1', '0 end s1', '0 place complete']);
    expect(faults).toEqual([]);
  });

  it('opens nothing where nothing was subscribed to', async () => {
    const { store, backend, time } = setUp();
    await backend.close();
    expect(store.log).toEqual([]);
    expect(time.pending).toBe(0);
    const log: string[] = [];
    backend.session$.subscribe({ next: () => log.push('next'), complete: () => log.push('complete') });
    expect(log).toEqual(['complete']);
    expect(store.log).toEqual([]);
  });

  it('opens nothing for one who looks while it is held up by work that is being torn down', async () => {
    const { store, backend, time } = setUp();
    const tornDown = tearingDown();
    const closed = backend.close();
    const log: string[] = [];
    backend.session$.subscribe({ next: ({ state }) => log.push(state), complete: () => log.push('complete') });
    expect([log, store.log]).toEqual([['connecting'], []]);
    tornDown();
    await closed;
    expect([log, store.log, time.pending]).toEqual([['connecting', 'complete'], [], 0]);
  });

  it('is held up until the last of the work that is being torn down is gone, not the first', async () => {
    const { store, backend, watchSession } = setUp();
    watchSession();
    const [outer, inner] = [tearingDown(), tearingDown()];
    const closed = backend.close();
    inner();
    expect(store.times('end')).toEqual([]);
    outer();
    expect(store.times('end')).toEqual([0]);
    await closed;
  });

  it('waits for the store no longer than closeTimeoutMs, and reports that it did not answer', async () => {
    const { time, store, backend, faults, log, watchSession } = setUp();
    store.hold('end');
    watchSession();
    let isClosed = false;
    const closed = backend.close().then(() => {
      isClosed = true;
    });
    await time.passWithPromises(49);
    expect(isClosed).toBe(false);
    await time.passWithPromises(1);
    expect(isClosed).toBe(true);
    await closed;
    expect(faults.at(-1)).toMatchObject({ _tag: 'ReleaseFailed', subject: 'session s1' });
    expect(log).toContain('50 cut');
    expect(time.pending).toBe(0);
  });

  it('waits no longer than to the deadline: then the store has let go by itself', async () => {
    const { time, store, backend, watchSession } = setUp({ closeTimeoutMs: 1_000 });
    store.hold('end', 'renew');
    watchSession();
    time.pass(60);
    let closedMs: number | undefined;
    const closed = backend.close().then(() => {
      closedMs = time.now();
    });
    await time.passWithPromises(100);
    expect(closedMs).toBe(94);
    await closed;
    expect(time.pending).toBe(0);
  });

  it('gives the goodbye the time that there is when it is said, not when guarded work was begun to be waited for', async () => {
    const { time, store, backend, enter, faults } = setUp();
    const work = new Subject<never>();
    store.hold('renew');
    store.on('end', (call) => call.later(20, () => call.done()));
    enter({ beforeLeave: () => work });
    time.pass(88);
    let closedMs: number | undefined;
    const closed = backend.close().then(() => {
      closedMs = time.now();
    });
    faults.length = 0;
    // Renewed at the last moment, while the work is waited for.
    store.on('renew', (call) => call.answer(call.sentMs));
    store.latest.link.next(false);
    store.latest.link.next(true);
    time.pass(2);
    work.complete();
    await time.passWithPromises(30);
    expect([closedMs, faults]).toEqual([110, []]);
    await closed;
  });

  it('says goodbye again after a passing failure', async () => {
    const { time, store, backend, watchSession, faults } = setUp();
    store.on('end', (call) => (call.sentMs === 0 ? call.fail(unavailable()) : call.done()));
    watchSession();
    const closed = backend.close();
    await time.passWithPromises(10);
    await closed;
    expect(store.times('end')).toEqual([0, 5]);
    expect(faults).toEqual([]);
  });

  it('says goodbye when the link is back, if that is in time', async () => {
    const { time, store, backend, watchSession } = setUp();
    watchSession();
    store.latest.link.next(false);
    const closed = backend.close();
    await time.passWithPromises(10);
    expect(store.times('end')).toEqual([]);
    store.latest.link.next(true);
    await closed;
    expect(store.times('end')).toEqual([10]);
  });

  it('is told of no loss when the goodbye has ended the session, and only the answer to it is missing', async () => {
    const { time, store, backend, watchSession, faults, log } = setUp();
    let isEnded = false;
    const gone = (call: Call): void => (isEnded ? call.fail(expired()) : call.answer(call.sentMs));
    store.on('renew', (call) => call.later(6, gone));
    store.on('end', (call) => {
      isEnded = true;
      call.later(25, () => call.done());
    });
    watchSession();
    // One renewal is under way, and the next would be due before the answer comes.
    time.pass(22);
    const closed = backend.close();
    await time.passWithPromises(50);
    await closed;
    expect(store.times('renew')).toEqual([20]);
    expect(log.filter((line) => line.includes('lost'))).toEqual([]);
    expect(faults).toEqual([]);
    expect(time.pending).toBe(0);
  });

  it('renews no more while it says goodbye, though the link comes back meanwhile', async () => {
    const { time, store, backend, watchSession } = setUp();
    store.hold('end');
    watchSession();
    const closed = backend.close();
    await time.passWithPromises(5);
    store.latest.link.next(false);
    store.latest.link.next(true);
    await time.passWithPromises(45);
    await closed;
    expect(store.times('renew')).toEqual([]);
  });

  it('reports a goodbye that is refused, and is closed all the same', async () => {
    const { time, store, backend, watchSession, faults } = setUp();
    store.on('end', (call) => call.fail(new PermissionDenied('scripted', 'end')));
    watchSession();
    await backend.close();
    expect(faults).toMatchObject([
      { _tag: 'ReleaseFailed', subject: 'session s1', cause: { _tag: 'PermissionDenied' } },
    ]);
    expect(time.pending).toBe(0);
  });

  it('while no session is open ends all that wait for one, and opens none any more', async () => {
    const { time, store, backend, log, watchSession, enter } = setUp();
    store.on('open', (call) => call.fail(unavailable()));
    watchSession();
    enter();
    backend.entries(roster).subscribe({ complete: () => log.push('entries complete') });
    backend.evict(roster, 'x').subscribe({ error: (error) => log.push(`evict ${error.name}`) });
    time.pass(7);
    const before = log.length;
    await backend.close();
    expect(log.slice(before).sort()).toEqual(
      ['entries complete', 'evict BackendClosed', '7 place complete', '7 session$ complete'].sort(),
    );
    time.pass(500);
    expect(store.times('open')).toEqual([0, 5]);
    expect(time.pending).toBe(0);
  });

  it('while a session is being opened cuts the attempt', async () => {
    const { time, store, backend, log, watchSession } = setUp();
    store.hold('open');
    watchSession();
    time.pass(7);
    await backend.close();
    expect(log).toContain('7 cut');
    expect(time.pending).toBe(0);
  });

  it('after a loss says no goodbye, and opens no new session', async () => {
    const { time, store, backend, watchSession, faults } = setUp();
    watchSession();
    store.latest.link.error(expired());
    await backend.close();
    time.pass(100);
    expect([store.times('end'), faults]).toEqual([[], []]);
    expect(store.times('open')).toEqual([0]);
    expect(time.pending).toBe(0);
  });

  it('is over when the session is lost meanwhile, and opens no new one', async () => {
    const { time, store, backend, watchSession } = setUp();
    store.hold('end');
    watchSession();
    const closed = backend.close();
    await promises();
    store.latest.link.error(expired());
    await closed;
    time.pass(100);
    expect(store.times('open')).toEqual([0]);
    expect(time.pending).toBe(0);
  });

  it('leaves no timer behind: of renewals, the deadline, leaves and enters under way', async () => {
    const { time, store, backend, enter, log } = setUp();
    enter();
    const left = enter({}, 'left');
    store.hold('leave', 'enter');
    left.leave();
    enter({}, 'entering');
    enter({}, 'given up').leave();
    time.pass(5);
    const closed = backend.close();
    await time.passWithPromises(60);
    await closed;
    const before = log.length;
    expect(time.pending).toBe(0);
    time.pass(1_000);
    expect(log.length).toBe(before);
  });

  it('does not go on sending a leave that failed before', async () => {
    const { time, store, backend, enter, faults } = setUp();
    store.on('leave', (call) => call.fail(unavailable()));
    enter().leave();
    time.pass(7);
    await backend.close();
    const sent = store.times('leave').length;
    const reported = faults.length;
    time.pass(1_000);
    expect(store.times('leave')).toHaveLength(sent);
    expect(faults).toHaveLength(reported);
    expect(time.pending).toBe(0);
  });

  it('waits for guarded work before it says goodbye', async () => {
    const { time, store, backend, enter, log } = setUp();
    const work = new Subject<never>();
    enter({ beforeLeave: () => work });
    const closed = backend.close().then(() => log.push('closed'));
    await time.passWithPromises(40);
    expect(about(log, 'complete', 'end', 'closed', 'error')).toEqual([]);
    expect(store.times('renew')).toEqual([20, 40]);
    work.complete();
    await closed;
    expect(about(log, 'complete', 'end', 'closed')).toEqual(['40 place complete', '40 end s1', 'closed']);
  });

  it('waits for guarded work of one who has unsubscribed before', async () => {
    const { time, backend, enter, log } = setUp();
    const work = new Subject<never>();
    enter({ beforeLeave: () => work }).leave();
    const closed = backend.close().then(() => log.push('closed'));
    await time.passWithPromises(30);
    expect(about(log, 'end', 'closed')).toEqual([]);
    work.complete();
    await closed;
    expect(about(log, 'end', 'closed')).toEqual(['30 end s1', 'closed']);
  });

  it('waits for guarded work no longer than to the deadline, and tells the loss of the place before anything is sent', async () => {
    const { time, backend, enter, log } = setUp();
    enter({ beforeLeave: () => new Subject() });
    const closed = backend.close().then(() => log.push('closed'));
    await time.passWithPromises(200);
    await closed;
    expect(about(log, 'end s1', 'PlaceLost', 'complete')).toEqual(['94 place PlaceLost', '94 end s1']);
  });

  it('says of guarded work that has not settled by the deadline that it was lost here, not by the store', async () => {
    const { time, backend } = setUp();
    const errors: unknown[] = [];
    const payload = new Uint8Array();
    backend
      .enter(roster, { mode: 'exclusive', permits: 1, payload, beforeLeave: () => NEVER })
      .subscribe({ error: (error) => errors.push(error) });
    const closed = backend.close();
    await time.passWithPromises(200);
    await closed;
    const reason = 'the backend was closed, and the work has not settled in time';
    expect(errors).toMatchObject([
      { _tag: 'PlaceLost', reason: 'session lost', cause: { _tag: 'SessionLost', byStore: false, reason } },
    ]);
  });

  it('ends at once the stay of one who waits: under it no work can run', async () => {
    const { store, backend, enter, log, time } = setUp();
    store.on('enter', (call) => call.answer(store.standing(1)));
    enter({ beforeLeave: () => NEVER });
    const closed = backend.close();
    expect(about(log, 'complete')).toEqual(['0 place complete']);
    await time.passWithPromises(200);
    await closed;
  });

  it('is told to nobody who leaves because another was told: he has his Released', async () => {
    const { backend, enter } = setUp();
    const second = { leave: (): void => undefined };
    const payload = new Uint8Array();
    backend.enter(roster, { mode: 'exclusive', permits: 1, payload }).subscribe({ complete: () => second.leave() });
    const { places, leave } = enter();
    second.leave = leave;
    await backend.close();
    expect(places[0]?.signal.reason).toMatchObject({ _tag: 'Released' });
    expect(places[0]?.draining.aborted).toBe(false);
  });

  it('waits for guarded work of one who has unsubscribed no longer than to the deadline that holds when it is closed', async () => {
    const { time, backend, enter, log } = setUp();
    enter({ beforeLeave: () => new Subject() }).leave();
    await time.passWithPromises(250);
    expect(about(log, 'end s1', 'leave')).toEqual([]);
    const closed = backend.close();
    await time.passWithPromises(200); // proved at 240
    await closed;
    expect(about(log, 'end s1')).toEqual(['334 end s1']);
  });

  it('tells a place that is lost while guarded work settles', async () => {
    for (const how of ['evicted', 'session lost'] as const) {
      const { time, store, backend, enter, log } = setUp();
      store.on('place', (call) => call.tell(0));
      enter({ beforeLeave: () => new Subject() });
      const closed = backend.close();
      await time.passWithPromises(10);
      if (how === 'evicted') store.last('place').fail(new PlaceLost('lock "l"', 'evicted'));
      else store.latest.link.error(new SessionLost('s1', 'expired', true));
      expect(about(log, 'PlaceLost', 'complete')).toEqual(['10 place PlaceLost']);
      await time.passWithPromises(100);
      await closed;
    }
  });

  it('puts an end to faults$ last', async () => {
    const { backend, log } = setUp();
    backend.session$.subscribe({ complete: () => log.push('session$') });
    backend.faults$.subscribe({ complete: () => log.push('faults$') });
    await backend.close();
    expect(log.slice(-2)).toEqual(['session$', 'faults$']);
    expect(() => backend.reportFault(unavailable())).not.toThrow();
  });
});

describe('the base of tokens', () => {
  it('is added to every token that is told: of places, and of entries that are watched and looked at', () => {
    for (const [options, expected] of [
      [{ tokenBase: 100n }, 101n],
      [{}, 1n],
    ] as const) {
      const { store, backend, enter } = setUp(options);
      const { places } = enter();
      const standing = entryOf('e1', 1n);
      store.on('entries', (call) => call.tell([standing]));
      store.on('look', (call) => call.answer([standing]));
      const seen: unknown[] = [];
      backend.entries(roster).subscribe((entries) => seen.push(...entries));
      backend.look(roster).subscribe((entries) => seen.push(...entries));
      expect(places[0]?.entry).toMatchObject({ id: 'e1', token: expected });
      expect(seen).toEqual([
        { ...standing, token: expected },
        { ...standing, token: expected },
      ]);
      // The store is asked about its own token.
      expect(store.last('place').args[2]).toMatchObject({ entry: { token: 1n } });
    }
  });
});

describe('what cannot be', () => {
  it('a drain that no timer carries is refused at the call', async () => {
    const { backend } = setUp();
    expect(() => backend.close({ drainMs: 2 ** 31 })).toThrow(expect.objectContaining({ _tag: 'InvalidOptions' }));
    await backend.close();
  });

  it('a payload is refused by the name of its roster where it is larger than what is kept may be', () => {
    const { backend } = setUp();
    const enter = (size: number) =>
      backend.enter(roster, { mode: 'exclusive', permits: 1, payload: new Uint8Array(size) });
    const most = MAX_PAYLOAD_BYTES + RECORD_BYTES;
    expect(() => enter(most)).not.toThrow();
    expect(() => enter(most + 1)).toThrow(expect.objectContaining({ _tag: 'InvalidPayload', subject: 'lock "l"' }));
  });
});

describe('a backend that is closed', () => {
  const uses: Record<string, (backend: Backend) => Observable<unknown>> = {
    enter: (backend) => backend.enter(roster, { mode: 'shared', permits: 1, payload: new Uint8Array() }),
    entries: (backend) => backend.entries(roster),
    evict: (backend) => backend.evict(roster, 'x'),
    register: (backend) => backend.register(roster),
    unregister: (backend) => backend.unregister(roster),
    registered: (backend) => backend.registered('group'),
    cell: (backend) => backend.cell('c'),
    swap: (backend) => backend.swap('c', 'any', undefined),
  };

  it.each(Object.entries(uses))('errors with BackendClosed at %s, made before or after', async (_, use) => {
    const { time, store, backend } = setUp();
    const before = use(backend);
    await backend.close();
    const errors: unknown[] = [];
    before.subscribe({ error: (error) => errors.push(error) });
    use(backend).subscribe({ error: (error) => errors.push(error) });
    time.pass(1);
    const closed = expect.objectContaining({ _tag: 'BackendClosed', backend: 'scripted' });
    expect(errors).toEqual([closed, closed]);
    expect(store.log).toEqual([]);
  });

  it('starts nothing while it is being closed', async () => {
    const { time, store, backend, watchSession, log } = setUp();
    store.hold('end');
    watchSession();
    const closed = backend.close();
    backend.entries(roster).subscribe({ error: (error) => log.push(error.name) });
    time.pass(1);
    expect(log.at(-1)).toBe('BackendClosed');
    await time.passWithPromises(60);
    await closed;
  });
});

describe('streams', () => {
  const watchEntries = ({ backend, log }: ReturnType<typeof setUp>): void => {
    backend.entries(roster).subscribe({
      next: (entries) => log.push(`entries ${entries.map(({ id }) => id).join()}`),
      error: (error) => log.push(`error ${error.name}`),
      complete: () => log.push('complete'),
    });
  };
  const [a, b] = [entryOf('a', 1n), entryOf('b', 2n)];

  it('are silent while the link is down, and begin again when it is back', () => {
    const test = setUp();
    const { time, store, log } = test;
    store.on('entries', (call) => call.tell([a]));
    watchEntries(test);
    store.latest.link.next(false);
    expect(store.last('entries').isGone).toBe(true);
    store.on('entries', (call) => call.tell([a, b]));
    time.pass(10);
    store.latest.link.next(true);
    expect(about(log, 'entries ')).toEqual(['0 entries s1', 'entries a', '10 entries s1', 'entries a,b']);
  });

  it('do not begin again for being told again that the link is up', () => {
    const test = setUp();
    const { store } = test;
    watchEntries(test);
    store.latest.link.next(true);
    expect(store.times('entries')).toEqual([0]);
    expect(store.last('entries').isGone).toBe(false);
  });

  it('begin again after a failure, with pauses that grow until something is heard', () => {
    const test = setUp();
    const { time, store } = test;
    let tries = 0;
    store.on('entries', (call) => {
      if (++tries === 4) call.tell([a]);
      call.fail(unavailable());
    });
    watchEntries(test);
    time.pass(60);
    expect(store.times('entries').slice(0, 6)).toEqual([0, 5, 15, 35, 40, 50]);
  });

  it('go on in the next session without a word about the loss', () => {
    const test = setUp();
    const { time, store, log } = test;
    store.on('entries', (call) => call.tell([a]));
    watchEntries(test);
    store.latest.link.error(expired());
    store.on('entries', (call) => call.tell([b]));
    time.pass(5);
    expect(about(log, 'entries ', 'error', 'complete')).toEqual([
      '0 entries s1',
      'entries a',
      '5 entries s2',
      'entries b',
    ]);
  });

  it('go on in the next session when they are the ones to find out', () => {
    const test = setUp();
    const { time, store, log } = test;
    watchEntries(test);
    store.last('entries').fail(expired());
    store.on('entries', (call) => call.tell([b]));
    time.pass(5);
    expect(about(log, 'entries', 'error')).toEqual(['0 entries s1', '5 entries s2', 'entries b']);
  });

  it('have an unknown outcome where a repeat is refused: an earlier copy may have been carried out', () => {
    const refusals = [new PermissionDenied('scripted', 'write'), new InvalidPayload('c', 'too large')];
    for (const refusal of refusals) {
      const { time, store, backend } = setUp();
      const told: unknown[] = [];
      const acts = [
        backend.evict(roster, 'x'),
        backend.register(roster),
        backend.unregister(roster),
        backend.swap('c', 'any', undefined),
      ];
      for (const operation of ['evict', 'register', 'unregister', 'swap'] as const)
        store.on(operation, (call) => {
          if (call.sentMs === 0) call.fail(unavailable());
          else call.fail(refusal);
        });
      for (const act of acts) merge(act).subscribe({ error: (error) => told.push(error) });
      time.pass(5);
      expect(told).toEqual(Array.from({ length: 4 }, () => expect.objectContaining({ _tag: 'OutcomeUnknown' })));
      for (const error of told) expect((error as Error).cause).toBe(refusal);
    }
  });

  it('pass errors that waiting does not heal', () => {
    const test = setUp();
    test.store.on('entries', (call) => call.fail(new PermissionDenied('scripted', 'watch')));
    watchEntries(test);
    expect(test.log.at(-1)).toBe('error PermissionDenied');
  });

  it('end in the store when one unsubscribes', () => {
    const { store, backend } = setUp();
    backend.entries(roster).subscribe().unsubscribe();
    expect(store.last('entries').isGone).toBe(true);
  });

  it('emit entries again only where one of them differs', () => {
    const { store, backend } = setUp();
    const seen: (readonly Entry[])[] = [];
    backend.entries(roster).subscribe((entries) => seen.push(entries));
    const changes: (readonly Entry[])[] = [
      [],
      [a],
      [a, b],
      [b, a],
      // Each differs from the one before in nothing but what is named.
      [b, { ...a, id: 'x' }],
      [b, { ...a, id: 'x', token: 9n }],
      [b, { ...a, id: 'x', token: 9n, mode: 'shared' }],
      [b, { ...a, id: 'x', token: 9n, mode: 'shared', payload: new Uint8Array([1]) }],
      [b, { ...a, id: 'x', token: 9n, mode: 'shared', payload: new Uint8Array([2]) }],
      [b, { ...a, id: 'x', token: 9n, mode: 'shared', payload: new Uint8Array([2, 3]) }],
      [b],
      [],
    ];
    for (const entries of changes) {
      store.last('entries').tell(entries);
      store.last('entries').tell(entries.map((entry) => ({ ...entry, payload: entry.payload.slice() })));
    }
    expect(seen).toEqual(changes);
  });

  it('emit the names that are registered again only where one of them differs', () => {
    const { store, backend } = setUp();
    const seen: string[] = [];
    backend.registered('group').subscribe((names) => seen.push([...names].join()));
    for (const names of [[], [], ['a'], ['a'], ['b'], ['a', 'b'], ['b', 'a'], ['a']])
      store.last('registered').tell(new Set(names));
    expect(seen).toEqual(['', 'a', 'b', 'a,b', 'a']);
    expect(store.last('registered').args).toEqual(['group']);
  });

  it('emit a cell again only where its version differs', () => {
    const { store, backend } = setUp();
    const seen: unknown[] = [];
    backend.cell('c').subscribe((cell) => seen.push(cell?.version));
    const version = (n: bigint): Versioned => ({ version: n, value: new Uint8Array() });
    for (const cell of [undefined, undefined, version(1n), version(1n), version(2n), undefined])
      store.last('cell').tell(cell);
    expect(seen).toEqual([undefined, 1n, 2n, undefined]);
    expect(store.last('cell').args).toEqual(['c']);
  });
});

describe('acts', () => {
  const outcome = <T>({ log }: { log: string[] }) => ({
    next: (value: T) => log.push(`got ${value}`),
    error: (error: Error) => log.push(`error ${error.name}`),
    complete: () => log.push('complete'),
  });

  it('emit once what the store answers, and complete', () => {
    const test = setUp();
    const { store, backend, log } = test;
    store.on('evict', (call) => call.answer(true));
    backend.evict(roster, 'x').subscribe(outcome(test));
    expect(log).toEqual(['0 open', '0 evict s1', 'got true', 'complete']);
    expect(store.last('evict').args).toEqual([roster, 'x', expect.stringMatching(/^[0-9a-f]{32}$/)]);
  });

  it('are carried out for each subscription, and for none before', () => {
    const { store, backend } = setUp();
    store.on('evict', (call) => call.answer(true));
    const evicting = backend.evict(roster, 'x');
    expect(store.times('evict')).toEqual([]);
    evicting.subscribe();
    evicting.subscribe();
    expect(store.times('evict')).toEqual([0, 0]);
  });

  it('are tried again after passing failures, and when they have no answer', () => {
    const test = setUp();
    const { time, store, backend, log } = test;
    store.on('evict', (call) => {
      if (call.sentMs === 0) call.fail(unavailable());
      else if (call.sentMs > 10) call.answer(false);
    });
    backend.evict(roster, 'x').subscribe(outcome(test));
    time.pass(100);
    expect(store.times('evict')).toEqual([0, 5, 45]);
    expect(about(log, 'got', 'complete', 'error')).toEqual(['got false', 'complete']);
  });

  it('are tried in the next session when theirs was lost before they were sent', () => {
    const test = setUp();
    const { time, store, backend, log } = test;
    backend.session$.subscribe();
    store.latest.link.next(false);
    backend.evict(roster, 'x').subscribe(outcome(test));
    store.latest.link.error(expired());
    store.on('evict', (call) => call.answer(true));
    time.pass(5);
    expect(about(log, 'evict', 'got', 'error')).toEqual(['5 evict s2', 'got true']);
  });

  it('are tried in the next session when the store says that theirs had ended', () => {
    const test = setUp();
    const { time, store, backend, log } = test;
    store.on('evict', (call) => (call.session?.id === 's1' ? call.fail(expired()) : call.answer(true)));
    backend.evict(roster, 'x').subscribe(outcome(test));
    time.pass(5);
    expect(about(log, 'evict', 'got', 'error')).toEqual(['0 evict s1', '5 evict s2', 'got true']);
  });

  it('are not tried in another session when they may have been carried out: nobody could tell there', () => {
    const test = setUp();
    const { time, store, backend, log } = test;
    const acts = {
      evict: backend.evict(roster, 'x'),
      register: backend.register(roster),
      unregister: backend.unregister(roster),
      swap: backend.swap('c', 'any', undefined),
    };
    merge(
      ...Object.values(acts).map((act) => concat(act).pipe(catchError((error: Error) => of(error.name)))),
    ).subscribe((name) => log.push(`error ${name}`));
    store.on('swap', (call) => call.fail(unavailable()));
    store.latest.link.error(expired());
    time.pass(100);
    expect(about(log, 'got', 'error')).toEqual(Array.from({ length: 4 }, () => 'error OutcomeUnknown'));
    for (const act of ['evict', 'register', 'unregister', 'swap'] as const) expect(store.all(act)).toHaveLength(1);
  });

  it('are not tried in another session when the answer to an earlier try was lost, and the store has ended theirs', () => {
    const test = setUp();
    const { time, store, backend, log } = test;
    store.on('evict', (call) => call.fail(call.sentMs === 0 ? unavailable() : expired()));
    backend.evict(roster, 'x').subscribe(outcome(test));
    time.pass(100);
    expect(about(log, 'evict', 'got', 'error')).toEqual(['0 evict s1', '5 evict s1', 'error OutcomeUnknown']);
  });

  it('pass errors that waiting does not heal', () => {
    const test = setUp();
    test.store.on('evict', (call) => call.fail(new PermissionDenied('scripted', 'evict')));
    test.backend.evict(roster, 'x').subscribe(outcome(test));
    expect(test.log.slice(-1)).toEqual(['error PermissionDenied']);
  });

  it('are called back when one unsubscribes', () => {
    const { time, store, backend } = setUp();
    const subscription = backend.evict(roster, 'x').subscribe();
    subscription.unsubscribe();
    expect(store.last('evict').isGone).toBe(true);
    time.pass(200);
    expect(store.times('evict')).toEqual([0]);
  });

  it('error with BackendClosed when the backend is closed before they are answered', async () => {
    const test = setUp();
    const { backend, log } = test;
    backend.evict(roster, 'x').subscribe(outcome(test));
    const closed = backend.close();
    expect(log.filter((line) => line.startsWith('error'))).toEqual(['error BackendClosed']);
    await closed;
  });

  it('register under one id however often they are sent, and under another for each subscription', () => {
    const { time, store, backend } = setUp();
    store.on('register', (call) => (call.sentMs === 0 ? call.fail(unavailable()) : call.answer(true)));
    const registering = backend.register(roster);
    registering.subscribe();
    time.pass(10);
    registering.subscribe();
    const ids = store.all('register').map(({ args }) => args[1]);
    expect(ids).toEqual([ids[0], ids[0], ids[2]]);
    expect(ids[0]).toMatch(/^[0-9a-f]{32}$/);
    expect(ids[2]).not.toBe(ids[0]);
  });

  it('swap under one id however often they are sent, and under another for each subscription', () => {
    const { time, store, backend } = setUp();
    const result = { swapped: true, current: undefined };
    store.on('swap', (call) => (call.sentMs === 0 ? call.fail(unavailable()) : call.answer(result)));
    const value = new Uint8Array([1]);
    const swapping = backend.swap('c', 5n, value);
    swapping.subscribe();
    time.pass(10);
    swapping.subscribe();
    const ids = store.all('swap').map(({ args }) => args[3]);
    expect(ids).toEqual([ids[0], ids[0], ids[2]]);
    expect(ids[2]).not.toBe(ids[0]);
    expect(store.last('swap').args.slice(0, 3)).toEqual(['c', 5n, value]);
  });

  it('look once, and in the next session when theirs was lost: looking changes nothing', () => {
    const test = setUp();
    const { time, store, backend, log } = test;
    backend.look(roster).subscribe(outcome(test));
    store.latest.link.error(expired());
    store.on('look', (call) => call.answer([]));
    time.pass(5);
    expect(about(log, 'look', 'got', 'complete', 'error')).toEqual(['0 look s1', '5 look s2', 'got ', 'complete']);
  });

  it('refuse names and payloads that no store may see, at the call', () => {
    const { store, backend } = setUp();
    const nameless = { kind: 'lock', name: '' } as const;
    const payload = new Uint8Array();
    const wish = { mode: 'exclusive', permits: 1, payload } as const;
    for (const act of [
      () => backend.enter(nameless, wish),
      () => backend.entries(nameless),
      () => backend.look(nameless),
      () => backend.evict(nameless, 'x'),
      () => backend.register(nameless),
      () => backend.unregister(nameless),
      () => backend.cell(''),
      () => backend.swap('', 'any', undefined),
    ])
      expect(act).toThrow(expect.objectContaining({ _tag: 'InvalidName' }));
    const tooLarge = expect.objectContaining({ _tag: 'InvalidPayload' });
    expect(() => backend.swap('c', 'any', new Uint8Array(65_537))).toThrow(tooLarge);
    expect(() => backend.enter(roster, { ...wish, payload: new Uint8Array(65_537 + 8_192) })).toThrow(tooLarge);
    expect(() => backend.swap('c', 'any', new Uint8Array(65_536))).not.toThrow();
    expect(store.calls).toEqual([]);
  });

  it('do not take a session that is over for one that is open', () => {
    const { time, store, backend } = setUp();
    backend.session$.pipe(take(1)).subscribe();
    store.latest.link.error(expired());
    backend.evict(roster, 'x').subscribe();
    expect(store.times('evict')).toEqual([]);
    time.pass(5);
    expect(store.last('evict').session?.id).toBe('s2');
  });
});

describe('faults$', () => {
  it('is hot: only who listens hears it', () => {
    const { backend, faults } = setUp();
    const fault = unavailable();
    backend.reportFault(fault);
    const late = vi.fn();
    backend.faults$.subscribe(late);
    expect(faults).toEqual([fault]);
    expect(late).not.toHaveBeenCalled();
  });

  it('cannot be written to by who listens', () => {
    expect('next' in setUp().backend.faults$).toBe(false);
  });
});

describe('createBackend', () => {
  it('throws what is wrong with the options', () => {
    const { store } = setUp();
    expect(() => createBackend('scripted', memoryCharacteristics, of(store), { ttlMs: -1 })).toThrow(
      expect.objectContaining({ _tag: 'InvalidOptions' }),
    );
  });

  it('shows name, characteristics, codec and scheduler', () => {
    const { store, time } = setUp();
    const codec = { encode: () => new Uint8Array(), decode: () => undefined };
    const backend = createBackend('other', memoryCharacteristics, of(store), { scheduler: time, codec });
    expect(backend).toMatchObject({ name: 'other', characteristics: memoryCharacteristics });
    expect(backend.codec).toBe(codec);
    expect(backend.scheduler).toBe(time);
  });

  it('encodes as JSON, and takes time from the monotonic clock, unless told otherwise', async () => {
    const { time } = setUp();
    const backend = createBackend('other', memoryCharacteristics, of(new ScriptedStore(time)), {});
    expect(backend.codec.decode(backend.codec.encode({ a: [1] }))).toEqual({ a: [1] });
    const before = performance.now();
    expect(backend.scheduler.now()).toBeGreaterThanOrEqual(before);
    expect(backend.scheduler.now()).toBeLessThanOrEqual(performance.now());
    await backend.close();
  });
});
