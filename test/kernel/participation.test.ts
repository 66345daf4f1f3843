import { EMPTY, NEVER, Observable, of, Subject, take, throwError } from 'rxjs';
import { describe, expect, it, vi } from 'vitest';
import { GroupNotFound, PermissionDenied, PlaceLost, SessionLost, Unavailable } from '../../src/backends/errors.js';
import type { StandRequest } from '../../src/backends/store.js';
import { chance, roster, setUp } from './scripted-store.js';

const unavailable = (): Unavailable => new Unavailable('scripted', 'it');
const bytes = (...values: number[]): Uint8Array => new Uint8Array(values);
const about = (log: readonly string[], ...words: string[]): string[] =>
  log.filter((line) => words.some((word) => line.includes(word)));

chance(0);

describe('standing in line', () => {
  it('waits for its answer from when it was sent, not while it stands in a queue of the adapter’s own', () => {
    const { time, store, enter, log } = setUp();
    store.isQueueing = true;
    store.hold('enter');
    enter();
    time.pass(50);
    expect(store.times('enter')).toEqual([0]);
    (store.last('enter').args[1] as StandRequest).sent();
    time.pass(29);
    expect(store.last('enter').isGone).toBe(false);
    time.pass(1);
    expect(store.last('enter').isGone).toBe(true);
    time.pass(10);
    expect(store.times('enter')).toEqual([0, 85]);
    expect(about(log, 'leave')).toEqual([]);
  });

  it('waits for the answer to a leave, too, from when it was sent', () => {
    const { time, store, enter, log, faults } = setUp();
    const { leave } = enter();
    store.isQueueing = true;
    store.hold('leave');
    leave();
    time.pass(50);
    expect(faults).toEqual([]);
    (store.last('leave').args[1] as StandRequest).sent();
    time.pass(29);
    expect(faults).toEqual([]);
    time.pass(1);
    expect(faults).toMatchObject([{ name: 'ReleaseFailed' }]);
    time.pass(10);
    expect(about(log, 'leave')).toHaveLength(2);
  });

  it('asks the store once, with an id made here, and tells the place', () => {
    const { store, enter, log } = setUp();
    const { places } = enter({ mode: 'shared', permits: 3, payload: bytes(7) });
    expect(about(log, 'enter', 'place', 'admitted')).toEqual(['0 enter s1', '0 place admitted', '0 place s1']);
    expect(store.last('enter').args).toEqual([
      roster,
      {
        id: expect.stringMatching(/^[0-9a-f]{32}$/),
        mode: 'shared',
        permits: 3,
        payload: bytes(7),
        registered: false,
        sent: expect.any(Function),
      },
    ]);
    expect(places).toMatchObject([{ entry: { id: 'e1', token: 1n }, admitted: true, ahead: 0 }]);
    expect(store.last('place').args).toEqual([
      roster,
      store.last('enter').args[1],
      { ahead: 0, entry: places[0]?.entry },
    ]);
  });

  it('asks for a registered roster only where that is wished', () => {
    const { store, enter } = setUp();
    enter({ registered: true });
    expect(store.last('enter').args[1]).toMatchObject({ registered: true });
  });

  it('is under another id for each subscription', () => {
    const { store, enter } = setUp();
    enter();
    enter();
    expect(new Set(store.ids('enter')).size).toBe(2);
  });

  it('tells its place once, and once more when it is admitted, however often the store tells where it stands', () => {
    const { store, enter, log } = setUp();
    store.on('enter', (call) => call.answer(store.standing(3)));
    const { places } = enter({ permits: 2 });
    for (const ahead of [3, 2, 1, 1, 0, 0]) store.last('place').tell(ahead);
    expect(about(log, 'behind', 'admitted')).toEqual(['0 place behind 3', '0 place admitted']);
    expect(places.map(({ ahead }) => ahead)).toEqual([3, 1]);
    expect(places.map(({ admitted }) => admitted)).toEqual([false, true]);
    expect(places.map((place) => place.isValid())).toEqual([false, true]);
  });

  it('says that the store admits nobody, while that keeps it out, and never once it is admitted', () => {
    const { store, enter } = setUp();
    store.on('enter', (call) => call.answer({ ...store.standing(1), barred: true }));
    const { places } = enter();
    store.last('place').tell(0);
    store.on('enter', (call) => call.answer(store.standing(1)));
    const other = enter();
    expect(places.map(({ barred }) => barred)).toEqual([true, undefined]);
    expect(other.places.map(({ barred }) => barred)).toEqual([undefined]);
    for (const place of [places[1], other.places[0]]) expect(place).not.toHaveProperty('barred');
  });

  it('is behind nobody where any number may stand beside each other, whatever the store has counted', () => {
    const { store, enter } = setUp();
    store.on('enter', (call) => call.answer(store.standing(3)));
    const { places } = enter({ mode: 'shared', permits: Number.POSITIVE_INFINITY });
    expect(places).toMatchObject([{ admitted: true, ahead: 0 }]);
  });

  it('tells that it is not admitted any longer, should a store say so', () => {
    const { store, enter, log } = setUp();
    enter();
    store.last('place').tell(1);
    store.last('place').tell(0);
    expect(about(log, 'behind', 'admitted')).toEqual(['0 place admitted', '0 place behind 1', '0 place admitted']);
  });

  it('is valid no longer when another of its session is told the loss first', () => {
    const { store, enter } = setUp();
    const [first, second] = [enter(), enter()];
    const seen: unknown[] = [];
    first.places[0]?.signal.addEventListener('abort', () => seen.push(second.places[0]?.isValid()));
    expect(second.places[0]?.isValid()).toBe(true);
    store.latest.link.error(new SessionLost('s1', 'expired', true));
    expect(seen).toEqual([false]);
  });

  it('goes to the next session where the first is over before it is asked for', () => {
    const { time, store, enter, log, backend } = setUp();
    backend.session$.subscribe();
    store.latest.link.error(new SessionLost('s1', 'expired', true));
    enter();
    expect(about(log, 'enter')).toEqual([]);
    time.pass(5);
    expect(about(log, 'enter', 'admitted')).toEqual(['5 enter s2', '5 place admitted']);
  });

  it('is enough for one who takes the first place only: the entry leaves, however fast the store answers', () => {
    for (const answersAtOnce of [true, false]) {
      const { time, store, backend } = setUp();
      store.on('open', (call) => call.later(1, () => call.tell(store.session())));
      if (!answersAtOnce) store.on('enter', (call) => call.later(1, () => call.answer(store.standing())));
      backend.enter(roster, { mode: 'exclusive', permits: 1, payload: bytes() }).pipe(take(1)).subscribe();
      time.pass(5);
      expect(store.ids('leave')).toEqual(store.ids('enter'));
      expect(store.times('place')).toEqual([]);
    }
  });

  it('is enough for one who takes the first place only: nothing more is asked while its work comes to an end', () => {
    const { time, store, backend } = setUp();
    store.on('open', (call) => call.later(1, () => call.tell(store.session())));
    const wish = { mode: 'exclusive', permits: 1, payload: bytes(), beforeLeave: () => NEVER } as const;
    backend.enter(roster, wish).pipe(take(1)).subscribe();
    time.pass(5);
    expect(store.times('enter')).toEqual([1]);
    expect(store.times('place')).toEqual([]);
  });
});

describe('an enter that is answered', () => {
  it('is over with its first answer, though the store has more to say', () => {
    const { store, enter, log } = setUp();
    store.on('enter', (call) => {
      call.tell(store.standing());
      call.tell(store.standing());
    });
    const { places } = enter();
    expect(store.last('enter').isGone).toBe(true);
    expect(about(log, 'place ')).toEqual(['0 place admitted', '0 place s1']);
    expect(places[0]?.entry.token).toBe(1n);
  });
});

describe('an enter that ends without an answer', () => {
  it('is taken back, in doubt, by whoever leaves before or after', () => {
    for (const leavesAtMs of [5, 15]) {
      const { time, store, enter, log } = setUp();
      store.on('enter', (call) => call.later(10, () => call.done()));
      const { leave } = enter();
      time.schedule(leave, leavesAtMs);
      time.pass(20);
      expect(about(log, 'leave')).toEqual([`${Math.max(10, leavesAtMs)} leave s1`]);
      expect(store.last('leave').args[2]).toBe(true);
    }
  });
});

describe('an enter whose reply is lost', () => {
  it('is sent again under the same id after a pause, until it is answered', () => {
    const { time, store, enter, log } = setUp();
    store.on('enter', (call) => (call.sentMs < 15 ? call.fail(unavailable()) : call.answer(store.standing())));
    enter();
    time.pass(20);
    expect(about(log, 'enter', 'admitted')).toEqual(['0 enter s1', '5 enter s1', '15 enter s1', '15 place admitted']);
    expect(new Set(store.ids('enter')).size).toBe(1);
    expect(store.times('leave')).toEqual([]);
  });

  it('counts as lost when it is unanswered for requestTimeoutMs', () => {
    const { time, store, enter, log } = setUp();
    store.on('enter', (call) => {
      if (call.sentMs > 0) call.answer(store.standing());
    });
    enter();
    time.pass(40);
    expect(about(log, 'enter', 'admitted')).toEqual(['0 enter s1', '35 enter s1', '35 place admitted']);
    expect(new Set(store.ids('enter')).size).toBe(1);
    expect(store.all('enter')[0]?.isGone).toBe(true);
  });

  it('is not sent again while the link is down', () => {
    const { time, store, enter, log } = setUp();
    store.on('enter', (call) => (call.sentMs === 0 ? call.fail(unavailable()) : call.answer(store.standing())));
    enter();
    store.latest.link.next(false);
    time.pass(30);
    expect(about(log, 'enter')).toEqual(['0 enter s1']);
    store.latest.link.next(true);
    expect(about(log, 'enter', 'admitted')).toEqual(['0 enter s1', '30 enter s1', '30 place admitted']);
  });

  it('is given up with the session, without a leave: the entry is gone with it', () => {
    const { time, store, enter, log } = setUp();
    store.on('enter', (call) => call.fail(unavailable()));
    store.hold('renew');
    enter();
    time.pass(94);
    expect(about(log, 'place')).toEqual(['94 place PlaceLost']);
    expect(store.times('leave')).toEqual([]);
  });

  it('does not put anybody in line when it arrives after the session was lost', () => {
    const { time, store, enter, log } = setUp();
    store.hold('enter', 'renew');
    enter();
    store.on('enter', () => undefined);
    time.pass(94);
    const late = store.all('enter')[0];
    late?.answer(store.standing());
    expect(about(log, 'place')).toEqual(['94 place PlaceLost']);
  });
});

describe('an enter that is answered after the deadline, before its timer', () => {
  it('is told as the loss, and never as a place', () => {
    const { time, store, enter, log } = setUp();
    store.hold('enter');
    enter();
    time.block(94);
    store.last('enter').answer(store.standing());
    expect(about(log, 'place')).toEqual(['94 place PlaceLost']);
  });

  it('does not admit one who waited: the word comes after the deadline', () => {
    const { time, store, enter, log } = setUp();
    store.on('enter', (call) => call.answer(store.standing(1)));
    enter();
    time.block(94);
    store.last('place').tell(0);
    expect(about(log, 'place ')).toEqual(['0 place behind 1', '0 place s1', '94 place aborted', '94 place PlaceLost']);
  });
});

describe('an enter that is refused', () => {
  const notFound = new GroupNotFound('l');

  it('errors with what the store said, and leaves nothing behind', () => {
    const { store, backend, time } = setUp();
    store.on('enter', (call) => call.fail(notFound));
    const errors: unknown[] = [];
    backend.enter(roster, { mode: 'shared', permits: 1, payload: bytes() }).subscribe({ error: (e) => errors.push(e) });
    time.pass(50);
    expect(errors).toEqual([notFound]);
    expect(store.times('enter')).toEqual([0]);
    expect(store.times('leave')).toEqual([]);
  });

  it('takes back the tries before it that may have been carried out', () => {
    const { time, store, enter, log } = setUp();
    store.on('enter', (call) => call.fail(call.sentMs === 0 ? unavailable() : notFound));
    enter();
    time.pass(6);
    expect(about(log, 'leave', 'GroupNotFound').sort()).toEqual(['5 leave s1', '5 place GroupNotFound']);
    expect(store.last('leave').args[2]).toBe(true);
    expect(store.ids('leave')).toEqual([store.ids('enter')[0]]);
  });
});

describe('unsubscribing', () => {
  it('takes the entry out, aborts the signal and makes the place invalid', () => {
    const { store, enter, log } = setUp();
    const { places, leave } = enter();
    leave();
    expect(about(log, 'aborted', 'leave')).toEqual(['0 place aborted', '0 leave s1']);
    expect(places[0]?.isValid()).toBe(false);
    expect(store.last('leave').args).toEqual([roster, store.last('enter').args[1], false]);
    expect(store.last('place').isGone).toBe(true);
  });

  it('while an enter is under way leaves when it has been answered', () => {
    const { time, store, enter, log } = setUp();
    store.on('enter', (call) => call.later(10, () => call.answer(store.standing())));
    const { leave } = enter();
    time.pass(5);
    leave();
    expect(about(log, 'leave')).toEqual([]);
    time.pass(20);
    expect(about(log, 'leave', 'place')).toEqual(['10 leave s1']);
    expect(store.last('leave').args[2]).toBe(false);
  });

  it('while an enter is under way that fails leaves in doubt, and does not enter again', () => {
    const { time, store, enter, log } = setUp();
    store.on('enter', (call) => call.later(10, () => call.fail(unavailable())));
    const { leave } = enter();
    time.pass(5);
    leave();
    time.pass(50);
    expect(about(log, 'enter', 'leave')).toEqual(['0 enter s1', '10 leave s1']);
    expect(store.last('leave').args[2]).toBe(true);
    expect(store.ids('leave')).toEqual(store.ids('enter'));
  });

  it('while an enter is under way that is never answered leaves in doubt after requestTimeoutMs', () => {
    const { time, store, enter, log } = setUp();
    store.hold('enter');
    const { leave } = enter();
    time.pass(5);
    leave();
    time.pass(50);
    expect(about(log, 'enter', 'leave')).toEqual(['0 enter s1', '30 leave s1']);
    expect(store.last('leave').args[2]).toBe(true);
  });

  it('in the pause after a failed enter leaves in doubt at once', () => {
    const { time, store, enter, log } = setUp();
    store.on('enter', (call) => call.fail(unavailable()));
    const { leave } = enter();
    time.pass(2);
    leave();
    time.pass(50);
    expect(about(log, 'enter', 'leave')).toEqual(['0 enter s1', '2 leave s1']);
    expect(store.last('leave').args[2]).toBe(true);
  });

  it('keeps the doubt of an earlier try though the last one was answered', () => {
    const { time, store, enter } = setUp();
    store.on('enter', (call) => (call.sentMs === 0 ? call.fail(unavailable()) : call.answer(store.standing())));
    const { leave } = enter();
    time.pass(6);
    leave();
    expect(store.last('leave').args[2]).toBe(true);
  });

  it('before an enter was sent sends nothing at all', () => {
    const { time, store, enter, log } = setUp();
    store.on('open', (call) => call.tell(store.session({ linked: false })));
    const { leave } = enter();
    time.pass(5);
    leave();
    store.latest.link.next(true);
    time.pass(5);
    expect(about(log, 'enter', 'leave')).toEqual([]);
  });

  it('while an enter waits in the adapter’s own queue withdraws it, and nothing is in doubt', () => {
    const { time, store, enter, log } = setUp();
    store.isQueueing = true;
    store.hold('enter');
    const { leave } = enter();
    time.pass(5);
    leave();
    expect(store.last('enter').isGone).toBe(true);
    time.pass(100);
    expect(about(log, 'enter', 'leave')).toEqual(['0 enter s1']);
  });

  it('before a session was open sends nothing at all', () => {
    const { time, store, enter, log } = setUp();
    store.on('open', (call) => call.later(5, () => call.tell(store.session())));
    enter().leave();
    time.pass(10);
    expect(about(log, 'enter', 'leave')).toEqual([]);
  });

  it('twice, or after the loss, leaves once or not at all', () => {
    const { time, store, enter, log } = setUp();
    store.hold('renew');
    const { leave } = enter();
    leave();
    leave();
    expect(about(log, 'leave')).toHaveLength(1);
    const second = enter();
    time.pass(94);
    second.leave();
    expect(about(log, 'leave')).toHaveLength(1);
  });

  it('in the midst of the first place leaves', () => {
    const { store, backend } = setUp();
    backend.session$.subscribe();
    backend.enter(roster, { mode: 'exclusive', permits: 1, payload: bytes() }).pipe(take(1)).subscribe();
    expect(store.times('leave')).toEqual([0]);
    expect(store.all('place').every(({ isGone }) => isGone)).toBe(true);
  });
});

describe('a leave', () => {
  it('is sent again after each failure, each of which is reported, until it is answered', () => {
    const { time, store, enter, log, faults } = setUp();
    store.on('leave', (call) => (call.sentMs < 15 ? call.fail(unavailable()) : call.done()));
    enter().leave();
    time.pass(100);
    expect(about(log, 'leave')).toEqual(['0 leave s1', '5 leave s1', '15 leave s1']);
    expect(new Set(store.ids('leave')).size).toBe(1);
    expect(faults).toMatchObject([
      { _tag: 'ReleaseFailed', subject: 'lock "l"', cause: { _tag: 'Unavailable' } },
      { _tag: 'ReleaseFailed' },
    ]);
  });

  it('that fails is reported with the address of the store', () => {
    const { store, enter, faults } = setUp();
    store.on('leave', (call) => call.fail(unavailable()));
    enter().leave();
    expect(faults).toMatchObject([{ _tag: 'ReleaseFailed', backend: 'scripted', address: 'nowhere:1' }]);
  });

  it('is sent again until the session is over, and no longer', () => {
    const { time, store, enter, faults } = setUp();
    store.hold('leave', 'renew');
    enter().leave();
    time.pass(500);
    expect(store.times('leave')).toEqual([0, 35, 75]);
    expect(faults.map(({ _tag }) => _tag)).toEqual(['ReleaseFailed', 'ReleaseFailed']);
  });

  it('that is refused is reported, and not sent again', () => {
    const { time, store, enter, faults } = setUp();
    store.on('leave', (call) => call.fail(new PermissionDenied('scripted', 'leave')));
    enter().leave();
    time.pass(90);
    expect(store.times('leave')).toEqual([0]);
    expect(faults).toMatchObject([{ _tag: 'ReleaseFailed', cause: { _tag: 'PermissionDenied' } }]);
  });

  it('that finds the session ended by the store is no fault', () => {
    const { store, enter, faults } = setUp();
    store.on('leave', (call) => call.fail(new SessionLost('s1', 'expired', true)));
    enter().leave();
    expect(faults).toEqual([]);
  });

  it('waits for the link', () => {
    const { time, store, enter, log } = setUp();
    const { leave } = enter();
    store.latest.link.next(false);
    leave();
    time.pass(10);
    expect(about(log, 'leave')).toEqual([]);
    store.latest.link.next(true);
    expect(about(log, 'leave')).toEqual(['10 leave s1']);
  });
});

describe('beforeLeave', () => {
  it('is awaited: the entry leaves when it has come to its end, the place being valid until then', () => {
    const { time, enter, log } = setUp();
    const work = new Subject<unknown>();
    const { places, leave } = enter({ beforeLeave: () => work });
    leave();
    expect(about(log, 'aborted')).toEqual(['0 place aborted']);
    time.pass(20);
    work.next('still busy');
    expect(about(log, 'leave')).toEqual([]);
    expect(places[0]?.isValid()).toBe(true);
    work.complete();
    expect(about(log, 'leave')).toEqual(['20 leave s1']);
    expect(places[0]?.isValid()).toBe(false);
  });

  it('is asked for when one leaves, not before', () => {
    const { enter } = setUp();
    const beforeLeave = vi.fn(() => EMPTY);
    const { leave } = enter({ beforeLeave });
    expect(beforeLeave).not.toHaveBeenCalled();
    leave();
    expect(beforeLeave).toHaveBeenCalledTimes(1);
  });

  it('is awaited for as long as the session lives', () => {
    const { time, store, enter, log } = setUp();
    const { leave } = enter({ beforeLeave: () => NEVER });
    leave();
    time.pass(1_000);
    expect(about(log, 'leave')).toEqual([]);
    store.hold('renew');
    time.pass(200);
    expect(about(log, 'leave')).toEqual([]);
  });

  it('is unsubscribed from, and not awaited any longer, when the place is lost', () => {
    const { store, enter, log } = setUp();
    store.on('place', (call) => call.tell(0));
    let isAwaited = true;
    const work = new Observable<never>(() => () => {
      isAwaited = false;
    });
    const { places, leave } = enter({ beforeLeave: () => work });
    leave();
    expect(isAwaited).toBe(true);
    store.last('place').fail(new PlaceLost('lock "l"', 'evicted'));
    expect(isAwaited).toBe(false);
    expect(places[0]?.isValid()).toBe(false);
    expect(about(log, 'leave')).toEqual([]);
  });

  it('is awaited though the watch of the place is refused meanwhile: the work goes on', () => {
    const { store, enter, log } = setUp();
    const work = new Subject<never>();
    const { leave } = enter({ beforeLeave: () => work });
    leave();
    store.last('place').fail(new PermissionDenied('scripted', 'watch'));
    expect(about(log, 'leave')).toEqual([]);
    work.complete();
    expect(about(log, 'leave')).toEqual(['0 leave s1']);
  });

  it('that errors is reported, and the entry leaves', () => {
    const { enter, log, faults } = setUp();
    enter({ beforeLeave: () => throwError(() => new Error('work')) }).leave();
    expect(about(log, 'leave')).toEqual(['0 leave s1']);
    expect(faults).toMatchObject([{ _tag: 'ReleaseFailed', subject: 'lock "l"', cause: new Error('work') }]);
  });

  it('that throws is reported, and the entry leaves', () => {
    const { enter, log, faults } = setUp();
    const { leave } = enter({
      beforeLeave: () => {
        throw new Error('work');
      },
    });
    expect(leave).not.toThrow();
    expect(about(log, 'leave')).toEqual(['0 leave s1']);
    expect(faults).toMatchObject([{ _tag: 'ReleaseFailed', cause: new Error('work') }]);
  });

  it('ends with the session, and nothing is sent then', () => {
    const { time, store, enter, log } = setUp();
    const { leave } = enter({ beforeLeave: () => NEVER });
    leave();
    store.latest.link.error(new SessionLost('s1', 'expired', true));
    time.pass(200);
    expect(about(log, 'leave')).toEqual([]);
  });

  it('is not asked for after a loss: then there is nothing to hold on to', () => {
    const { time, store, enter } = setUp();
    store.hold('renew');
    const beforeLeave = vi.fn(() => EMPTY);
    enter({ beforeLeave });
    time.pass(100);
    expect(beforeLeave).not.toHaveBeenCalled();
  });
});

describe('one who does not wait', () => {
  const behind = (ahead: number) => (store: ReturnType<typeof setUp>['store']) =>
    store.on('enter', (call) => call.answer(store.standing(ahead)));

  it('is told its place when it has left the line, and completes', () => {
    const { time, store, enter, log } = setUp();
    behind(1)(store);
    store.on('leave', (call) => call.later(10, () => call.done()));
    const { places } = enter({ wait: false });
    time.pass(9);
    expect(about(log, 'leave', 'place')).toEqual(['0 leave s1']);
    time.pass(1);
    expect(about(log, 'leave', 'place')).toEqual(['0 leave s1', '10 place behind 1', '10 place complete']);
    expect(places[0]?.isValid()).toBe(false);
    expect(store.times('place')).toEqual([]);
    expect(about(log, 'leave')).toHaveLength(1);
  });

  it('stays where it is admitted', () => {
    const { store, enter, log } = setUp();
    behind(1)(store);
    enter({ wait: false, permits: 2 });
    expect(about(log, 'leave', 'admitted')).toEqual(['0 place admitted']);
  });

  it('waits in line where it was not said that it does not', () => {
    const { store, enter, log } = setUp();
    behind(1)(store);
    enter({ wait: true });
    enter({});
    expect(about(log, 'leave')).toEqual([]);
  });

  it('leaves once when it unsubscribes meanwhile', () => {
    const { time, store, enter, log } = setUp();
    behind(1)(store);
    store.on('leave', (call) => call.later(10, () => call.done()));
    const { leave } = enter({ wait: false });
    leave();
    time.pass(20);
    expect(about(log, 'leave', 'place')).toEqual(['0 leave s1']);
  });

  it('is told its place when the session is lost before the store has answered', () => {
    const { time, store, enter, log } = setUp();
    behind(1)(store);
    store.hold('leave');
    enter({ wait: false });
    time.pass(5);
    store.latest.link.error(new SessionLost('s1', 'expired', true));
    expect(about(log, 'place')).toEqual(['5 place behind 1', '5 place complete']);
  });

  it('completes when the backend is closed before the store has answered', async () => {
    const { time, store, enter, log, backend } = setUp();
    behind(1)(store);
    store.hold('leave');
    enter({ wait: false });
    time.pass(5);
    const closed = backend.close();
    time.pass(100);
    await closed;
    expect(about(log, 'complete')).toHaveLength(1);
    expect(time.pending).toBe(0);
  });
});

describe('an entry that is evicted', () => {
  it('aborts the signal first and then errors with PlaceLost, with its cause, and does not leave', () => {
    const { store, backend, log } = setUp();
    const errors: PlaceLost[] = [];
    backend.enter(roster, { mode: 'exclusive', permits: 1, payload: bytes() }).subscribe({
      next: ({ signal, isValid }) =>
        signal.addEventListener('abort', () => log.push(`aborted, ${isValid() ? 'valid' : 'not valid'}`)),
      error: (error) => {
        errors.push(error);
        log.push('error');
      },
    });
    store.last('place').fail(new PlaceLost('l', 'evicted', 'an administrator'));
    expect(about(log, 'aborted', 'error', 'leave')).toEqual(['aborted, not valid', 'error']);
    expect(errors).toMatchObject([
      { _tag: 'PlaceLost', roster: 'lock "l"', reason: 'evicted', cause: 'an administrator' },
    ]);
  });

  it('is followed no longer, and neither is its payload$', () => {
    const { time, store, enter } = setUp();
    const payload$ = new Subject<Uint8Array>();
    enter({ payload$ });
    store.last('place').fail(new PlaceLost('l', 'evicted'));
    expect(payload$.observed).toBe(false);
    payload$.next(bytes(1));
    time.pass(50);
    expect(store.times('update')).toEqual([]);
    expect(store.times('place')).toEqual([0]);
  });

  it('gives the error as the reason of the abort', () => {
    const { store, enter } = setUp();
    const { places } = enter();
    store.last('place').fail(new PlaceLost('l', 'evicted'));
    expect(places[0]?.signal.reason).toMatchObject({ _tag: 'PlaceLost', reason: 'evicted' });
  });

  it('before it was told its place errors as well', () => {
    const { store, enter, log } = setUp();
    store.on('enter', (call) => call.fail(new PlaceLost('l', 'evicted')));
    enter();
    expect(about(log, 'place')).toEqual(['0 place PlaceLost']);
  });
});

describe('an entry whose session is lost', () => {
  it('errors with PlaceLost, with the session’s end as cause', () => {
    const { time, store, backend } = setUp();
    store.hold('renew');
    const errors: PlaceLost[] = [];
    const wish = { mode: 'exclusive', permits: 1, payload: bytes() } as const;
    backend.enter(roster, wish).subscribe({ error: (error) => errors.push(error) });
    time.pass(94);
    expect(errors).toMatchObject([
      { roster: 'lock "l"', reason: 'session lost', cause: { _tag: 'SessionLost', sessionId: 's1', byStore: false } },
    ]);
  });

  it('completes, and is not tried again, where the backend is closed by who is told of it', async () => {
    const { store, enter, backend, log } = setUp();
    const { places } = enter();
    let closed: Promise<void> | undefined;
    places[0]?.signal.addEventListener('abort', () => {
      closed = backend.close();
    });
    store.latest.link.error(new SessionLost('s1', 'expired', true));
    await closed;
    expect(about(log, 'place ')).toEqual(['0 place admitted', '0 place s1', '0 place aborted', '0 place complete']);
  });
});

describe('the watch of a place', () => {
  it('begins again when the link is back', () => {
    const { time, store, enter, log } = setUp();
    store.on('enter', (call) => call.answer(store.standing(1)));
    enter();
    time.pass(5);
    store.latest.link.next(false);
    expect(store.last('place').isGone).toBe(true);
    time.pass(5);
    store.on('place', (call) => call.tell(0));
    store.latest.link.next(true);
    expect(about(log, 'place s1', 'behind', 'admitted')).toEqual([
      '0 place behind 1',
      '0 place s1',
      '10 place s1',
      '10 place admitted',
    ]);
  });

  it('begins again, after a pause that grows, when it has failed', () => {
    const { time, store, enter } = setUp();
    store.on('place', (call) => call.fail(unavailable()));
    enter();
    time.pass(16);
    expect(store.times('place')).toEqual([0, 5, 15]);
    expect(store.times('leave')).toEqual([]);
  });

  it('that is refused fails the place, and the entry leaves', () => {
    const { store, enter, log } = setUp();
    store.on('place', (call) => call.fail(new PermissionDenied('scripted', 'watch')));
    const { places } = enter();
    expect(about(log, 'aborted', 'leave', 'Permission').sort()).toEqual(
      ['0 leave s1', '0 place PermissionDenied', '0 place aborted'].sort(),
    );
    expect(places[0]?.isValid()).toBe(false);
    expect(about(log, 'leave')).toHaveLength(1);
  });

  it('that is refused is told as such, though the store tells the watch of the leave that follows', () => {
    const { store, backend } = setUp();
    const errors: unknown[] = [];
    const payload$ = new Subject<Uint8Array>();
    store.on('leave', (call) => {
      call.done();
      store.last('place').fail(new PlaceLost('l', 'evicted'));
    });
    backend.enter(roster, { mode: 'exclusive', permits: 1, payload: bytes(), payload$ }).subscribe({
      error: (error) => errors.push(error),
    });
    payload$.error(new RangeError('capabilities'));
    expect(errors).toEqual([new RangeError('capabilities')]);
    expect(store.times('leave')).toEqual([0]);
  });
});

describe('payload$', () => {
  const payloads = (store: ReturnType<typeof setUp>['store']): unknown[] =>
    store.all('update').map(({ args, sentMs }) => [sentMs, ...(args[2] as Uint8Array)]);

  it('is written value by value, each after the one before', () => {
    const { time, store, enter } = setUp();
    store.on('update', (call) => call.later(4, () => call.done()));
    const payload$ = new Subject<Uint8Array>();
    enter({ payload$ });
    payload$.next(bytes(1));
    time.pass(10);
    payload$.next(bytes(2));
    time.pass(2);
    payload$.next(bytes(3));
    time.pass(10);
    expect(payloads(store)).toEqual([
      [0, 1],
      [10, 2],
      [14, 3],
    ]);
    expect(new Set([...store.ids('update'), ...store.ids('enter')]).size).toBe(1);
  });

  it('skips those that are outdated by the time they could be written', () => {
    const { time, store, enter } = setUp();
    store.on('update', (call) => call.later(4, () => call.done()));
    const payload$ = new Subject<Uint8Array>();
    enter({ payload$ });
    for (let i = 1; i <= 5; i++) payload$.next(bytes(i));
    time.pass(20);
    expect(payloads(store)).toEqual([
      [0, 1],
      [4, 5],
    ]);
  });

  it('is written again after a failure', () => {
    const { time, store, enter } = setUp();
    store.on('update', (call) => (call.sentMs === 0 ? call.fail(unavailable()) : call.done()));
    const payload$ = new Subject<Uint8Array>();
    enter({ payload$ });
    payload$.next(bytes(1));
    time.pass(10);
    expect(payloads(store)).toEqual([
      [0, 1],
      [5, 1],
    ]);
  });

  it('is not subscribed to before one stands in line, and no longer than one does', () => {
    const { time, store, enter } = setUp();
    store.on('enter', (call) => call.later(5, () => call.answer(store.standing())));
    const payload$ = new Subject<Uint8Array>();
    const { leave } = enter({ payload$ });
    expect(payload$.observed).toBe(false);
    time.pass(5);
    expect(payload$.observed).toBe(true);
    leave();
    expect(payload$.observed).toBe(false);
  });

  it('that completes leaves the entry where it is', () => {
    const { time, store, enter, log } = setUp();
    enter({ payload$: of(bytes(1), bytes(2)) });
    time.pass(10);
    expect(payloads(store)).toEqual([
      [0, 1],
      [0, 2],
    ]);
    expect(about(log, 'leave', 'complete')).toEqual([]);
  });

  it('that errors fails the place with that, and the entry leaves', () => {
    const { time, enter, log } = setUp();
    enter({ payload$: throwError(() => new RangeError('no')) });
    time.pass(10);
    expect(about(log, 'aborted', 'leave', 'RangeError').sort()).toEqual(
      ['0 leave s1', '0 place RangeError', '0 place aborted'].sort(),
    );
  });

  it('that is refused fails the place with that, and the entry leaves', () => {
    const { store, enter, log } = setUp();
    store.on('update', (call) => call.fail(new PermissionDenied('scripted', 'update')));
    enter({ payload$: of(bytes(1)) });
    expect(about(log, 'leave', 'Permission').sort()).toEqual(['0 leave s1', '0 place PermissionDenied']);
  });

  it('ends with the session: the loss is told once', () => {
    const { store, enter, log } = setUp();
    store.hold('update');
    const payload$ = new Subject<Uint8Array>();
    enter({ payload$ });
    payload$.next(bytes(1));
    store.latest.link.error(new SessionLost('s1', 'expired', true));
    expect(about(log, 'place ').slice(-1)).toEqual(['0 place PlaceLost']);
    expect(payload$.observed).toBe(false);
    expect(store.last('update').isGone).toBe(true);
  });
});

describe('the request', () => {
  it('is the same for everything that concerns one entry', () => {
    const { store, enter } = setUp();
    const { leave } = enter({ payload$: of(bytes(9)) });
    leave();
    const requests = ['enter', 'place', 'update', 'leave'] as const;
    const [first, ...others] = requests.map((operation) => store.last(operation).args[1] as StandRequest);
    for (const other of others) expect(other).toBe(first);
  });
});
