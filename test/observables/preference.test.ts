import { isSome } from 'fp-ts/lib/Option.js';
import { concat, filter, ignoreElements, map, NEVER, Observable, of, take, throwError } from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { Backend, Entry, Place, SwapResult, Versioned } from '../../src/backends/backend.js';
import { BackendClosed, CandidateNotFound, OutcomeUnknown, PermissionDenied } from '../../src/backends/errors.js';
import { toUtf8 } from '../../src/backends/shared/utf8.js';
import { type CampaignOptions, campaign } from '../../src/observables/elections/campaign.js';
import { isVoid } from '../../src/observables/elections/designation.js';
import { handOver } from '../../src/observables/elections/hand-over.js';
import type { Lead } from '../../src/observables/elections/lead.js';
import { enveloped } from '../../src/observables/holding/envelope.js';
import { entryOf, placeOf, type ScriptedBackend, scripted, virtually } from '../support/virtual-time.js';

/** Those of the tokens, in order, with their priorities. */
const lineOf = (...those: readonly (readonly [bigint, number?])[]): readonly Entry[] =>
  those.map(([token, priority]) => ({
    ...entryOf(`e${token}`, token),
    payload: enveloped(new Uint8Array(), { priority }),
  }));

const forEver = <T>(value: T): Observable<T> => concat(of(value), NEVER);
const nobody = forEver<Versioned | undefined>(undefined);
const cellOf = (fields: object, version = 1n): Observable<Versioned> =>
  forEver({ value: toUtf8(JSON.stringify(fields)), version });
const swapped = of<SwapResult>({ swapped: true, current: undefined });
const denied = new PermissionDenied('scripted', 'it');

/** How often the candidate has entered. */
const entered = ({ calls }: ScriptedBackend): number => calls.filter((call) => call === 'enter election e').length;
const swapsOf = ({ calls }: ScriptedBackend): string[] => calls.filter((call) => call.startsWith('swap '));

describe('a candidate with a priority', () => {
  /** Stands as e3 where the lines are these, one after the other, and tells how often it has entered. */
  const entriesOf = (
    isAdmitted: boolean,
    lines: readonly (readonly Entry[])[],
    options: CampaignOptions = {},
  ): number => {
    let times = 0;
    virtually(({ cold, scheduler }) => {
      const states = Object.fromEntries(lines.map((line, i) => [`${i}`, line]));
      const entries = cold(Object.keys(states).join('-'), states);
      const backend = scripted({ enter: [forEver(placeOf(3n, isAdmitted))], entries, cell: nobody }, scheduler);
      const standing = campaign(backend, 'e', { priority: 1, ...options }).subscribe();
      scheduler.schedule(() => {
        times = entered(backend);
        standing.unsubscribe();
      }, 50);
    });
    return times;
  };

  it('lets a better one by, and hands the lead over to it where it is next', () => {
    expect(entriesOf(false, [lineOf([2n, 1], [3n, 1], [4n, 2])])).toBe(2);
    expect(entriesOf(true, [lineOf([3n, 1], [4n, 2])])).toBe(2);
  });

  it('stands still while the line that it is shown does not have it yet, or has nobody', () => {
    expect(entriesOf(false, [[], lineOf([1n, 0], [2n, 2])])).toBe(1);
    expect(entriesOf(true, [[], lineOf([1n, 0], [2n, 2])])).toBe(1);
  });

  it('waits at the head of the line to be told that it leads, though a better one stands behind it', () => {
    expect(entriesOf(false, [lineOf([3n, 1], [4n, 2])])).toBe(1);
  });

  it('leads on while the line still shows who led before it', () => {
    expect(entriesOf(true, [lineOf([1n, 0], [3n, 1])])).toBe(1);
  });

  it('hands the lead over to the first of those who are as good as each other', () => {
    expect(entriesOf(true, [lineOf([3n, 1], [4n, 2], [5n, 2])])).toBe(2);
  });

  it('tells who led that the lead was handed over', () => {
    virtually(({ scheduler }) => {
      const entries = forEver(lineOf([3n, 1], [4n, 2]));
      const backend = scripted({ enter: [forEver(placeOf(3n))], entries, cell: nobody }, scheduler);
      const leads: Lead[] = [];
      const standing = campaign(backend, 'e', { priority: 1 }).subscribe((option) => {
        if (isSome(option)) leads.push(option.value);
      });
      expect(leads.map(({ signal }) => signal.reason.message)).toEqual([expect.stringMatching(/was handed over/)]);
      standing.unsubscribe();
    });
  });

  it('is told that it leads no more before it gives up its place, so that nobody leads beside it', () => {
    virtually(({ scheduler }) => {
      const log: string[] = [];
      const givenUp = (): void => void log.push('given up');
      const place = {
        ...placeOf(3n),
        leave: () => {
          givenUp();
          return of(true);
        },
      };
      const stay = new Observable<Place>((subscriber) => {
        subscriber.next(place);
        return givenUp;
      });
      const entries = forEver(lineOf([3n, 1], [4n, 2]));
      const backend = scripted({ enter: [stay], entries, cell: nobody }, scheduler);
      const standing = campaign(backend, 'e', { priority: 1 }).subscribe(({ _tag }) => log.push(_tag));
      expect(log.slice(0, 4)).toEqual(['None', 'Some', 'None', 'given up']);
      standing.unsubscribe();
    });
  });

  it('watches the line for as long as it stands there, and no longer', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const entries = cold('a', { a: lineOf([3n, 1]) });
      const backend = scripted({ enter: cold('-a', { a: placeOf(3n) }), entries, cell: nobody }, scheduler);
      expectObservable(campaign(backend, 'e', { priority: 1 }).pipe(map(({ _tag }) => _tag)), '^---!').toBe('NS', {
        N: 'None',
        S: 'Some',
      });
      expectSubscriptions(entries.subscriptions).toBe('-^--!');
      const once = scripted({ enter: cold('-a', { a: placeOf(3n) }), entries: NEVER, cell: nobody }, scheduler);
      expectObservable(
        campaign(once, 'e', { priority: 1, id: 'x', takeOver: true }).pipe(filter(isSome), take(1), ignoreElements()),
      ).toBe('-|');
      scheduler.schedule(() => expect(once.calls).toEqual(['enter election e']), 10);
    });
  });

  it('errors with what watching the line is refused with, after a none', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const backend = scripted(
        { enter: cold('-a', { a: placeOf(3n) }), entries: cold('--#', undefined, denied), cell: nobody },
        scheduler,
      );
      expectObservable(campaign(backend, 'e', { priority: 1 }).pipe(map(({ _tag }) => _tag))).toBe(
        'NS-(N#)',
        { N: 'None', S: 'Some' },
        denied,
      );
    });
  });

  it('goes by priorities where the store has no cells', () => {
    virtually(({ scheduler }) => {
      const entries = forEver(lineOf([3n, 1], [4n, 2]));
      const backend = scripted({ enter: [forEver(placeOf(3n))], entries }, scheduler);
      const without: Backend = Object.assign(Object.create(backend), {
        characteristics: { ...backend.characteristics, cells: false },
      });
      const standing = campaign(without, 'e', { priority: 1 }).subscribe();
      expect(entered(backend)).toBe(2);
      standing.unsubscribe();
    });
  });
});

describe('who is named', () => {
  /** What the leader e3 makes of a cell: how often it has entered, which swaps it has asked for, and which faults there were. */
  const leaderBeside = (cell: Observable<Versioned>, entries: readonly Entry[], swap?: Observable<SwapResult>) => {
    let outcome: { readonly times: number; readonly swaps: string[]; readonly faults: unknown[] } | undefined;
    virtually(({ scheduler }) => {
      const backend = scripted(
        { enter: [forEver(placeOf(3n))], entries: forEver(entries), cell, ...(swap && { swap: [swap] }) },
        scheduler,
      );
      const errors: unknown[] = [];
      const standing = campaign(backend, 'e', { priority: 1 }).subscribe({ error: (error) => errors.push(error) });
      expect(errors).toEqual([]);
      outcome = { times: entered(backend), swaps: swapsOf(backend), faults: backend.faults };
      standing.unsubscribe();
    });
    return outcome;
  };
  const twoEqual = lineOf([3n, 1], [4n, 1]);

  it('counts as the best, and stays named while it stands there', () => {
    expect(leaderBeside(cellOf({ election: 'e', id: 'e4', token: '4' }), twoEqual)).toEqual({
      times: 2,
      swaps: [],
      faults: [],
    });
  });

  it.each([
    ['is for another election', { election: 'f', id: 'e4', token: '4' }],
    ['has a token that is no text', { election: 'e', id: 'e4', token: 4 }],
    ['has an id that is no text', { election: 'e', id: 7, token: '1' }],
  ])('is nobody where the cell %s, and the cell stays as it is', (_why, fields) => {
    expect(leaderBeside(cellOf(fields), twoEqual)).toEqual({ times: 1, swaps: [], faults: [] });
  });

  it('has gone where the line is younger, and has nobody of that name: then the name is taken out', () => {
    const gone = cellOf({ election: 'e', id: 'e2', token: '2' }, 9n);
    expect(leaderBeside(gone, twoEqual, swapped)).toEqual({
      times: 1,
      swaps: ['swap hand-over e 9 nothing'],
      faults: [],
    });
    const refused = leaderBeside(
      gone,
      twoEqual,
      throwError(() => denied),
    );
    expect(refused?.faults).toEqual([denied]);
    const closed = leaderBeside(
      gone,
      twoEqual,
      throwError(() => new BackendClosed('scripted')),
    );
    expect(closed?.faults).toEqual([]);
  });

  it('may come still where the line is older than its entry', () => {
    const named = { id: 'e4', token: 4n };
    expect(isVoid(named, [])).toBe(false);
    expect(isVoid(named, lineOf([2n], [3n]))).toBe(false);
    expect(isVoid(named, lineOf([2n], [5n]))).toBe(true);
    expect(isVoid(named, lineOf([2n], [4n], [5n]))).toBe(false);
  });
});

describe('handOver', () => {
  const unknown = throwError(() => new OutcomeUnknown('scripted', 'it', undefined));

  it('names the candidate once, however often the line changes', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const states = {
        a: lineOf([1n], [2n]),
        b: lineOf([1n], [2n], [3n]),
        c: lineOf([2n], [3n]),
      };
      const backend = scripted({ entries: cold('a-b-c', states), swap: [swapped] }, scheduler);
      expectObservable(handOver(backend, 'e', 'e2')).toBe('----(c|)', {
        c: expect.objectContaining({ id: 'e2', token: 2n }),
      });
      scheduler.schedule(() => {
        expect(swapsOf(backend)).toEqual(['swap hand-over e any {"election":"e","id":"e2","token":"2"}']);
      }, 10);
    });
  });

  it('names it anew when it stands again under its identity', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const standing = (token: bigint): Entry => ({
        ...entryOf(`e${token}`, token),
        payload: enveloped(new Uint8Array(), { identity: 'me' }),
      });
      const states = { a: [...lineOf([1n]), standing(2n)], b: [...lineOf([1n]), standing(3n)], c: [standing(3n)] };
      const backend = scripted({ entries: cold('a-b-c', states), swap: [swapped, swapped] }, scheduler);
      expectObservable(handOver(backend, 'e', 'me')).toBe('----(c|)', { c: expect.objectContaining({ id: 'e3' }) });
      scheduler.schedule(() => expect(swapsOf(backend)).toHaveLength(2), 10);
    });
  });

  it('names it again where it is not known whether that was done, and passes what it is refused with', () => {
    virtually(({ scheduler, expectObservable }) => {
      const entries = forEver(lineOf([1n]));
      const repeated = scripted({ entries, swap: [unknown, swapped] }, scheduler);
      expectObservable(handOver(repeated, 'e', 'e1')).toBe('(c|)', { c: expect.objectContaining({ id: 'e1' }) });
      const refused = scripted({ entries, swap: [throwError(() => denied)] }, scheduler);
      expectObservable(handOver(refused, 'e', 'e1')).toBe('#', undefined, denied);
      expectObservable(handOver(repeated, 'e', 'e9')).toBe('#', undefined, new CandidateNotFound('e', 'e9'));
    });
  });
});
