import { isSome, type Option } from 'fp-ts/lib/Option.js';
import { concat, EMPTY, firstValueFrom, interval, map, NEVER, Observable, of, Subject, throwError } from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { ReleaseFailed } from '../../src/backends/errors.js';
import { MemoryStore, memory } from '../../src/backends/memory/index.js';
import { campaign } from '../../src/observables/elections/campaign.js';
import { candidates } from '../../src/observables/elections/candidates.js';
import type { Lead } from '../../src/observables/elections/lead.js';
import { leadership } from '../../src/observables/elections/leadership.js';
import { withLeadership } from '../../src/observables/elections/with-leadership.js';
import { ManualTime, placeOf, QUICK, scripted, virtually } from '../support/virtual-time.js';

const leads = { f: false, t: true };

/** Remembers the grant that was told last. */
const held = (backend: Backend, observe: (lead: Option<Lead>, before: Lead | undefined) => void) => {
  const now: { lead: Lead | undefined } = { lead: undefined };
  campaign(backend, 'e').subscribe((option) => {
    observe(option, now.lead);
    if (isSome(option)) now.lead = option.value;
  });
  return now;
};

describe('standDown of a campaign', () => {
  it('hands the lead over and stands again at the end of the line', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second, third] = [process(), process(), process()];
      const log: unknown[] = [];
      const faults: unknown[] = [];
      first.faults$.subscribe((fault) => faults.push(fault));
      const now = held(first, (lead, before) => log.push([isSome(lead) ? 'some' : 'none', before?.isValid()]));
      expectObservable(leadership(second, 'e'), '^ 200ms !').toBe('f 9ms t', leads);
      at(2, () => expectLine(third, 2));
      at(10, () => {
        const told: unknown[] = [];
        now.lead?.standDown().subscribe({ next: (was) => told.push(was), complete: () => told.push('complete') });
        expect(told).toEqual([true, 'complete']);
        expect(now.lead?.signal.reason).toMatchObject({
          _tag: 'Released',
          message: expect.stringMatching(/election "e" was released: the lead was handed over/),
        });
      });
      at(50, () => {
        expect(log).toEqual([
          ['none', undefined],
          ['some', undefined],
          ['none', false],
        ]);
        expect(faults).toEqual([]);
      });
    });
  });

  it('who stands alone leads again, with a greater token', () => {
    virtually(({ process, at }) => {
      const backend = process();
      const tokens: unknown[] = [];
      campaign(backend, 'f').subscribe((lead) => {
        tokens.push(isSome(lead) ? lead.value.token : 'none');
        if (isSome(lead) && tokens.length < 6) at(10, () => void lead.value.standDown());
      });
      at(100, () => {
        const [none, first, , second, , third] = tokens as bigint[];
        expect([none, tokens[2], tokens[4]]).toEqual(['none', 'none', 'none']);
        expect([first, second, third].map(Number)).toEqual([first, second, third].map(Number).sort((a, b) => a - b));
        expect(new Set([first, second, third]).size).toBe(3);
        expect(tokens).toHaveLength(6);
      });
    });
  });

  it('called twice, or after a loss, or after the end, it changes nothing more', () => {
    virtually(({ process, expire, at }) => {
      const backend = process();
      const subscription = new Subject<void>();
      const grants: Lead[] = [];
      campaign(backend, 'e').subscribe((option) => {
        if (isSome(option)) grants.push(option.value);
      });
      const told: boolean[] = [];
      const standDown = (i: number) => grants[i]?.standDown().subscribe((was) => told.push(was));
      at(10, () => {
        standDown(0);
        standDown(0);
        expect(told).toEqual([true, true]);
        expect(grants).toHaveLength(2);
      });
      at(20, () => expire(backend));
      at(60, () => {
        expect(grants).toHaveLength(3);
        standDown(1);
        standDown(0);
        expect(told).toEqual([true, true, false, true]);
        expect(grants[2]?.isValid()).toBe(true);
        subscription.complete();
      });
    });
  });

  it('stands again, too, where the store could not be told that it has left', () => {
    virtually(({ scheduler }) => {
      const failure = new ReleaseFailed('scripted', 'election "e"', undefined);
      const place = { ...placeOf(1n), leave: () => throwError(() => failure) };
      const backend = scripted({ enter: [concat(of(place), NEVER)] }, scheduler);
      const told: unknown[] = [];
      const standing = campaign(backend, 'e').subscribe({
        next: (option) => {
          told.push(option._tag);
          if (isSome(option)) option.value.standDown().subscribe({ error: (error) => told.push(error) });
        },
        error: (error) => told.push(error),
      });
      expect(told).toEqual(['None', 'Some', 'None', failure]);
      expect(backend.calls).toEqual(['enter election e', 'enter election e']);
      standing.unsubscribe();
    });
  });

  it('release() gives up for good: none, then the end', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      const campaign$ = campaign(first, 'e');
      expectObservable(
        campaign$.pipe(
          map((lead) => {
            if (isSome(lead)) at(10, () => void lead.value.release());
            return lead._tag;
          }),
        ),
      ).toBe('(ns) 6ms (n|)', { n: 'None', s: 'Some' });
      expectObservable(leadership(second, 'e'), '^ 200ms !').toBe('f 9ms t', leads);
    });
  });

  it('does not stand again while the backend closes, and completes', () => {
    virtually(({ process, at, expectObservable }) => {
      const backend = process();
      expectObservable(
        campaign(backend, 'e').pipe(
          map((lead) => {
            if (isSome(lead))
              at(10, () => {
                void backend.close();
                lead.value.standDown();
              });
            return lead._tag;
          }),
        ),
      ).toBe('(ns) 6ms (n|)', { n: 'None', s: 'Some' });
    });
  });
});

function expectLine(backend: Backend, length: number): void {
  candidates(backend, 'e')
    .subscribe((line) => expect(line).toHaveLength(length))
    .unsubscribe();
}

describe('standDown of withLeadership', () => {
  it('tears the work down, then gives up the lead, and begins again when it leads again', () => {
    virtually(({ process, at, expectObservable, cold, expectSubscriptions }) => {
      const [first, second] = [process(), process()];
      const work = cold('-');
      let lead: Lead | undefined;
      expectObservable(
        withLeadership(first, 'e', (now) => {
          lead = now;
          return work;
        }),
        '^ 300ms !',
      ).toBe('');
      expectObservable(leadership(second, 'e'), '^ 100ms !').toBe('f 19ms t', leads);
      const told: unknown[] = [];
      at(20, () =>
        lead?.standDown().subscribe({ next: (was) => told.push(was), complete: () => told.push('complete') }),
      );
      at(30, () => expect(told).toEqual([true, 'complete']));
      expectSubscriptions(work.subscriptions).toBe(['^ 19ms !', '101ms ^ 199ms !']);
    });
  });

  const setUp = () => {
    const time = new ManualTime();
    const store = new MemoryStore(time);
    const process = (): Backend => memory({ ...QUICK, store, scheduler: time });
    const log: unknown[] = [];
    return { time, process, log };
  };

  it('WaitsForItself: async work that awaits it is told at once, and the lead is given up when it has settled', async () => {
    const { time, process, log } = setUp();
    const [first, second] = [process(), process()];
    let finish = (): void => undefined;
    let count = 0;
    withLeadership(first, 'e', async (lead) => {
      log.push(['begun', ++count]);
      if (count > 1) return new Promise<void>(() => undefined);
      log.push(['told', await firstValueFrom(lead.standDown()), lead.signal.aborted, lead.isValid()]);
      return new Promise<void>((done) => (finish = done));
    }).subscribe({ next: (value) => log.push(value), complete: () => log.push('complete') });
    leadership(second, 'e').subscribe((now) => log.push(now));
    await time.passWithPromises(200);
    expect(log).toEqual([['begun', 1], false, ['told', true, true, false]]);
    finish();
    await time.passWithPromises(20);
    expect(log.slice(3)).toEqual([true]);
    const closed = second.close();
    await time.passWithPromises(20);
    await closed;
    expect(log.slice(4)).toEqual([false, ['begun', 2]]);
    const ending = first.close();
    await time.passWithPromises(200);
    await ending;
  });

  it('so is the step of an async iterable that awaits it', async () => {
    const { time, process, log } = setUp();
    const [first, second] = [process(), process()];
    let count = 0;
    withLeadership(first, 'e', async function* (lead) {
      if (++count > 1) return;
      log.push(await firstValueFrom(lead.standDown()));
      yield 'not told';
    }).subscribe((value) => log.push(value));
    leadership(second, 'e').subscribe((now) => log.push(now));
    await time.passWithPromises(20);
    expect(log).toEqual([false, true, true]);
    expect(count).toBe(1);
    await Promise.all([second.close(), time.passWithPromises(20)]);
    expect(count).toBe(2);
    await Promise.all([first.close(), time.passWithPromises(20)]);
  });

  it('of work that is over when it is told, it tells when the store has it, and not before', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const place = { ...placeOf(1n), leave: () => cold('---(t|)', { t: true }) };
      const backend = scripted({ enter: [concat(of(place), NEVER)] }, scheduler);
      const told$ = new Observable<boolean>((subscriber) => {
        const standing = withLeadership(backend, 'e', (lead) => {
          scheduler.schedule(() => lead.standDown().subscribe(subscriber), 2);
          return NEVER;
        }).subscribe();
        subscriber.add(() => standing.unsubscribe());
      });
      expectObservable(told$).toBe('-----(t|)', { t: true });
    });
  });

  it('called while the work is made, that work is not begun', () => {
    virtually(({ process, expectObservable }) => {
      const backend = process();
      let count = 0;
      const output = withLeadership(backend, 'e', (lead) => {
        if (++count > 1) return of('second');
        lead.standDown();
        return of('first');
      });
      expectObservable(output).toBe('(s|)', { s: 'second' });
    });
  });

  it('an Observable is over when it is told, though what it has set off awaits it', async () => {
    const { time, process, log } = setUp();
    const [first, second] = [process(), process()];
    withLeadership(
      first,
      'e',
      (lead) =>
        new Observable<never>(() => {
          queueMicrotask(() => lead.standDown().subscribe((was) => log.push(['was', was])));
          return () => log.push('torn down');
        }),
    ).subscribe();
    leadership(second, 'e').subscribe((now) => log.push(now));
    await time.passWithPromises(20);
    expect(log.slice(0, 4)).toEqual([false, 'torn down', true, ['was', true]]);
    await Promise.all([first.close(), second.close(), time.passWithPromises(20)]);
  });

  it('release() ends it for good', () => {
    virtually(({ process, at, expectObservable }) => {
      const backend = process();
      expectObservable(
        withLeadership(backend, 'e', (lead) => {
          at(10, () => void lead.release());
          return concat(interval(4), EMPTY);
        }),
      ).toBe('4ms a 3ms b 1ms |', { a: 0, b: 1 });
    });
  });
});

describe('data as an Observable', () => {
  it('is shown with its latest value, in each entry', () => {
    virtually(({ process, at }) => {
      const [first, second] = [process(), process()];
      const seen: unknown[] = [];
      candidates(second, 'e').subscribe((line) => seen.push(line.map(({ data }) => isSome(data) && data.value)));
      const data = new Subject<unknown>();
      let lead: Lead | undefined;
      campaign(first, 'e', { data: concat(of('one'), data) }).subscribe((now) => {
        if (isSome(now)) lead = now.value;
      });
      at(5, () => data.next('two'));
      at(10, () => void lead?.standDown());
      at(15, () => {
        expect(seen.at(-1)).toEqual(['two']);
        expect(seen.slice(0, 3)).toEqual([[], ['one'], ['two']]);
      });
    });
  });

  it('errors with what it errors with, after a none; a value that cannot be encoded is a fault, and the last stays', () => {
    virtually(({ process, cold, at, expectObservable }) => {
      const backend = process();
      const faults: unknown[] = [];
      backend.faults$.subscribe((fault) => faults.push(fault._tag));
      const failing = cold('a---#', undefined, new Error('no'));
      expectObservable(campaign(backend, 'e', { data: failing }).pipe(map(({ _tag }) => _tag))).toBe(
        '(ns)(n#)',
        { n: 'None', s: 'Some' },
        new Error('no'),
      );
      expectObservable(leadership(backend, 'f', { data: cold('a-b', { a: 'x', b: 1n }) }), '^ 50ms !').toBe(
        '(ft)',
        leads,
      );
      at(10, () => expect(faults).toEqual(['InvalidPayload']));
    });
  });
});
