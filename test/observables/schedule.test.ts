import { defer, EMPTY, finalize, from, map, NEVER, type Observable, of, Subject, throwError, timer } from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { InvalidName, NotSupported, OutcomeUnknown } from '../../src/backends/errors.js';
import { jsonCodec } from '../../src/backends/shared/codec.js';
import { toUtf8 } from '../../src/backends/shared/utf8.js';
import { cronOf, type When } from '../../src/observables/scheduling/occurrences.js';
import { type ScheduleOptions, schedule } from '../../src/observables/scheduling/schedule.js';
import { scheduleHistory, type TickRecord } from '../../src/observables/scheduling/schedule-history.js';
import type { Tick, TickEvent } from '../../src/observables/scheduling/ticks.js';
import { marbles } from '../../src/testing/marbles.js';
import { type Cluster, type SimulationOptions, simulate } from '../../src/testing/simulate.js';

type Work = (tick: Tick) => ReturnType<typeof timer> | Observable<unknown> | Promise<unknown>;

/** Ticks are written by the seconds since the beginning. */
class Fleet {
  readonly log: string[] = [];
  readonly cluster: Cluster;
  readonly #startMs: number;

  constructor(options: SimulationOptions = {}) {
    this.cluster = simulate({ ttlMs: 1_000, ...options });
    this.#startMs = options.startsAt?.getTime() ?? 0;
  }

  seconds(date: Date): number {
    return (date.getTime() - this.#startMs) / 1_000;
  }

  start(
    process: string,
    when: When,
    work: Work,
    options: ScheduleOptions = {},
    backend: Backend = this.cluster.backend(process),
  ): void {
    const { cluster, log } = this;
    const tell = (what: string): void => {
      log.push(`${cluster.now()} ${process} ${what}`);
    };
    const told = (event: TickEvent<unknown>): string => {
      const attempt = event.kind === 'claimed' && event.tick.attempt > 1 ? ` again (${event.tick.attempt})` : '';
      const since = event.kind === 'missed' ? ` since ${this.seconds(event.since)}` : '';
      return `${event.kind} ${this.seconds(event.tick.date)}${attempt}${since}`;
    };
    cluster.run(process, () =>
      schedule(backend, 'job', when, (tick) => work(tick) as Observable<unknown>, options).subscribe({
        next: (event) => tell(told(event)),
        error: (error) => tell(`error ${error}`),
        complete: () => tell('complete'),
      }),
    );
  }

  history(process = 'looker'): readonly TickRecord[] {
    let seen: readonly TickRecord[] = [];
    scheduleHistory(this.cluster.backend(process), 'job').subscribe((ticks) => {
      seen = ticks;
    });
    this.cluster.pass(50);
    return seen;
  }

  get claims(): readonly string[] {
    return this.log.filter((line) => line.includes('claimed')).map((line) => line.split(' ').slice(2).join(' '));
  }
}

const everySecond = { everyMs: 1_000 };
const quick: Work = () => timer(100);

describe('schedule', () => {
  it('does each tick on one process, and emits what happened to it', () => {
    marbles(
      ({ cluster, expectObservable, flush }) => {
        const event = (kind: string, ms: number, more = {}) => ({
          kind,
          tick: { date: new Date(ms), attempt: 1 },
          token: expect.any(BigInt),
          ...more,
        });
        const leads = schedule(cluster.backend('a'), 'job', everySecond, ({ date }) => of(1, date.getTime()));
        const seen: unknown[] = [];
        leads.subscribe((one) => seen.push(one));
        expectObservable(schedule(cluster.backend('b'), 'job', everySecond, () => NEVER)).toBe('');
        flush();
        expect(seen).toEqual([
          event('claimed', 1_000),
          event('done', 1_000, { value: 1_000 }),
          event('claimed', 2_000),
          event('done', 2_000, { value: 2_000 }),
        ]);
      },
      { endsAtMs: 2_500 },
    );
  });

  it('three processes whose clocks are 80 ms apart do each tick once', () => {
    const fleet = new Fleet();
    for (const process of ['a', 'b', 'c']) fleet.start(process, everySecond, quick);
    fleet.cluster.jumpClock('b', 80);
    fleet.cluster.jumpClock('c', -80);
    fleet.cluster.pass(2_050);
    // Just after the tick of a's clock, and before that of c's.
    fleet.cluster.deploy('a', 0);
    fleet.cluster.pass(50);
    fleet.cluster.deploy('b', 0);
    fleet.cluster.pass(2_000);
    expect(fleet.claims).toEqual(['claimed 1', 'claimed 2', 'claimed 3', 'claimed 4']);
  });

  it('KilledBeforeTheTick: a tick at which nobody led is done by the next leader', () => {
    const fleet = new Fleet();
    fleet.start('a', everySecond, quick);
    fleet.start('b', everySecond, quick);
    fleet.cluster.pass(1_990);
    fleet.cluster.crash('a');
    fleet.cluster.pass(2_010);
    expect(fleet.claims).toEqual(['claimed 1', 'claimed 2', 'claimed 3', 'claimed 4']);
  });

  it('KilledInTheMiddle, at most once: the tick has failed, and is not done again', () => {
    const fleet = new Fleet();
    fleet.start('a', everySecond, () => timer(500));
    fleet.start('b', everySecond, quick);
    fleet.cluster.pass(2_300);
    fleet.cluster.crash('a');
    fleet.cluster.pass(3_000);
    const [one, two, three] = fleet.history();
    expect(fleet.claims.filter((it) => it === 'claimed 2')).toHaveLength(1);
    expect(fleet.log.filter((it) => / b failed 2$/.test(it))).toHaveLength(1);
    expect(one).toMatchObject({ state: 'done', attempt: 1 });
    expect(two).toMatchObject({
      state: 'failed',
      date: new Date(2_000),
      error: expect.stringContaining('died or lost'),
    });
    expect(three).toMatchObject({ state: 'done' });
  });

  it('KilledInTheMiddle, at least once: the next leader does it again, before what comes, with a greater token', () => {
    const fleet = new Fleet();
    const options = { delivery: 'at-least-once', missed: 'all' } as const;
    fleet.start('a', everySecond, ({ date }) => (date.getTime() === 2_000 ? NEVER : timer(10)), options);
    fleet.start('b', everySecond, quick, options);
    fleet.cluster.pass(2_300);
    const [, before] = fleet.history();
    fleet.cluster.crash('a');
    fleet.cluster.pass(3_000);
    expect(fleet.claims).toEqual([
      'claimed 1',
      'claimed 2',
      'claimed 2 again (2)',
      'claimed 3',
      'claimed 4',
      'claimed 5',
    ]);
    const again = fleet.history().find(({ date }) => date.getTime() === 2_000);
    expect(again).toMatchObject({ state: 'done', attempt: 2 });
    expect(again?.token).toBeGreaterThan(before?.token as bigint);
  });

  it('what was missed: none, the last, or all of it that is not too late', () => {
    const missing = (options: ScheduleOptions): readonly string[] => {
      const fleet = new Fleet();
      fleet.start('a', everySecond, quick, options);
      fleet.cluster.pass(1_500);
      fleet.cluster.deploy('a', 0);
      fleet.cluster.pass(5_000);
      fleet.start('b', everySecond, quick, options);
      fleet.cluster.pass(1_000);
      return fleet.log.filter((it) => it.includes(' b ')).map((it) => it.split(' ').slice(2).join(' '));
    };
    const last = ['claimed 7', 'done 7'];
    const one = (second: number) => [`claimed ${second}`, `done ${second}`];
    expect(missing({ missed: 'skip' })).toEqual(['missed 6 since 1', ...last]);
    expect(missing({})).toEqual(['missed 5 since 1', ...one(6), ...last]);
    expect(missing({ missed: 'last', missedWithinMs: 100 })).toEqual(['missed 6 since 1', ...last]);
    expect(missing({ missed: 'all', missedWithinMs: 2_600 })).toEqual([
      'missed 3 since 1',
      ...[4, 5, 6].flatMap(one),
      ...last,
    ]);
    expect(missing({ missed: 'all' })).toEqual([...[2, 3, 4, 5, 6].flatMap(one), ...last]);
  });

  it('NothingMissedBefore: the very first leader does nothing that lies before it', () => {
    const fleet = new Fleet({ startsAt: new Date('2026-11-27T10:00:00.300Z') });
    fleet.start('a', '* * * * *', quick, { missed: 'all' });
    fleet.cluster.pass(60_000);
    expect(fleet.log.map((it) => it.split(' ')[2])).toEqual(['claimed', 'done']);
    expect(fleet.history()).toMatchObject([{ date: new Date('2026-11-27T10:01:00Z'), state: 'done' }]);
  });

  it('a tick that comes while the last one works: skipped, queued, or beside it', () => {
    const overlapping = (overlap: ScheduleOptions['overlap']): readonly string[] => {
      const fleet = new Fleet();
      fleet.start('a', everySecond, () => timer(1_400), overlap === undefined ? {} : { overlap });
      fleet.cluster.pass(4_900);
      return fleet.log;
    };
    const skipping = [
      '1000 a claimed 1',
      '2000 a skipped 2',
      '2400 a done 1',
      '3000 a claimed 3',
      '4000 a skipped 4',
      '4400 a done 3',
    ];
    expect(overlapping(undefined)).toEqual(skipping);
    expect(overlapping('skip')).toEqual(skipping);
    expect(overlapping('queue')).toEqual([
      '1000 a claimed 1',
      '2400 a done 1',
      '2400 a claimed 2',
      '3800 a done 2',
      '3800 a claimed 3',
    ]);
    expect(overlapping('parallel')).toEqual([
      '1000 a claimed 1',
      '2000 a claimed 2',
      '2400 a done 1',
      '3000 a claimed 3',
      '3400 a done 2',
      '4000 a claimed 4',
      '4400 a done 3',
    ]);
  });

  it('TornDownFirst: work that is queued begins after the teardown of the one before', () => {
    const fleet = new Fleet();
    const log: string[] = [];
    const work = ({ date }: Tick) =>
      defer(() => {
        log.push(`begin ${date.getTime()}`);
        return timer(1_000).pipe(finalize(() => log.push(`teardown ${date.getTime()}`)));
      });
    fleet.start('a', everySecond, work, { overlap: 'queue' });
    fleet.cluster.pass(3_100);
    expect(log).toEqual(['begin 1000', 'teardown 1000', 'begin 2000', 'teardown 2000', 'begin 3000']);
  });

  it('work that fails, or throws, ends its tick and not the schedule', () => {
    const fleet = new Fleet();
    const work = ({ date }: Tick): Observable<unknown> => {
      if (date.getTime() === 1_000) throw new Error('thrown');
      return date.getTime() === 2_000 ? throwError(() => new Error('told '.repeat(100))) : EMPTY;
    };
    fleet.start('a', everySecond, work);
    fleet.cluster.pass(3_500);
    expect(fleet.log.map((it) => it.split(' ').slice(2).join(' '))).toEqual([
      ...['claimed 1', 'failed 1', 'claimed 2', 'failed 2', 'claimed 3', 'done 3'],
    ]);
    const [one, two, three] = fleet.history();
    expect(one).toMatchObject({ state: 'failed', error: 'Error: thrown', attempt: 1 });
    expect(two?.error).toHaveLength(200);
    expect(three).not.toHaveProperty('error');
  });

  it('FailedInNoWords: an error that cannot be shown ends its tick and not the schedule', () => {
    const fleet = new Fleet();
    fleet.start('a', everySecond, () => throwError(() => Object.create(null)));
    fleet.cluster.pass(2_500);
    expect(fleet.log.map((it) => it.split(' ').slice(2).join(' '))).toEqual([
      ...['claimed 1', 'failed 1', 'claimed 2', 'failed 2'],
    ]);
    expect(fleet.history()).toMatchObject([{ error: 'an object' }, { error: 'an object' }]);
  });

  it('WhoseAnswerGotLost: what happens to each tick is told once, whichever of the answers of the store gets lost', () => {
    const told = (lost: number): readonly string[] => {
      const fleet = new Fleet();
      fleet.start('a', everySecond, ({ date }) => (date.getTime() === 2_000 ? NEVER : EMPTY));
      fleet.cluster.pass(2_500);
      fleet.cluster.crash('a');
      fleet.cluster.pass(4_000);
      const from = fleet.log.length;
      let writes = 0;
      const b = fleet.cluster.backend('b');
      const swap: Backend['swap'] = (...write) =>
        b.swap(...write).pipe(
          map((result) => {
            if (writes++ === lost) throw new OutcomeUnknown('test', 'a write', 'its answer got lost');
            return result;
          }),
        );
      fleet.start('b', everySecond, () => timer(1_500), {}, { ...b, swap });
      fleet.cluster.pass(4_000);
      expect(writes).toBeGreaterThan(lost);
      return fleet.log.slice(from);
    };
    const all = told(-1);
    const kinds = new Set(all.map((line) => line.split(' ')[2]));
    expect(kinds).toEqual(new Set(['failed', 'missed', 'claimed', 'skipped', 'done']));
    for (const lost of [0, 1, 2, 3, 4, 5]) expect(told(lost)).toEqual(all);
  });

  it('a clock that is set back does no tick twice, one that is set forward none', () => {
    const fleet = new Fleet({ ttlMs: 30_000 });
    fleet.start('a', everySecond, quick);
    fleet.cluster.pass(3_500);
    fleet.cluster.jumpClock('a', -2_000);
    fleet.cluster.pass(2_000);
    expect(fleet.claims).toEqual(['claimed 1', 'claimed 2', 'claimed 3']);
    fleet.cluster.pass(1_000);
    expect(fleet.claims).toHaveLength(4);
    fleet.cluster.jumpClock('a', 2_000);
    fleet.cluster.pass(12_000);
    expect(new Set(fleet.claims).size).toBe(fleet.claims.length);
    expect(fleet.claims.at(-1)).toBe('claimed 18');
  });

  describe('where clocks change by the season', () => {
    const datesFrom = (
      from: string,
      expression: string,
      count: number,
      timeZone = 'Europe/Berlin',
    ): readonly string[] => {
      const occurrences = cronOf(expression, timeZone);
      const dates: number[] = [];
      for (let at = Date.parse(from); dates.length < count; dates.push(at)) at = occurrences.next(at) as number;
      // Looked at from behind, they are the same.
      for (const [i, at] of dates.entries()) if (i > 0) expect(occurrences.last(at - 1)).toBe(dates[i - 1]);
      return dates.map((at) => new Date(at).toISOString().slice(5, 16));
    };

    it('a fixed time that there is not comes when the hour is over', () => {
      expect(datesFrom('2026-03-28T00:00:00Z', '30 2 * * *', 3)).toEqual(['03-28T01:30', '03-29T01:00', '03-30T00:30']);
    });

    it('a time that there is not, in a zone of half an hour, comes at the end of the gap', () => {
      expect(datesFrom('2026-10-02T00:00:00Z', '15 2 * * *', 3, 'Australia/Lord_Howe')).toEqual([
        ...['10-02T15:45', '10-03T15:30', '10-04T15:15'],
      ]);
    });

    it('of several times an hour none comes in the gap, and all come twice where the hour does', () => {
      expect(datesFrom('2026-03-28T12:00:00Z', '15,45 2 * * *', 2)).toEqual(['03-30T00:15', '03-30T00:45']);
      expect(datesFrom('2026-10-24T12:00:00Z', '15,45 2 * * *', 4)).toEqual([
        ...['10-25T00:15', '10-25T00:45', '10-25T01:15', '10-25T01:45'],
      ]);
    });

    it('a fixed time that there is twice comes once', () => {
      expect(datesFrom('2026-10-24T00:00:00Z', '30 2 * * *', 3)).toEqual(['10-24T00:30', '10-25T00:30', '10-26T01:30']);
    });

    it('a midnight that there is not comes at one', () => {
      expect(datesFrom('2018-11-03T00:00:00Z', '0 0 * * *', 3, 'America/Sao_Paulo')).toEqual([
        ...['11-03T03:00', '11-04T03:00', '11-05T02:00'],
      ]);
    });

    it('what comes each half an hour goes on to do so, on the leader as in the calendar', () => {
      const dates = ['10-25T00:00', '10-25T00:30', '10-25T01:00', '10-25T01:30', '10-25T02:00'];
      expect(datesFrom('2026-10-24T23:45:00Z', '*/30 * * * *', 5)).toEqual(dates);
      const fleet = new Fleet({ startsAt: new Date('2026-10-24T23:45:00Z'), ttlMs: 3_600_000 });
      fleet.start('a', '*/30 * * * *', quick, { timeZone: 'Europe/Berlin' });
      fleet.cluster.pass(2.5 * 3_600_000);
      expect(fleet.history().map(({ date }) => date.toISOString().slice(5, 16))).toEqual(dates);
    });

    it('is read in UTC by default, and in no zone of the machine', () => {
      const fleet = new Fleet({ startsAt: new Date('2026-06-01T02:30:00Z'), ttlMs: 3_600_000 });
      fleet.start('a', '0 3 * * *', quick);
      fleet.cluster.pass(3_600_000);
      expect(fleet.history()).toMatchObject([{ date: new Date('2026-06-01T03:00:00Z') }]);
    });
  });

  describe('with dates of an Observable', () => {
    it('does each when it comes, also those that were given before one led, and completes after the last', () => {
      const fleet = new Fleet();
      const dates = new Subject<Date>();
      fleet.start('a', dates, quick);
      fleet.start('b', dates, quick);
      for (const ms of [3_000, 1_000, 2_000, 1_800, 2_000]) dates.next(new Date(ms));
      fleet.cluster.pass(1_500);
      fleet.cluster.crash('a');
      fleet.cluster.pass(3_000);
      fleet.cluster.run('b', () => {
        dates.next(new Date(4_400));
        dates.complete();
      });
      fleet.cluster.pass(1_000);
      expect(fleet.claims).toEqual(['claimed 1', 'claimed 2', 'claimed 3', 'claimed 4.4']);
      expect(fleet.log.filter((it) => / b (missed|complete)/.test(it)).map((it) => it.slice(5))).toEqual([
        'b missed 1.8 since 1',
        'b complete',
      ]);
    });

    it('never, empty, error, what is no date', () => {
      const fleet = new Fleet();
      fleet.start('a', NEVER, quick);
      fleet.cluster.pass(100);
      expect(fleet.log).toEqual([]);
      fleet.cluster.deploy('a', 0);
      fleet.cluster.pass(10);
      fleet.log.length = 0;
      fleet.start('b', EMPTY, quick);
      fleet.start(
        'c',
        throwError(() => 'broken'),
        quick,
      );
      fleet.start('d', of('2026-01-01' as unknown as Date), quick);
      fleet.cluster.pass(10);
      expect(fleet.log.map((it) => it.slice(4))).toEqual([
        'b complete',
        'c error broken',
        'd error InvalidOptions: Invalid options: when must emit dates, but emits "2026-01-01".',
      ]);
      // Who has none to wait for does not stand in line for the lead.
      expect(fleet.cluster.history.filter((line) => / [cd] enter/.test(line))).toEqual([]);
    });

    it('TenThousandAtOnce: holds up nothing where it is given very many, in whatever order', () => {
      const fleet = new Fleet({ ttlMs: 60_000 });
      const most = 30_000;
      const dates = Array.from({ length: most }, (_, i) => new Date(1_000 * (1 + ((i * 7_919) % most))));
      const beganMs = performance.now();
      fleet.start('a', from(dates), () => EMPTY, { missedWithinMs: 0 });
      expect(performance.now() - beganMs).toBeLessThan(10_000);
      fleet.cluster.pass(3_500);
      expect(fleet.claims).toEqual(['claimed 1', 'claimed 2', 'claimed 3']);
    });
  });

  it('early unsubscribe ends the work, and another process goes on; subscribing again stands again', () => {
    const fleet = new Fleet();
    const { cluster } = fleet;
    let begun = 0;
    let ended = 0;
    const work = () =>
      defer(() => {
        begun += 1;
        return NEVER.pipe(finalize(() => (ended += 1)));
      });
    const job$ = schedule(cluster.backend('a'), 'job', everySecond, work);
    const first = cluster.run('a', () => job$.subscribe());
    cluster.pass(1_500);
    first.unsubscribe();
    expect([begun, ended]).toEqual([1, 1]);
    fleet.start('b', everySecond, quick);
    cluster.pass(1_000);
    expect(fleet.log).toEqual(['1500 b failed 1', '2000 b claimed 2', '2100 b done 2']);
    cluster.deploy('b', 0);
    const second = cluster.run('a', () => job$.subscribe());
    cluster.pass(1_000);
    expect(begun).toBe(2);
    second.unsubscribe();
    expect(ended).toBe(2);
  });

  it('Drain: begins no tick, and lets the one under way come to its end', () => {
    const fleet = new Fleet();
    fleet.start('a', everySecond, () => timer(1_700), { overlap: 'queue' });
    fleet.start('b', everySecond, quick);
    fleet.cluster.pass(1_200);
    fleet.cluster.deploy('a', 10_000);
    fleet.cluster.pass(1_900);
    expect(fleet.log).toEqual([
      '1000 a claimed 1',
      '2700 a done 1',
      '2700 a complete',
      '2700 b claimed 2',
      '2800 b done 2',
      '3000 b claimed 3',
      '3100 b done 3',
    ]);
  });

  it('PromisesSettleFirst: a promise that goes on keeps the next leader out', async () => {
    const fleet = new Fleet();
    const { cluster, log } = fleet;
    let settle: () => void = () => undefined;
    const pending = new Promise<void>((resolve) => {
      settle = resolve;
    });
    const a = cluster.backend('a');
    const running = cluster.run('a', () => schedule(a, 'job', everySecond, () => pending).subscribe());
    fleet.start('b', everySecond, quick, { delivery: 'at-least-once' });
    await cluster.passWithPromises(1_500);
    running.unsubscribe();
    await cluster.passWithPromises(2_000);
    expect(log).toEqual([]);
    settle();
    await cluster.passWithPromises(10);
    expect(log).toEqual(['3500 b missed 2 since 1', '3500 b claimed 1 again (2)']);
  });

  it('does thousands of late ticks one after the other', () => {
    const fleet = new Fleet({ ttlMs: 60_000 });
    fleet.start('a', everySecond, () => EMPTY, { missed: 'all' });
    fleet.cluster.pass(1_500);
    fleet.cluster.deploy('a', 0);
    fleet.cluster.pass(3_000_000);
    let done = 0;
    const b = fleet.cluster.backend('b');
    fleet.cluster.run('b', () =>
      schedule(b, 'job', everySecond, () => EMPTY, { missed: 'all' }).subscribe(({ kind }) => {
        if (kind === 'done') done += 1;
      }),
    );
    fleet.cluster.pass(100);
    expect(done).toBe(3_000);
  });

  it('Deleted: a journal that somebody removes, or writes over, brings no tick back', () => {
    const fleet = new Fleet();
    fleet.start('a', everySecond, quick);
    const other = fleet.cluster.backend('other');
    fleet.cluster.pass(2_500);
    fleet.cluster.run('other', () => other.swap('schedule job', 'any', undefined).subscribe());
    fleet.cluster.pass(1_000);
    fleet.cluster.run('other', () => other.swap('schedule job', 'any', jsonCodec.encode({ lines: 3 })).subscribe());
    fleet.cluster.pass(1_000);
    expect(fleet.claims).toEqual(['claimed 1', 'claimed 2', 'claimed 3', 'claimed 4']);
    expect(fleet.history().map(({ date }) => date.getTime())).toEqual([4_000]);
  });

  it.each([
    ['{"handled":1e400,"lines":[]}'],
    ['{"handled":1e300,"lines":[]}'],
    ['{"handled":0,"lines":[{"at":1e300,"state":"claimed","token":"0","attempt":1}]}'],
    ['{"handled":0,"lines":[{"at":0,"state":"claimed","token":"0","attempt":1e308}]}'],
    ['{"handled":0,"lines":[{"at":0,"state":"done","token":"0","attempt":1,"to":1e300}]}'],
  ])(
    'NoDate: a journal of numbers that are none of a clock is reported, and keeps no tick from being done: %s',
    (text) => {
      const fleet = new Fleet();
      const other = fleet.cluster.backend('other');
      const faults: unknown[] = [];
      fleet.cluster.backend('a').faults$.subscribe((fault) => faults.push(fault));
      fleet.cluster.run('other', () => other.swap('schedule job', 'absent', toUtf8(text)).subscribe());
      fleet.cluster.pass(10);
      fleet.start('a', everySecond, quick, { delivery: 'at-least-once' });
      fleet.cluster.pass(2_500);
      expect(fleet.claims).toEqual(['claimed 1', 'claimed 2']);
      expect(faults).toEqual([expect.objectContaining({ _tag: 'UndecodablePayload' })]);
    },
  );

  it('refuses at the call what is none, naming each field', () => {
    const backend = simulate().backend('a');
    const refused = (when: unknown, options: object = {}, work: unknown = () => EMPTY) => {
      try {
        schedule(backend, 'job', when as When, work as never, options as ScheduleOptions);
        return [];
      } catch (error) {
        return (error as { violations?: readonly string[] }).violations ?? [String(error)];
      }
    };
    expect(refused('0 3 * *')).toEqual([
      expect.stringMatching(/^when must be a cron expression, but is "0 3 \* \*": /),
    ]);
    expect(refused('61 3 * * *')).toEqual([expect.stringContaining('minute')]);
    expect(refused('2026-01-01T00:00:00')).toEqual([expect.stringMatching(/^when must be a cron .* is a date/)]);
    expect(refused('0 0 31 2 *')).toEqual([expect.stringContaining('at least one date')]);
    for (const when of [5, null, { everyMs: 0 }, { everyMs: 1.5 }, { everyMs: '1' }, { everyMs: 1, or: 2 }, {}, []])
      expect(refused(when)).toEqual([expect.stringMatching(/^when must be a cron expression, \{ everyMs \}/)]);
    expect(refused('0 3 * * *', { timeZone: 'Mars/Olympus' })).toEqual([
      expect.stringMatching(/^timeZone .*"Mars\/Olympus"/),
    ]);
    expect(refused(everySecond, { timeZone: 'UTC' })).toEqual([expect.stringMatching(/^timeZone needs a cron/)]);
    expect(refused(everySecond, { overlap: 'both', missed: 1, missedWithinMs: -1, delivery: '', overlp: 1 })).toEqual([
      ...['delivery ', 'missed ', 'missedWithinMs ', 'overlap ', 'overlp is not'].map((it) =>
        expect.stringContaining(it),
      ),
    ]);
    expect(refused(everySecond, {}, 1)).toEqual([expect.stringContaining('work must be a function')]);
    expect(() => schedule(backend, '', everySecond, () => EMPTY)).toThrow(InvalidName);
    expect(() => schedule(backend, 'x'.repeat(510), everySecond, () => EMPTY)).toThrow(InvalidName);
    const without = { ...backend, characteristics: { ...backend.characteristics, cells: false } };
    expect(() => schedule(without, 'job', everySecond, () => EMPTY)).toThrow(NotSupported);
    expect(() => scheduleHistory(without, 'job')).toThrow(NotSupported);
  });
});
