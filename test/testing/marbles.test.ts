import { campaign, join, LockLost, leadership, lock, memberMap, members, whileLeader, whileLocked } from 'conclave';
import {
  asReadable,
  grantOf,
  heal,
  leadershipOf,
  MarbleMismatch,
  marbles,
  membersOf,
  partition,
  pause,
  readable,
  record,
  simulate,
} from 'conclave/testing';
import { none, some } from 'fp-ts/lib/Option.js';
import { interval, map, of, tap, throwError, VirtualTimeScheduler } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import 'conclave/testing/vitest';
import { describe, expect, it } from 'vitest';
import { drawMarbles, parseMarbles } from '../../src/testing/marble-text.js';

const leads = { f: false, t: true };

function messageOf(act: () => void): string {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(MarbleMismatch);
    return (error as Error).message;
  }
  throw new Error('nothing was thrown');
}

describe('marbles', () => {
  it('runs a cluster, and faults that a marble string scripts', () => {
    marbles(({ cluster, expectObservable }) => {
      cluster.faults('3s p 19999ms h', { p: partition('a'), h: heal('a') });
      expectObservable(leadership(cluster.backend('a'), 'e')).toBe('(ft) 11396ms f', leads);
      expectObservable(leadership(cluster.backend('b'), 'e')).toBe('f 11999ms t', leads);
    });
  });

  it('has the helpers of RxJS', () => {
    marbles(({ cold, hot, time, expectObservable, expectSubscriptions }) => {
      const source = cold('-a-b|');
      const late = hot('--a-^-b--c|');
      expectObservable(source.pipe(map((item) => item.toUpperCase()))).toBe('-A-B|');
      expectSubscriptions(source.subscriptions).toBe('^---!');
      expectObservable(late, '^---!').toBe('--b');
      expectObservable(throwError(() => 'no')).toBe('#', undefined, 'no');
      expect(time('---|')).toBe(3);
    });
  });

  it('subscribes and unsubscribes where the marbles say so', () => {
    marbles(({ cluster, expectObservable }) => {
      const backend = cluster.backend('a');
      expectObservable(leadership(backend, 'e'), '--^--!').toBe('--(ft)', leads);
      expectObservable(leadership(backend, 'e'), '---^ 10ms !').toBe('---f-t', leads);
    });
  });

  it('pauses the plain timers of a process with it', () => {
    marbles(({ cluster, expectObservable }) => {
      cluster.faults('2500ms p', { p: pause('a', 3_000) });
      cluster.backend('a');
      const ticks = cluster.run('a', () => interval(1_000).pipe(whileLeader(leadership(cluster.backend('a'), 'e'))));
      // The source is subscribed to by the process, as soon as it leads.
      const seen: number[] = [];
      cluster.run('a', () => ticks.pipe(tap(() => seen.push(cluster.now()))).subscribe());
      expectObservable(of('x')).toBe('(x|)');
      cluster.at(9_000, () => expect(seen).toEqual([1_000, 2_000, 5_500, 6_500, 7_500, 8_500]));
    });
  });

  it('draws both diagrams one above the other where they differ', () => {
    const message = messageOf(() =>
      marbles(({ cluster, expectObservable }) => {
        cluster.faults('3s p', { p: partition('a', 20_000) });
        expectObservable(leadership(cluster.backend('a'), 'e')).toBe('(ft) 20s f', leads);
      }),
    );
    expect(message).toBe(
      [
        'The marbles differ.',
        '',
        '  expected  (ft) 11396ms - 8603ms f',
        '  actual    (ft) 11396ms f 8603ms - 3337ms t',
        '  f = false',
        '  t = true',
        '',
      ].join('\n'),
    );
  });

  it('tells errors apart that differ in their message only, and says whose each is', () => {
    const message = messageOf(() =>
      marbles(({ expectObservable }) => {
        expectObservable(throwError(() => new RangeError('too far'))).toBe('#', undefined, new RangeError('too near'));
      }),
    );
    expect(message).toContain(
      '  expected  #\n  actual    #\n  expected # = RangeError: too near\n  actual # = RangeError: too far\n',
    );
    const late = messageOf(() =>
      marbles(({ expectObservable }) => expectObservable(throwError(() => 'error')).toBe('-#')),
    );
    expect(late).toContain('  expected  -#\n  actual    #\n  # = error\n');
    expect(() => expect(5).toShowMarbles('a')).toThrow(/what record\(\) has returned, not for 5/);
  });

  it('draws subscriptions that differ', () => {
    const message = messageOf(() =>
      marbles(({ cold, expectSubscriptions, expectObservable }) => {
        const source = cold('---|');
        expectObservable(source).toBe('---|');
        expectSubscriptions(source.subscriptions).toBe('^----!');
      }),
    );
    expect(message).toContain('expected  ^----!\n  actual    ^--!');
  });

  it('compares in the middle of a test, too', () => {
    marbles(({ cluster, expectObservable, flush }) => {
      expectObservable(leadership(cluster.backend('a'), 'e')).toBe('(ft)', leads);
      flush();
      expect(cluster.now()).toBeGreaterThanOrEqual(60_000);
    });
  });

  it('refuses options that cannot be, and faults that would come after the end', () => {
    expect(() => marbles(() => undefined, { endsAtMs: Number.NaN })).toThrow(/endsAtMs/);
    expect(() => marbles(() => undefined, { seed: Number.NaN })).toThrow(/seed/);
    const late = '70s (ph)';
    const faults = { p: partition('a'), h: heal('a') };
    expect(() => marbles(({ cluster }) => cluster.faults(late, faults))).toThrow(/'p' after the end.* 60000 ms/);
    marbles(
      ({ cluster, flush }) => {
        cluster.backend('a');
        cluster.faults(late, faults);
        flush();
        const happened = cluster.history.filter((line) => line.startsWith('70000 - '));
        expect(happened).toEqual(["70000 - partition('a')", "70000 - heal('a')"]);
      },
      { endsAtMs: 70_000 },
    );
    expect(() => marbles(({ cluster }) => cluster.faults('--q', faults))).toThrow(/'q', which is no fault given/);
  });

  it('refuses a test that is async', () => {
    expect(() => marbles(async () => undefined)).toThrow(/async/);
  });

  it('leaves the timers of RxJS as they were', () => {
    expect(() =>
      marbles(() => {
        throw new Error('in the test');
      }),
    ).toThrow('in the test');
    let ticks = 0;
    interval(0)
      .subscribe(() => ticks++)
      .unsubscribe();
    expect(ticks).toBe(0);
  });
});

describe('readable', () => {
  it('says sets, maps, options, grants and members in a few characters', () => {
    marbles(({ cluster, expectObservable }) => {
      const backend = cluster.backend('a');
      join(backend, 'g', { id: 'w1', capabilities: { zone: 'x' }, create: true }).subscribe();
      expectObservable(members(backend, 'g').pipe(asReadable())).toBe('a', { a: '{w1}' });
      expectObservable(memberMap(backend, 'g').pipe(asReadable())).toBe('m', { m: '{w1:{"zone":"x"}}' });
      expectObservable(campaign(backend, 'e').pipe(asReadable())).toBe('(ns)', { n: 'none', s: '#2' });
      expectObservable(lock(backend, 'l').pipe(asReadable())).toBe('g', { g: '#3' });
    });
    expect([new Set(['b', 'a']), new Map(), none, some(new Set()), 5n, undefined].map(readable)).toEqual([
      '{a,b}',
      '{}',
      'none',
      '{}',
      '"5"',
      'undefined',
    ]);
  });
});

describe('the matchers for vitest', () => {
  it('toShowMarbles: prints two diagrams one above the other where they differ', () => {
    const cluster = simulate();
    const seen = record(leadership(cluster.backend('a'), 'e'), cluster);
    cluster.pass(1_000);
    expect(seen).toShowMarbles('(ft)', leads);
    expect(seen).not.toShowMarbles('f', leads);
    expect(() => expect(seen).toShowMarbles('(ft) 96ms f', leads)).toThrow(
      '  expected  (ft) 96ms f\n  actual    (ft)\n  f = false\n  t = true',
    );
    expect(() => expect(seen).not.toShowMarbles('(ft)', leads)).toThrow(/should not/);
  });
});

describe('scripted primitives', () => {
  it('leadershipOf: opens and closes gates', () => {
    marbles(({ expectObservable, cold }) => {
      expectObservable(leadershipOf('f--t---f')).toBe('f--t---f', leads);
      const source = cold('-a-b-c');
      expectObservable(source.pipe(whileLeader(leadershipOf('f--t---f|')))).toBe('----a-b-|');
    });
  });

  it('membersOf: gives the sets', () => {
    marbles(({ expectObservable }) => {
      const sets = { a: [], b: ['w1'], c: ['w1', 'w2'] };
      expectObservable(membersOf('a-b-(c|)', sets).pipe(asReadable())).toBe('x-y-(z|)', {
        x: '{}',
        y: '{w1}',
        z: '{w1,w2}',
      });
    });
  });

  it('grantOf: is valid until it is lost, and then errors as a lock does', () => {
    marbles(({ cluster, expectObservable, cold }) => {
      const script$ = grantOf('--g----#', { name: 'ledger', token: 7n });
      expectObservable(script$.pipe(asReadable())).toBe(
        '--g----#',
        { g: '#7' },
        new LockLost('ledger', 7n, 'session lost'),
      );
      const valid: boolean[] = [];
      script$.subscribe({
        next: (grant) => {
          cluster.at(1, () => valid.push(grant.isValid(), grant.signal.aborted));
          cluster.at(9, () => valid.push(grant.isValid(), grant.signal.aborted));
        },
        error: () => undefined,
      });
      cluster.at(20, () => expect(valid).toEqual([true, false, false, true]));
      expectObservable(cold('a-b-c-d').pipe(whileLocked(grantOf('--g----#'), { onLoss: 'complete' }))).toBe('--a-b-c|');
    });
  });

  it('run in a TestScheduler of RxJS', () => {
    const scheduler = new TestScheduler((actual, expected) => expect(actual).toEqual(expected));
    scheduler.run(({ expectObservable }) => {
      expectObservable(leadershipOf('f--t---f')).toBe('f--t---f', leads);
    });
  });

  it('run on a scheduler that is given', () => {
    const scheduler = new VirtualTimeScheduler();
    const seen = record(leadershipOf('f 1s t', { scheduler }), scheduler);
    scheduler.flush();
    seen.toBe('f 1s t', leads);
  });

  it('run in real time', async () => {
    const seen: boolean[] = [];
    await leadershipOf('f-t-(f|)').forEach((is) => {
      seen.push(is);
    });
    expect(seen).toEqual([false, true, false]);
  });

  it('refuse symbols that mean nothing, at the call', () => {
    expect(() => leadershipOf('f-x')).toThrow(/'x'.*f, t/);
    expect(() => membersOf('a-b', { a: [] })).toThrow(/'b'/);
    expect(() => grantOf('t')).toThrow(/'t'.*g, /);
  });
});

describe('marble text', () => {
  it('is read as RxJS reads it in run mode', () => {
    const texts = ['a-b', '-(ab)-c|', ' a 9ms b 1.5s c 1m d', '--#', 'a 3s (bc) 10ms |', '1-2', ''];
    const scheduler = new TestScheduler(() => undefined);
    scheduler.run(() => {
      for (const text of texts)
        expect(parseMarbles(text).map(({ atMs }) => atMs)).toEqual(
          TestScheduler.parseMarbles(text, undefined, undefined, false, true).map(({ frame }) => frame),
        );
    });
  });

  it('is drawn so that it reads the same', () => {
    for (const text of ['a-b', '-(ab)-c|', 'a 9ms b 1500ms c', 'a 3s (bc) 10ms |'])
      expect(parseMarbles(drawMarbles([parseMarbles(text)])[0] ?? '')).toEqual(parseMarbles(text));
    const emoji = '🙂-(🙃a)-🏁|';
    expect(parseMarbles(emoji)).toEqual([
      { atMs: 0, symbol: '🙂' },
      { atMs: 2, symbol: '🙃' },
      { atMs: 2, symbol: 'a' },
      { atMs: 7, symbol: '🏁' },
      { atMs: 8, symbol: '|' },
    ]);
    expect(drawMarbles([parseMarbles(emoji), parseMarbles('a-(bc)-d|')])).toEqual([emoji, 'a-(bc)-d|']);
    expect(() => parseMarbles('(a(b))')).toThrow(/group/);
    expect(() => parseMarbles('a)')).toThrow(/group/);
    expect(() => parseMarbles('(a')).toThrow(/group/);
  });
});
