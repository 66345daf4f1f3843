import { describe, expect, it } from 'vitest';
import { GroupNotFound, SessionLost, Unavailable } from '../../src/backends/errors.js';
import { MOST_ENTERING } from '../../src/backends/kernel/lease.js';
import { Turn, Window } from '../../src/backends/kernel/window.js';
import type { StandRequest } from '../../src/backends/store.js';
import { chance, type SetUp, setUp } from './scripted-store.js';

chance(0);

/** So many in a burst that these are kept waiting. */
const LATE = 3;

/** Enters so many at once that `LATE` of them wait, while the store answers nobody. */
function burst(options?: Parameters<typeof setUp>[0]): SetUp & { readonly all: ReturnType<SetUp['enter']>[] } {
  const at = setUp(options);
  at.store.hold('enter');
  return { ...at, all: Array.from({ length: MOST_ENTERING + LATE }, () => at.enter()) };
}

describe('a burst of those who enter', () => {
  it('reaches the store so many at a time, and in order', () => {
    const { store } = burst();
    expect(store.all('enter')).toHaveLength(MOST_ENTERING);
    const [first, second] = store.all('enter');
    second?.answer(store.standing());
    expect(store.all('enter')).toHaveLength(MOST_ENTERING + 1);
    first?.answer(store.standing());
    expect(store.all('enter')).toHaveLength(MOST_ENTERING + 2);
  });

  it('is asked for in the order in which they came, and all of it', () => {
    const { store, enter } = setUp();
    store.hold('enter');
    const numbers = Array.from({ length: MOST_ENTERING + LATE }, (_, at) => at);
    for (const at of numbers) enter({ payload: new Uint8Array([at]) });
    store.on('enter', (call) => call.answer(store.standing()));
    for (const call of store.all('enter').reverse()) call.answer(store.standing());
    expect(store.all('enter').map(({ args }) => (args[1] as StandRequest).payload[0])).toEqual(numbers);
  });

  it('does not keep a renewal waiting, nor a release', () => {
    const { time, store, enter } = setUp();
    const { leave } = enter();
    store.hold('enter');
    for (let at = 0; at < MOST_ENTERING + LATE; at++) enter();
    leave();
    expect(store.times('leave')).toEqual([0]);
    time.pass(20);
    expect(store.times('renew')).toEqual([20]);
  });

  it('is not unanswered while it waits: the time for the answer runs from when it was sent', () => {
    const { time, store } = burst();
    time.pass(29);
    store.all('enter')[0]?.answer(store.standing());
    const late = store.last('enter');
    expect(late.sentMs).toBe(29);
    time.pass(29);
    expect(late.isGone).toBe(false);
    time.pass(1);
    expect(late.isGone).toBe(true);
  });

  it('gives its room up to the next where it fails, for good or for now', () => {
    const { store } = burst();
    store.all('enter')[0]?.fail(new GroupNotFound('l'));
    expect(store.all('enter')).toHaveLength(MOST_ENTERING + 1);
    store.all('enter')[1]?.fail(new Unavailable('scripted', 'it'));
    expect(store.all('enter')).toHaveLength(MOST_ENTERING + 2);
  });

  it('sends nothing for one who leaves while it waits, and leaves no doubt about it', () => {
    const { store, all } = burst();
    all[MOST_ENTERING]?.leave();
    expect(store.all('leave')).toEqual([]);
    for (const call of store.all('enter')) call.answer(store.standing());
    expect(store.all('enter')).toHaveLength(MOST_ENTERING + LATE - 1);
  });

  it('keeps its room while one who has left is under way: the store is still at it', () => {
    const { store, all } = burst();
    all[0]?.leave();
    expect(store.all('enter')).toHaveLength(MOST_ENTERING);
    store.all('enter')[0]?.answer(store.standing());
    expect(store.all('enter')).toHaveLength(MOST_ENTERING + 1);
  });

  it('waits for the link, and not for room, once that breaks', () => {
    const { time, store, log } = burst();
    store.latest.link.next(false);
    for (const call of store.all('enter')) call.fail(new Unavailable('scripted', 'it'));
    expect(store.all('enter')).toHaveLength(MOST_ENTERING);
    time.pass(8);
    store.on('enter', (call) => call.answer(store.standing()));
    store.latest.link.next(true);
    expect(log.filter((line) => line.includes('admitted'))).toHaveLength(MOST_ENTERING + LATE);
  });

  it('sends nothing more in a session that is over', () => {
    const { store } = burst();
    store.latest.link.error(new SessionLost('s1', 'the store has ended it', true));
    expect(store.all('enter')).toHaveLength(MOST_ENTERING);
  });

  it('sends nothing more while the backend closes', () => {
    const { time, store, backend } = burst();
    void backend.close({ drainMs: 0 });
    time.pass(100);
    expect(store.all('enter')).toHaveLength(MOST_ENTERING);
  });

  it('is let in one after the other, and not one within the other, where each is answered at once', () => {
    const window = new Window(1);
    let depth = 0;
    let deepest = 0;
    let runs = 0;
    const turns = Array.from({ length: 10_000 }, () => {
      const turn = new Turn(window, () => {
        runs++;
        deepest = Math.max(deepest, ++depth);
        if (runs > 1) turn.leave();
        depth--;
      });
      return turn;
    });
    for (const turn of turns) turn.take();
    expect(runs).toBe(1);
    turns[0]?.leave();
    expect([runs, deepest]).toEqual([10_000, 1]);
  });
});
