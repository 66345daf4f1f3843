import { EMPTY, NEVER, Subject } from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { Backend, EntryRequest } from '../../src/backends/backend.js';
import { PlaceLost, SessionLost } from '../../src/backends/errors.js';
import { chance, roster, setUp } from './scripted-store.js';

const about = (log: readonly string[], ...words: string[]): string[] =>
  log.filter((line) => words.some((word) => line.includes(word)));
const wish: EntryRequest = { mode: 'exclusive', permits: 1, payload: new Uint8Array() };

chance(0);

describe('draining', () => {
  it('goes on under a session that is renewed, for many lifetimes, until the work is done; then releases at once', async () => {
    const { time, store, backend, enter, log, watchSession } = setUp();
    watchSession();
    const { places, leave } = enter({ onDrain: 'work' });
    const closed = backend.close({ drainMs: 1_000 }).then(() => log.push('closed'));
    await time.passWithPromises(400);
    expect([places[0]?.isValid(), places[0]?.signal.aborted]).toEqual([true, false]);
    expect(places[0]?.draining.reason).toMatchObject({ _tag: 'BackendClosed', backend: 'scripted' });
    expect(store.times('renew')).toHaveLength(20);
    leave();
    await closed;
    expect(about(log, 'live', 'draining', 'aborted', 'leave', 'end', 'session$', 'closed')).toEqual([
      '0 live',
      '0 draining',
      '400 place aborted',
      '400 leave s1',
      '400 end s1',
      '400 session$ complete',
      'closed',
    ]);
    expect(time.pending).toBe(0);
  });

  it('aborts what is left at drainMs, and then closes as ever', async () => {
    const { time, backend, enter, log } = setUp();
    const { places } = enter({ onDrain: 'work' });
    const closed = backend.close({ drainMs: 300 });
    await time.passWithPromises(299);
    expect(places[0]?.isValid()).toBe(true);
    await time.passWithPromises(1);
    expect(places[0]?.signal.reason).toMatchObject({ _tag: 'BackendClosed' });
    await closed;
    expect(about(log, 'complete', 'aborted', 'leave', 'end')).toEqual([
      '300 place complete',
      '300 place aborted',
      '300 end s1',
    ]);
    expect(time.pending).toBe(0);
  });

  it('who waits leaves the line at once, also where the store has not answered yet, or there is no session', async () => {
    const { time, store, backend, enter, log } = setUp();
    enter({ onDrain: 'work' }, 'holder');
    store.on('enter', (call) => call.answer(store.standing(1)));
    enter({ onDrain: 'work' }, 'waiter');
    store.on('enter', (call) => call.later(10, () => call.answer(store.standing(1))));
    enter({ onDrain: 'work' }, 'entering');
    const closed = backend.close({ drainMs: 100 });
    expect(about(log, 'complete', 'leave')).toEqual(['0 waiter complete', '0 leave s1', '0 entering complete']);
    await time.passWithPromises(10);
    expect(store.ids('leave')).toEqual(store.ids('enter').slice(1));
    await time.passWithPromises(90);
    await closed;
    const unconnected = setUp();
    unconnected.store.hold('open');
    unconnected.enter({ onDrain: 'work' });
    const end = unconnected.backend.close({ drainMs: 100 });
    expect(about(unconnected.log, 'complete')).toEqual(['0 place complete']);
    await end;
  });

  it('nobody enters any more, while what looks and what writes goes on', async () => {
    const { time, store, backend, enter, log } = setUp();
    const { leave } = enter({ onDrain: 'work' });
    const seen: unknown[] = [];
    const looking = (name: string) => ({ next: () => seen.push(name), complete: () => seen.push(`${name} over`) });
    store.on('entries', (call) => call.tell([]));
    store.on('look', (call) => call.answer([]));
    store.on('swap', (call) => call.answer({ swapped: true, current: undefined }));
    backend.entries(roster).subscribe(looking('before'));
    const closed = backend.close({ drainMs: 1_000 });
    backend.enter(roster, wish).subscribe({ error: (error) => seen.push(error._tag) });
    await time.passWithPromises(1);
    backend.entries({ ...roster, name: 'm' }).subscribe(looking('during'));
    backend.look(roster).subscribe(looking('look'));
    backend.swap('config', 'any', undefined).subscribe(looking('swap'));
    expect(seen).toEqual(['before', 'BackendClosed', 'during', 'look', 'look over', 'swap', 'swap over']);
    leave();
    await closed;
    expect(seen.slice(7)).toEqual(['before over', 'during over']);
    expect(about(log, 'enter')).toHaveLength(1);
  });

  it('what does not wish to stay leaves at once, and whose place is to stay does so until the work is done', async () => {
    const { time, backend, enter, log } = setUp();
    enter({ onDrain: 'leave' }, 'leader');
    enter({}, 'other');
    const member = enter({ onDrain: 'stay' }, 'member');
    const { leave } = enter({ onDrain: 'work' }, 'holder');
    const closed = backend.close({ drainMs: 1_000 });
    await time.passWithPromises(200);
    expect(about(log, 'complete')).toEqual(['0 leader complete', '0 other complete']);
    expect(member.places[0]?.isValid()).toBe(true);
    leave();
    await closed;
    expect(about(log, 'complete')).toEqual(['0 leader complete', '0 other complete', '200 member complete']);
  });

  it('is not told to one who has left before, nor to one who leaves because another was told', async () => {
    const { time, backend, enter } = setUp();
    const before = enter({ onDrain: 'work', beforeLeave: () => NEVER });
    before.leave();
    const first = enter({ onDrain: 'work' });
    const second = enter({ onDrain: 'work' });
    first.places[0]?.draining.addEventListener('abort', () => {
      first.leave();
      second.leave();
    });
    const closed = backend.close({ drainMs: 10 });
    expect([before, first, second].map(({ places }) => places[0]?.draining.aborted)).toEqual([false, true, false]);
    await time.passWithPromises(200);
    await closed;
  });

  it('does not wait for one who waits in line, whatever is to come to its end before he leaves it', async () => {
    const { time, store, backend, enter, log } = setUp();
    store.on('enter', (call) => call.answer(store.standing(1)));
    enter({ onDrain: 'work', beforeLeave: () => NEVER });
    const closed = backend.close({ drainMs: 1_000 });
    await time.passWithPromises(200);
    await closed;
    expect(about(log, 'complete', 'end s1')).toEqual(['0 place complete', '94 end s1']);
  });

  it('is over, and nothing is tried again, where it is begun by who is told that the last of the work is lost', async () => {
    const { store, backend, enter, log } = setUp();
    const { places } = enter({ onDrain: 'work' });
    let closed: Promise<void> | undefined;
    places[0]?.signal.addEventListener('abort', () => {
      closed = backend.close({ drainMs: 1_000 });
    });
    store.last('place').fail(new PlaceLost('lock "l"', 'evicted'));
    await closed;
    expect(about(log, 'place ', 'end')).toEqual([
      '0 place admitted',
      '0 place s1',
      '0 place aborted',
      '0 place complete',
      '0 end s1',
    ]);
  });

  it('is over at once where nobody works, though there are members', async () => {
    const { time, backend, enter, log, watchSession } = setUp();
    watchSession();
    enter({ onDrain: 'stay' });
    await backend.close({ drainMs: 10_000 });
    expect(log.slice(-6)).toEqual([
      '0 draining',
      '0 place complete',
      '0 place aborted',
      '0 end s1',
      '0 cut',
      '0 session$ complete',
    ]);
    expect(time.pending).toBe(0);
  });

  it('waits for guarded work of one who has unsubscribed before', async () => {
    const { time, backend, enter, log } = setUp();
    const work = new Subject<never>();
    enter({ onDrain: 'work', beforeLeave: () => work }).leave();
    const closed = backend.close({ drainMs: 1_000 });
    await time.passWithPromises(300);
    expect(about(log, 'end', 'leave')).toEqual([]);
    work.complete();
    await closed;
    expect(about(log, 'end', 'leave')).toEqual(['300 leave s1', '300 end s1']);
  });

  it('gives guarded work that is left at drainMs until the deadline that holds then', async () => {
    const { time, backend, enter, log } = setUp();
    enter({ onDrain: 'work', beforeLeave: () => NEVER });
    const closed = backend.close({ drainMs: 250 });
    await time.passWithPromises(400); // proved at 240
    await closed;
    expect(about(log, 'aborted', 'PlaceLost', 'end')).toEqual([
      '250 place aborted',
      '334 place PlaceLost',
      '334 end s1',
    ]);
  });

  it('tells a loss as ever, and closes when that was the last of the work', async () => {
    for (const how of ['evicted', 'session lost'] as const) {
      const { time, store, backend, enter, log } = setUp();
      enter({ onDrain: 'work' });
      const closed = backend.close({ drainMs: 10_000 });
      await time.passWithPromises(150);
      if (how === 'evicted') store.last('place').fail(new PlaceLost('lock "l"', 'evicted'));
      else store.latest.link.error(new SessionLost('s1', 'expired', true));
      await closed;
      expect(about(log, 'PlaceLost', 'complete')).toEqual(['150 place PlaceLost']);
      expect(time.pending).toBe(0);
    }
  });

  it('CutShort: who closes again, or disposes, to know when it is over waits for the drain, and does not cut it short', async () => {
    const again: ((backend: Backend) => PromiseLike<void>)[] = [
      (backend) => backend.close(),
      (backend) => backend.close({}),
      (backend) => backend.close({ drainMs: undefined }),
      (backend) => backend[Symbol.asyncDispose](),
      ({ close }) => (close as (...args: unknown[]) => Promise<void>)('SIGTERM', 15),
    ];
    for (const wait of again) {
      const { time, backend, enter, log } = setUp();
      const { leave } = enter({ onDrain: 'work' });
      const first = backend.close({ drainMs: 300 });
      await time.passWithPromises(100);
      expect(wait(backend)).toBe(first);
      await time.passWithPromises(100);
      expect(about(log, 'aborted', 'end')).toEqual([]);
      leave();
      await first;
      expect(about(log, 'end')).toEqual(['200 end s1']);
      expect(time.pending).toBe(0);
    }
  });

  it('another call that says drainMs ends the drain, at once or earlier, and never later', async () => {
    for (const [again, endMs] of [
      [{ drainMs: 0 }, 100],
      [{ drainMs: 50 }, 150],
      [{ drainMs: 5_000 }, 300],
    ] as const) {
      const { time, backend, enter, log } = setUp();
      enter({ onDrain: 'work' });
      const first = backend.close({ drainMs: 300 });
      await time.passWithPromises(100);
      expect(backend.close(again)).toBe(first);
      await time.passWithPromises(300);
      await first;
      expect(about(log, 'end')).toEqual([`${endMs} end s1`]);
      expect(time.pending).toBe(0);
    }
  });

  it('is closed by whoever is told that it drains', async () => {
    const { backend, enter, log } = setUp();
    const { places } = enter({ onDrain: 'work' });
    places[0]?.draining.addEventListener('abort', () => void backend.close({ drainMs: 0 }));
    await backend.close({ drainMs: 10_000 });
    expect(about(log, 'aborted', 'end')).toEqual(['0 place aborted', '0 end s1']);
  });

  it('says draining, and nothing else until it is closed, to those who come later too', async () => {
    const { time, store, backend, enter } = setUp();
    enter({ onDrain: 'work' });
    const seen: string[] = [];
    const watch = () =>
      backend.session$.subscribe({ next: ({ state }) => seen.push(state), complete: () => seen.push('over') });
    watch();
    const closed = backend.close({ drainMs: 50 });
    store.latest.link.next(false);
    await time.passWithPromises(10);
    watch();
    expect(seen).toEqual(['live', 'draining', 'draining']);
    store.latest.link.next(true);
    await time.passWithPromises(100);
    await closed;
    watch();
    expect(seen.slice(3)).toEqual(['over', 'over', 'over']);
  });

  it('of a backend that was never used asks the store for nothing', async () => {
    const { backend, log } = setUp();
    await backend.close({ drainMs: 10_000 });
    expect(log).toEqual([]);
  });

  it('is nothing with drainMs 0, and refuses what cannot be', async () => {
    const { backend, enter, log, watchSession } = setUp();
    watchSession();
    enter({ onDrain: 'work', beforeLeave: () => EMPTY });
    for (const wrong of [{ drainMs: -1 }, { drainMs: Number.NaN }, { drain: 5 }])
      expect(() => backend.close(wrong as never)).toThrow(expect.objectContaining({ _tag: 'InvalidOptions' }));
    await backend.close({ drainMs: 0 });
    expect(about(log, 'draining', 'aborted', 'end')).toEqual(['0 place aborted', '0 end s1']);
  });
});

describe('close', () => {
  it('may be handed over as a listener: what it is told then is no options', async () => {
    const { backend, enter, log } = setUp();
    enter({ onDrain: 'work' });
    const listener: (...args: never[]) => Promise<void> = backend.close;
    await listener('SIGTERM' as never, 15 as never);
    expect(about(log, 'end')).toEqual(['0 end s1']);
  });
});

describe('the reason of a signal', () => {
  it('tells a loss from a release from a close', async () => {
    const lost = setUp();
    const { places: gone } = lost.enter();
    lost.store.last('place').fail(new PlaceLost('l', 'evicted'));
    expect(gone[0]?.signal.reason).toMatchObject({ _tag: 'PlaceLost', reason: 'evicted' });

    const released = setUp();
    const { places: left, leave } = released.enter();
    leave();
    expect(left[0]?.signal.reason).toMatchObject({ _tag: 'Released', roster: 'lock "l"' });
    expect(left[0]?.signal.reason.message).toContain('lock "l" was released: the subscription ended');

    const { backend, enter } = setUp();
    const { places: closed } = enter();
    await backend.close();
    expect(closed[0]?.signal.reason).toMatchObject({ _tag: 'BackendClosed', backend: 'scripted' });
    expect(closed[0]?.draining.aborted).toBe(true);
  });
});
