import { type Observable, Subject, VirtualTimeScheduler } from 'rxjs';
import { expect, test } from 'vitest';
import { Unavailable } from '../../../src/backends/errors.js';
import { type Look, type Outlook, Places } from '../../../src/backends/redis/places.js';
import type { StandRequest } from '../../../src/backends/store.js';
import { storeContext } from './support.js';

const outlook: Outlook = { quarantineMs: 0, earliestMs: undefined, isPromised: false, more: false };
const request: StandRequest = {
  id: '1',
  mode: 'exclusive',
  permits: 1,
  payload: new Uint8Array(),
  registered: false,
  sent: () => undefined,
};
const cause = new Unavailable('redis', 'keep the connection', undefined);

/** One entry that waits, and the answers to what is asked about it. */
function waiting() {
  const answers: Subject<{ outlook: Outlook; places: readonly number[] }>[] = [];
  const look: Look = () => {
    const answer = new Subject<{ outlook: Outlook; places: readonly number[] }>();
    answers.push(answer);
    return answer;
  };
  const places = new Places(look, storeContext(), { name: 'redis', address: 'here' }, 0, (failure) => {
    throw failure;
  });
  places.entered(places.expect('e', 'r', request), 1, outlook);
  return { places, answers };
}

function heardFrom(place$: Observable<number>): { readonly told: number[]; stop(): void } {
  const told: number[] = [];
  const subscription = place$.subscribe({ next: (ahead) => told.push(ahead), error: () => undefined });
  return { told, stop: () => subscription.unsubscribe() };
}

const asked = (): Promise<void> => new Promise((settled) => queueMicrotask(settled));

test('an admission that was learnt while nobody listened is told to whoever listens next', async () => {
  const { places, answers } = waiting();
  const before = heardFrom(places.of('e'));
  places.heard('e', 0, false);
  await asked();
  // The connection for messages breaks while the answer is on its way on the other one.
  before.stop();
  places.cut(cause);
  answers[0]?.next({ outlook, places: [0] });
  const after = heardFrom(places.of('e'));
  await asked();
  answers[1]?.next({ outlook, places: [0] });
  expect([before.told, after.told]).toEqual([[1], [0]]);
});

test('a place is told once, however often it is asked for', async () => {
  const { places, answers } = waiting();
  const place = heardFrom(places.of('e'));
  for (const at of [0, 1]) {
    places.heard('e', undefined, false);
    await asked();
    answers[at]?.next({ outlook, places: [1] });
  }
  expect(place.told).toEqual([1]);
});

test('who is told for sure that it is admitted does not ask, but for what was told before a connection broke', async () => {
  const { places, answers } = waiting();
  const first = heardFrom(places.of('e'));
  places.heard('e', 0, true);
  await asked();
  expect([first.told, answers]).toEqual([[1, 0], []]);

  const other = waiting();
  const second = heardFrom(other.places.of('e'));
  other.places.cut(cause);
  other.places.heard('e', 0, true);
  await asked();
  expect([second.told, other.answers.length]).toEqual([[1], 0]);
  heardFrom(other.places.of('e'));
  await asked();
  expect(other.answers).toHaveLength(1);
});

test('what a renewal did not find is lost, but for what was known to stand only after it had been asked for', async () => {
  const { places } = waiting();
  const lost: string[] = [];
  const follow = (id: string) => places.of(id).subscribe({ error: () => lost.push(id) });
  follow('e');
  const renewal = places.renewing();
  // Its answer may come before that of a renewal which was asked for earlier.
  places.entered(places.expect('f', 'r', request), 1, outlook);
  follow('f');
  places.reconcile(renewal, new Set());
  expect(lost).toEqual(['e']);
  places.reconcile(places.renewing(), new Set());
  expect(lost).toEqual(['e', 'f']);
});

/** Places whose time is virtual, and when they asked for the sake of others' leases. */
function inVirtualTime() {
  const scheduler = new VirtualTimeScheduler();
  const asked: { readonly atMs: number; readonly turn: string }[] = [];
  const look: Look = () => {
    asked.push({ atMs: scheduler.frame, turn: places.turn });
    return new Subject();
  };
  const context = { ...storeContext(), scheduler, now: () => scheduler.frame };
  const places: Places = new Places(look, context, { name: 'redis', address: 'here' }, 10_000, (failure) => {
    throw failure;
  });
  const pass = (ms: number): void => {
    scheduler.maxFrames = scheduler.frame + ms;
    scheduler.schedule(() => undefined, ms);
    scheduler.flush();
  };
  return { places, asked, pass };
}

const promised: Outlook = { ...outlook, earliestMs: 500, isPromised: true };

test('who waits, and is told that others ask, asks nothing itself', () => {
  const { places, asked, pass } = inVirtualTime();
  places.entered(places.expect('e', 'r', request), 1, outlook);
  pass(5_000);
  expect([asked, places.turn]).toEqual([[], '1']);
});

test('who has promised to ask does so, though it does not wait any more, and takes no turn after that', () => {
  const { places, asked, pass } = inVirtualTime();
  places.entered(places.expect('e', 'r', request), 1, promised);
  places.heard('e', 0, true);
  // And goes on to something else.
  places.forget('e');
  places.watching(1);
  places.watching(-1);
  expect(places.turn).toBe('1');
  pass(5_000);
  expect(asked).toEqual([{ atMs: 501, turn: '' }]);
});

test('who has promised to ask, and does not wait any more, keeps the promise that takes its place', () => {
  const { places, asked, pass } = inVirtualTime();
  places.entered(places.expect('e', 'r', request), 1, promised);
  places.forget('e');
  pass(300);
  places.entered(places.expect('f', 'r', request), 0, promised);
  pass(5_000);
  expect(asked).toEqual([{ atMs: 801, turn: '' }]);
});

test('who only holds makes no promise, and asks for nobody', () => {
  const { places, asked, pass } = inVirtualTime();
  places.entered(places.expect('e', 'r', request), 0, { ...outlook, earliestMs: 500 });
  expect(places.turn).toBe('');
  pass(5_000);
  expect(asked).toEqual([]);
});

test('who leaves before it is told that it has to wait does not count as one who waits', () => {
  const { places, asked, pass } = inVirtualTime();
  const stay = places.expect('e', 'r', request);
  places.forget('e');
  places.entered(stay, 1, { ...outlook, earliestMs: 500 });
  pass(5_000);
  expect([asked, places.turn]).toEqual([[], '']);
});
