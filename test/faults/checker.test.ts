import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { check, type Verdict } from './checker.js';
import { ANY, decodeLog, encodeEvent, type HistoryEvent, merge, type Roster, type Told } from './history.js';
import { msToNs } from './intervals.js';

const limits = { membershipMs: 3_000, nextHolderMs: 3_000 };
const roster: Roster = 'lock ledger';
const group = 'workers';

/** Told by `process` at so many milliseconds. */
function told(atMs: number, process: string, happening: Told): HistoryEvent {
  return { ...happening, process, at: msToNs(atMs) };
}

function held(
  process: string,
  fromMs: number,
  toMs: number,
  token: number,
  how: 'lost' | 'released' = 'released',
  { permits = 1, askedMs = fromMs } = {},
) {
  const holding = `${process}-${token}`;
  return [
    told(askedMs, process, { kind: 'contending', roster, holding, permits }),
    told(fromMs, process, { kind: 'acquired', roster, holding, token: BigInt(token) }),
    told(toMs, process, { kind: how, roster, holding }),
  ];
}

function worked(process: string, atMs: number, token: number): HistoryEvent {
  return told(atMs, process, { kind: 'worked', roster, holding: `${process}-${token}`, token: BigInt(token) });
}

function wrote(process: string, atMs: number, token: number, accepted: boolean): HistoryEvent {
  const holding = `${process}-${token}`;
  return told(atMs, 'resource', { kind: 'wrote', register: 'ledger', holding, token: BigInt(token), accepted });
}

function member(process: string, fromMs: number, toMs: number, how: 'left' | 'dropped' = 'left'): HistoryEvent[] {
  return [
    told(fromMs, process, { kind: 'joined', group, member: process, token: 1n }),
    told(toMs, process, { kind: how, group, member: process }),
  ];
}

function saw(atMs: number, ...members: string[]): HistoryEvent {
  return told(atMs, 'watcher', { kind: 'saw', group, members });
}

const end = told(60_000, 'laboratory', { kind: 'note', text: 'the end' });

type Events = HistoryEvent | readonly Events[];

function verdictOn(...events: readonly Events[]): Verdict {
  return check(merge([flat(events)]), limits);
}

function flat(events: Events): HistoryEvent[] {
  return 'kind' in events ? [events] : events.flatMap(flat);
}

function claimsBroken(...events: readonly Events[]): string[] {
  return verdictOn(...events).violations.map(({ claim }) => claim);
}

describe('exclusion', () => {
  test('an overlap is found', () => {
    const verdict = verdictOn(held('a', 0, 100, 1), held('b', 99, 200, 2));
    expect(verdict.violations.map(({ claim }) => claim)).toEqual(['exclusion']);
    expect(verdict.longestOverlapMs).toBe(1);
  });

  test('an overlap with a holder that is not the last one before is found', () => {
    expect(claimsBroken(held('a', 0, 500, 1), held('b', 100, 200, 2), held('c', 300, 400, 3))).toEqual([
      'exclusion',
      'exclusion',
    ]);
  });

  test('two holders within one process are two', () => {
    expect(claimsBroken(held('a', 0, 100, 1), held('a', 50, 200, 2))).toEqual(['exclusion']);
  });

  test('one that never ends overlaps with the next', () => {
    expect(claimsBroken(held('a', 0, 100, 1).slice(0, 2), held('b', 200, 300, 2))).toEqual(['exclusion']);
  });

  test('a killed holder holds no longer', () => {
    const killed = told(100, 'a', { kind: 'killed' });
    expect(claimsBroken(held('a', 0, 0, 1).slice(0, 2), killed, held('b', 200, 300, 2))).toEqual([]);
  });

  test('DeadBeforeTheSignalArrives: what a process does before it is seen to end it does alive', () => {
    const holding = held('a', 0, 0, 1).slice(0, 2);
    const [killed, ended] = [told(100, 'a', { kind: 'killed' }), told(110, 'a', { kind: 'ended' })];
    const next = held('b', 108, 300, 2);
    expect(claimsBroken(holding, killed, worked('a', 103, 1), ended)).toEqual([]);
    expect(claimsBroken(holding, killed, ended, worked('a', 113, 1))).toEqual(['stale work']);
    expect(claimsBroken(holding, killed, worked('a', 109, 1), ended, next)).toEqual(['exclusion', 'stale work']);
  });

  test('a stopped holder is excused while it is stopped, and is counted', () => {
    const stop = [told(50, 'a', { kind: 'paused' }), told(500, 'a', { kind: 'continued' })];
    const verdict = verdictOn(held('a', 0, 499, 1, 'lost'), held('b', 200, 300, 2), stop);
    expect(verdict).toMatchObject({ violations: [], overlaps: 0, excusedOverlaps: 1 });
  });

  test('a pause excuses nothing after it, nor what another does', () => {
    const stop = [told(50, 'a', { kind: 'paused' }), told(500, 'a', { kind: 'continued' })];
    expect(claimsBroken(held('a', 0, 700, 1, 'lost'), held('b', 200, 900, 2), stop)).toEqual(['exclusion']);
    const another = [told(50, 'c', { kind: 'paused' }), told(900, 'c', { kind: 'continued' })];
    expect(claimsBroken(held('a', 0, 700, 1, 'lost'), held('b', 200, 900, 2), another)).toEqual(['exclusion']);
  });

  test('a blocked event loop is excused for as long as it said', () => {
    const stalled = (toMs: number): HistoryEvent => told(toMs, 'a', { kind: 'stalled', since: msToNs(150) });
    expect(claimsBroken(held('a', 0, 400, 1, 'lost'), held('b', 200, 900, 2), stalled(400))).toEqual([]);
    expect(claimsBroken(held('a', 0, 400, 1, 'lost'), held('b', 200, 900, 2), stalled(399))).toEqual(['exclusion']);
  });
});

describe('what several hold', () => {
  const reads = (process: string, fromMs: number, toMs: number, token: number, askedMs = fromMs) =>
    held(process, fromMs, toMs, token, 'released', { permits: ANY, askedMs });
  const writes = (process: string, fromMs: number, toMs: number, token: number, askedMs = fromMs) =>
    held(process, fromMs, toMs, token, 'released', { askedMs });
  const permit = (process: string, fromMs: number, toMs: number, token: number, askedMs = fromMs) =>
    held(process, fromMs, toMs, token, 'released', { permits: 2, askedMs });

  test('readers hold it together, in any order of their tokens, and no writer beside them', () => {
    const readers = [reads('a', 0, 100, 2), reads('b', 10, 100, 1), reads('c', 20, 100, 3)];
    expect(claimsBroken(...readers, writes('d', 100, 200, 4))).toEqual([]);
    const verdict = verdictOn(...readers, writes('d', 95, 200, 4));
    expect(verdict.violations.map(({ claim }) => claim)).toEqual(['exclusion']);
    expect(verdict.longestOverlapMs).toBe(5);
    expect(claimsBroken(writes('d', 0, 50, 1), reads('a', 49, 100, 2))).toEqual(['exclusion']);
  });

  test('a reader is not admitted with a smaller token than a writer before it', () => {
    expect(claimsBroken(writes('a', 0, 50, 5), reads('b', 60, 100, 4))).toEqual(['token order']);
  });

  test('what a reader does after a later writer was admitted is stale, and not what it does beside a later reader', () => {
    const both = [reads('a', 0, 100, 1), reads('b', 10, 90, 2)];
    expect(claimsBroken(both, worked('a', 50, 1))).toEqual([]);
    const stop = [told(20, 'a', { kind: 'paused' }), told(100, 'a', { kind: 'continued' })];
    expect(claimsBroken(both, writes('c', 95, 200, 3), stop, worked('a', 100, 1))).toEqual(['stale work']);
  });

  test('of two permits a third is found, for as long as all three ran', () => {
    const two = [permit('a', 0, 100, 1), permit('b', 10, 100, 2)];
    expect(claimsBroken(...two, permit('c', 100, 200, 3))).toEqual([]);
    const verdict = verdictOn(...two, permit('c', 60, 200, 3), told(90, 'a', { kind: 'stalled', since: msToNs(50) }));
    expect(verdict).toMatchObject({ overlaps: 1, longestOverlapMs: 10 });
    const all = told(100, 'a', { kind: 'stalled', since: msToNs(50) });
    expect(verdictOn(...two, permit('c', 60, 200, 3), all)).toMatchObject({ overlaps: 0, excusedOverlaps: 1 });
  });

  test('a permit that stays unused while somebody waits is found, though others are used', () => {
    const first = permit('a', 0, 10, 1);
    expect(claimsBroken(first, permit('b', 0, 9_000, 2), permit('c', 3_900, 9_000, 3, 5))).toEqual(['liveness']);
    expect(claimsBroken(first, permit('b', 0, 9_000, 2), permit('c', 2_900, 9_000, 3, 5))).toEqual([]);
    // There was none: it waits for the first that comes free.
    expect(claimsBroken(permit('a', 0, 8_000, 1), permit('b', 0, 9_000, 2), permit('c', 8_001, 9_000, 3, 5))).toEqual(
      [],
    );
  });

  test('a reader that waits though only readers hold it is found, unless a writer stood between them', () => {
    const reader = reads('a', 0, 9_000, 1);
    expect(claimsBroken(reader, reads('b', 4_000, 9_000, 3, 10))).toEqual(['liveness']);
    const withdrew = [
      told(5, 'w', { kind: 'contending', roster, holding: 'w' }),
      told(3_990, 'w', { kind: 'withdrew', roster, holding: 'w' }),
    ];
    expect(claimsBroken(reader, withdrew, reads('b', 4_000, 9_000, 3, 10))).toEqual([]);
  });

  test('a writer waits for all readers, and for no longer', () => {
    const readers = [reads('a', 0, 100, 1), reads('b', 0, 6_000, 2)];
    expect(claimsBroken(...readers, writes('w', 6_100, 7_000, 3, 50))).toEqual([]);
    expect(claimsBroken(...readers, writes('w', 9_100, 9_900, 3, 50))).toEqual(['liveness']);
  });
});

describe('guarded work', () => {
  test('work of a stopped process that has not seen its loss is found, although the overlap is excused', () => {
    const stop = [told(50, 'a', { kind: 'paused' }), told(500, 'a', { kind: 'continued' })];
    const late = worked('a', 500, 1);
    expect(claimsBroken(held('a', 0, 500, 1, 'lost'), held('b', 200, 300, 2), stop, late)).toEqual(['stale work']);
  });

  test('work after the loss is found, and work without a holding', () => {
    expect(claimsBroken(held('a', 0, 100, 1, 'lost'), worked('a', 101, 1))).toEqual(['stale work']);
    expect(claimsBroken(worked('a', 101, 1))).toEqual(['stale work']);
  });

  test('work within the holding is good', () => {
    expect(claimsBroken(held('a', 0, 100, 1), worked('a', 0, 1), worked('a', 100, 1))).toEqual([]);
  });
});

describe('tokens', () => {
  test('a token that goes backwards is found', () => {
    expect(claimsBroken(held('a', 0, 100, 2), held('b', 200, 300, 1))).toContain('token order');
  });

  test('who was stopped before it wrote down that it was admitted did so late, unless it worked', () => {
    const events = [held('b', 200, 300, 2), held('a', 400, 405, 1, 'lost', { askedMs: 90 })];
    const stopped = told(410, 'a', { kind: 'stalled', since: msToNs(100) });
    expect(claimsBroken(...events, stopped)).toEqual([]);
    expect(claimsBroken(...events, stopped, worked('a', 402, 1))).toEqual(['stale work']);
    expect(claimsBroken(...events, told(399, 'a', { kind: 'stalled', since: msToNs(100) }))).toEqual(['token order']);
  });

  test('a token that stays the same is found', () => {
    expect(claimsBroken(held('a', 0, 100, 2), held('b', 200, 300, 2))).toEqual(['token order']);
  });

  test('rosters have tokens of their own', () => {
    const other = held('b', 200, 300, 1).map((event) => ({ ...event, roster: 'election ledger' }) as HistoryEvent);
    expect(claimsBroken(held('a', 0, 100, 2), other)).toEqual([]);
  });
});

describe('the fenced register', () => {
  test('a write of a past holder after one of a newer holder is found', () => {
    const verdict = verdictOn(
      [held('a', 0, 100, 1), held('b', 200, 300, 2)],
      [wrote('a', 50, 1, true), wrote('b', 250, 2, true), wrote('a', 260, 1, true)],
    );
    expect(verdict.violations.map(({ claim }) => claim)).toEqual(['fencing']);
    expect(verdict.staleWritesAccepted).toBe(1);
  });

  test('a refused write is good, and so is a late one before the newer holder has written', () => {
    const writes = [wrote('a', 220, 1, true), wrote('b', 250, 2, true), wrote('a', 260, 1, false)];
    const verdict = verdictOn(held('a', 0, 100, 1), held('b', 200, 300, 2), writes);
    expect(verdict).toMatchObject({ violations: [], writesAccepted: 2, writesRefused: 1, staleWritesAccepted: 0 });
  });
});

describe('membership', () => {
  test('a ghost is found', () => {
    expect(claimsBroken(member('m', 0, 5_000), saw(0, 'm'), saw(8_500), end)).toEqual(['ghost']);
    expect(claimsBroken(member('m', 0, 5_000), saw(0, 'm'), end)).toEqual(['ghost']);
  });

  test('a dead member may be seen for a while', () => {
    const dead = [...member('m', 0, 0).slice(0, 1), told(5_000, 'm', { kind: 'killed' })];
    expect(claimsBroken(dead, saw(0, 'm'), saw(7_900), end)).toEqual([]);
    expect(claimsBroken(dead, saw(0, 'm'), saw(8_100), end)).toEqual(['ghost']);
  });

  test('one who died before it knew that it was a member may be seen for a while', () => {
    const arriving = [told(0, 'm', { kind: 'joining', group, member: 'm' }), told(5_000, 'm', { kind: 'killed' })];
    expect(claimsBroken(arriving, saw(10, 'm'), saw(7_900), end)).toEqual([]);
    expect(claimsBroken(arriving, saw(10, 'm'), saw(8_100), end)).toEqual(['ghost']);
  });

  test('one who was stopped shortly while it asked, and left before it knew, may be seen', () => {
    const arriving = [
      told(50, 'm', { kind: 'joining', group, member: 'm' }),
      told(190, 'm', { kind: 'left', group, member: 'm' }),
    ];
    const short = told(200, 'm', { kind: 'stalled', since: msToNs(0) });
    expect(claimsBroken(arriving, short, saw(60, 'm'), saw(180), end)).toEqual([]);
    const long = told(9_000, 'm', { kind: 'stalled', since: msToNs(0) });
    expect(claimsBroken(arriving, long, saw(60, 'm'), saw(180), end)).toEqual(['ghost']);
  });

  test('one who joins again and dies before it knows may be seen, but not one who was cut off all along', () => {
    const dropped = [...member('m', 0, 5_000, 'dropped'), told(30_000, 'm', { kind: 'killed' })];
    expect(claimsBroken(dropped, saw(0, 'm'), saw(7_000), saw(29_000, 'm'), saw(32_000), end)).toEqual([]);
    const damage = { fault: 'partition', reaches: ['m'], losesData: false };
    const cut = told(4_000, 'laboratory', { kind: 'fault began', ...damage });
    expect(claimsBroken(cut, dropped, saw(0, 'm'), saw(7_900), end)).toEqual([]);
    expect(claimsBroken(cut, dropped, saw(0, 'm'), saw(8_100), end)).toEqual(['ghost']);
  });

  test('a false empty set is found, also as the first one', () => {
    expect(claimsBroken(member('m', 0, 50_000), saw(0, 'm'), saw(10_000), saw(10_001, 'm'), saw(50_100))).toEqual([
      'empty set',
    ]);
    expect(claimsBroken(member('m', 0, 50_000), saw(10_000), saw(10_001, 'm'), saw(50_100))).toEqual(['empty set']);
  });

  test('somebody who is reported gone and is there is found', () => {
    const others = [member('m', 0, 50_000), member('n', 0, 50_000)];
    const views = [saw(0, 'm', 'n'), saw(10_000, 'm'), saw(10_001, 'm', 'n'), saw(50_100)];
    expect(claimsBroken(others, views)).toEqual(['gone']);
  });

  test('somebody who is never seen is found', () => {
    const others = [member('m', 0, 50_000), member('n', 20_000, 50_000)];
    expect(claimsBroken(others, saw(0, 'm'), saw(50_100))).toEqual(['missing']);
  });

  test('an empty set is true where the only member was dropped, and where the store has lost its data', () => {
    expect(claimsBroken(member('m', 0, 9_999, 'dropped'), saw(0, 'm'), saw(10_000))).toEqual([]);
    const damage = { fault: 'restart', reaches: 'all', losesData: true } as const;
    const fault = [
      told(9_000, 'laboratory', { kind: 'fault began', ...damage }),
      told(9_500, 'laboratory', { kind: 'fault ended', ...damage }),
    ];
    expect(claimsBroken(member('m', 0, 10_500, 'dropped'), saw(0, 'm'), saw(10_000), fault)).toEqual([]);
  });

  test('a member that has joined again may be missing for a moment, but not where a watcher only sees it later', () => {
    const again = [...member('m', 0, 9_000, 'dropped'), ...member('m', 9_010, 50_000)];
    expect(claimsBroken(again, saw(0, 'm'), saw(9_020), saw(9_020, 'm'), saw(50_010))).toEqual([]);
    expect(claimsBroken(again, saw(0, 'm'), saw(14_000), saw(14_000, 'm'), saw(50_010))).toEqual(['empty set']);
  });

  test('a watcher that is cut off sees no ghosts until it is back', () => {
    const damage = { fault: 'partition', reaches: ['watcher'], losesData: false };
    const fault = [
      told(4_000, 'laboratory', { kind: 'fault began', ...damage }),
      told(14_000, 'laboratory', { kind: 'fault ended', ...damage }),
    ];
    expect(claimsBroken(member('m', 0, 5_000), saw(0, 'm'), saw(14_500), fault)).toEqual([]);
    expect(claimsBroken(member('m', 0, 5_000), saw(0, 'm'), saw(17_500), fault)).toEqual(['ghost']);
  });
});

describe('what is kept', () => {
  const kept = { rosters: [roster], ttlMs: 2_000 };
  const claims = (...events: readonly Events[]): string[] =>
    check(merge([flat(events)]), { ...limits, kept }).violations.map(({ claim }) => claim);

  test('is not lost', () => {
    expect(claims(held('a', 1_000, 9_000, 1, 'released'), end)).toEqual([]);
    expect(claims(held('a', 1_000, 9_000, 1, 'lost'), end)).toEqual(['kept']);
    expect(claimsBroken(held('a', 1_000, 9_000, 1, 'lost'), end)).toEqual([]);
  });

  test('is lost by who did not run for most of the ttl before', () => {
    const stopped = (fromMs: number, toMs: number) => [
      told(fromMs, 'a', { kind: 'paused' }),
      told(toMs, 'a', { kind: 'continued' }),
    ];
    expect(claims(held('a', 1_000, 9_000, 1, 'lost'), stopped(7_500, 8_900), end)).toEqual([]);
    expect(claims(held('a', 1_000, 9_000, 1, 'lost'), stopped(6_000, 7_500), end)).toEqual(['kept']);
  });
});

describe('liveness', () => {
  const waiting = told(10, 'b', { kind: 'contending', roster, holding: 'b-2' });
  const acquired = (atMs: number): HistoryEvent =>
    told(atMs, 'b', { kind: 'acquired', roster, holding: 'b-2', token: 2n });
  const killed = [...held('a', 0, 0, 1).slice(0, 2), told(1_000, 'a', { kind: 'killed' })];

  test('the time to the next holder is told', () => {
    const { gaps, violations } = verdictOn(killed, waiting, acquired(3_500));
    expect(violations).toEqual([]);
    expect(gaps).toEqual([{ roster, after: 'killed', ms: 2_500 }]);
  });

  test('a next holder that comes late is found', () => {
    expect(claimsBroken(killed, waiting, acquired(4_001))).toEqual(['liveness']);
  });

  test('whoever died in between, while waiting, is allowed its ttl too', () => {
    const next = told(5, 'c', { kind: 'contending', roster, holding: 'c-1' });
    const died = told(3_000, 'c', { kind: 'killed' });
    expect(verdictOn(killed, next, died, waiting, acquired(5_500))).toMatchObject({
      violations: [],
      gaps: [{ ms: 2_500 }],
    });
    expect(claimsBroken(killed, next, died, waiting, acquired(6_001))).toEqual(['liveness']);
  });

  test('one who waits for ever is found', () => {
    expect(claimsBroken(killed, waiting, end)).toEqual(['liveness']);
  });

  test('while the store cannot be reached nobody can be admitted: the clock starts anew', () => {
    const damage = { fault: 'stop', reaches: 'all', losesData: false } as const;
    const fault = [
      told(2_000, 'laboratory', { kind: 'fault began', ...damage }),
      told(5_000, 'laboratory', { kind: 'fault ended', ...damage }),
    ];
    expect(verdictOn(killed, waiting, acquired(6_000), fault).gaps).toEqual([{ roster, after: 'killed', ms: 1_000 }]);
    expect(claimsBroken(killed, waiting, acquired(8_001), fault)).toEqual(['liveness']);
  });

  test('a short stop of somebody who waits delays by no more than itself, a long one may cost a session', () => {
    const killed = [...held('a', 0, 0, 1).slice(0, 2), told(1_000, 'a', { kind: 'killed' })];
    const other = told(0, 'c', { kind: 'contending', roster, holding: 'c-3' });
    const waiting = told(500, 'b', { kind: 'contending', roster, holding: 'b-2' });
    const acquired = (atMs: number) => told(atMs, 'b', { kind: 'acquired', roster, holding: 'b-2', token: 2n });
    const stopped = (ms: number) => told(3_000 + ms, 'c', { kind: 'stalled', since: msToNs(3_000) });
    expect(claimsBroken(killed, other, waiting, stopped(200), acquired(4_200))).toEqual([]);
    expect(claimsBroken(killed, other, waiting, stopped(200), acquired(4_201))).toEqual(['liveness']);
    expect(claimsBroken(killed, other, waiting, stopped(300), acquired(5_900))).toEqual([]);
  });

  test('what breaks when the limit is over already excuses nothing', () => {
    const killed = [...held('a', 0, 0, 1).slice(0, 2), told(1_000, 'a', { kind: 'killed' })];
    const other = told(0, 'c', { kind: 'contending', roster, holding: 'c-3' });
    const waiting = told(500, 'b', { kind: 'contending', roster, holding: 'b-2' });
    const acquired = told(4_500, 'b', { kind: 'acquired', roster, holding: 'b-2', token: 2n });
    const died = (atMs: number) => told(atMs, 'c', { kind: 'killed' });
    expect(claimsBroken(killed, other, waiting, died(3_999), acquired)).toEqual([]);
    expect(claimsBroken(killed, other, waiting, died(4_001), acquired)).toEqual(['liveness']);
  });

  test('the holder before was stopped when the next one came', () => {
    const stop = [told(500, 'a', { kind: 'paused' }), told(9_000, 'a', { kind: 'continued' })];
    expect(verdictOn(held('a', 0, 8_999, 1, 'lost'), waiting, acquired(2_000), stop, end).gaps).toContainEqual({
      roster,
      after: 'stopped',
      ms: 1_500,
    });
  });
});

describe('good histories', () => {
  const moment = fc.integer({ min: 1, max: 500 });
  const turn = fc.record({
    process: fc.constantFrom('a', 'b', 'c'),
    idleMs: moment,
    holdMs: fc.integer({ min: 10, max: 500 }),
    lost: fc.boolean(),
    /** The holder is stopped, and the next one comes before it continues. */
    stopMs: fc.option(moment, { nil: undefined }),
  });

  test('nothing is found in one holder after the other, nor where a stopped one learns late', () => {
    fc.assert(
      fc.property(fc.array(turn, { maxLength: 30 }), (turns) => {
        let now = 0;
        let token = 0;
        const events = turns.flatMap(({ process, idleMs, holdMs, lost, stopMs }, index) => {
          token += 1 + (index % 3);
          // A name for each turn, so that a stopped process need not take part while it is.
          const name = `${process}${index}`;
          const from = now + idleMs;
          const to = from + holdMs;
          now = to;
          const writes = [worked(name, from, token), wrote(name, from, token, true)];
          if (stopMs === undefined) return [...held(name, from, to, token, lost ? 'lost' : 'released'), ...writes];
          const told1 = told(from + 1, name, { kind: 'paused' });
          const told2 = told(to + stopMs, name, { kind: 'continued' });
          return [...held(name, from, to + stopMs, token, 'lost'), ...writes, told1, told2];
        });
        const verdict = verdictOn(events);
        expect(verdict.violations).toEqual([]);
        expect(verdict.acquisitions).toBe(turns.length);
      }),
    );
  });

  test('nothing is found where watchers see who is there', () => {
    const change = fc.record({ who: fc.constantFrom('m', 'n', 'o'), afterMs: fc.integer({ min: 10, max: 4_000 }) });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), fc.integer({ min: 0, max: 9 }), (changes, lagMs) => {
        let now = 0;
        const present = new Set<string>();
        const events: HistoryEvent[] = [saw(0)];
        for (const { who, afterMs } of changes) {
          now += afterMs;
          if (present.delete(who)) events.push(told(now, who, { kind: 'left', group, member: who }));
          else {
            present.add(who);
            events.push(told(now, who, { kind: 'joined', group, member: who, token: BigInt(now) }));
          }
          events.push(saw(now + lagMs, ...present));
        }
        expect(verdictOn(events).violations).toEqual([]);
      }),
    );
  });

  test('any overlap put into them is found', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 20 }), fc.nat(), fc.integer({ min: 1, max: 9 }), (turns, pick, byMs) => {
        const long = pick % (turns - 1);
        const events = Array.from({ length: turns }, (_, index) =>
          held(`p${index}`, index * 100, index * 100 + 90 + (index === long ? 10 + byMs : 0), index + 1),
        );
        expect(claimsBroken(events.flat())).toEqual(['exclusion']);
      }),
    );
  });
});

describe('the log', () => {
  test('an event is read as it was written, also by a process that was killed while it wrote the next one', () => {
    const events = [...held('a', 0, 100, 7), saw(3, 'm'), told(5, 'a', { kind: 'stalled', since: 3n })];
    const text = events.map((event) => `${encodeEvent(event)}\n`).join('');
    expect(decodeLog(`${text}{"kind":"worked","at":"12`)).toEqual(events);
    expect(decodeLog('')).toEqual([]);
  });
});

describe('ticks of a schedule', () => {
  const scheduled = (schedule: string, isRepeated: boolean): HistoryEvent =>
    told(0, 'p', { kind: 'scheduled', schedule, everyMs: 100, isRepeated });
  const tick = (process: string, atMs: number, schedule: string, at: number, token: number, toMs?: number) => [
    told(atMs, process, { kind: 'tick began', schedule, tick: at, token: BigInt(token) }),
    ...(toMs === undefined ? [] : [told(toMs, process, { kind: 'tick ended', schedule, tick: at })]),
  ];
  const [once, again] = [scheduled('once', false), scheduled('again', true)];

  test('one that is begun twice is found where it may be begun once, or with no greater token', () => {
    const twice = (schedule: string, token: number) => [
      ...tick('p', 100, schedule, 100, 1),
      ...tick('q', 900, schedule, 100, token, 950),
    ];
    expect(claimsBroken(once, twice('once', 2))).toEqual(['tick begun twice']);
    expect(claimsBroken(again, twice('again', 2))).toEqual([]);
    expect(claimsBroken(again, twice('again', 1))).toEqual(['tick begun twice']);
    expect(claimsBroken(once, again, tick('p', 100, 'once', 100, 1), tick('p', 100, 'again', 100, 1, 150))).toEqual([]);
  });

  test('one that is lost is found where none may be, but not the last one', () => {
    const some = (schedule: string) => [
      ...tick('p', 100, schedule, 100, 1, 120),
      ...tick('p', 300, schedule, 300, 1, 320),
      ...tick('p', 400, schedule, 400, 1),
    ];
    expect(claimsBroken(once, some('once'))).toEqual([]);
    expect(claimsBroken(again, some('again'))).toEqual(['lost tick']);
    expect(verdictOn(again, some('again')).ticking).toEqual([
      { schedule: 'again', ticks: 3, begunTwice: 0, neverDone: 1, longestGapMs: 200 },
    ]);
  });

  test('one that is late is found, unless the store could not be reached', () => {
    const late = [...tick('p', 4_000, 'once', 4_000, 1, 4_050), ...tick('p', 9_000, 'once', 4_100, 1, 9_050)];
    expect(claimsBroken(once, late)).toEqual(['late tick']);
    const damage = { fault: 'kill', reaches: 'all', losesData: false } as const;
    const fault = [
      told(4_500, 'laboratory', { kind: 'fault began', ...damage }),
      told(7_000, 'laboratory', { kind: 'fault ended', ...damage }),
    ];
    expect(claimsBroken(once, fault, late)).toEqual([]);
  });
});
