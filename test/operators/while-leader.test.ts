import {
  concat,
  defer,
  finalize,
  interval,
  type MonoTypeOperatorFunction,
  map,
  mergeMap,
  NEVER,
  Observable,
  of,
  ReplaySubject,
  repeat,
  share,
  take,
  tap,
} from 'rxjs';
import { describe, expect, it } from 'vitest';
import { GateClosed } from '../../src/backends/errors.js';
import { leadership } from '../../src/observables/elections/leadership.js';
import { settled } from '../../src/operators/settled.js';
import { whileLeader } from '../../src/operators/while-leader.js';
import { virtually } from '../support/virtual-time.js';

const leads = { f: false, t: true };

describe('whileLeader', () => {
  it('subscribes to the source while it leads', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const leadership$ = cold('f--t------f---t----|', leads);
      const source = cold('        -a-b-c-d-e-f');
      expectObservable(source.pipe(whileLeader(leadership$))).toBe('----a-b-c------a-b-|');
      expectSubscriptions(source.subscriptions).toBe(['---^------!', '--------------^----!']);
      expectSubscriptions(leadership$.subscriptions).toBe('^------------------!');
    });
  });

  it('never subscribes to the source of one who never leads', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const leadership$ = cold('f-----', leads);
      const source = cold('a-b');
      expectObservable(source.pipe(whileLeader(leadership$)), '^----!').toBe('------');
      expectSubscriptions(source.subscriptions).toBe([]);
      expectSubscriptions(leadership$.subscriptions).toBe('^----!');
    });
  });

  it('steps down when the source is empty', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const leadership$ = cold('f-t---', leads);
      expectObservable(cold('|').pipe(whileLeader(leadership$))).toBe('--|');
      expectSubscriptions(leadership$.subscriptions).toBe('^-!');
    });
  });

  it('steps down when the source errors', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const leadership$ = cold('f-t---', leads);
      expectObservable(cold('-#').pipe(whileLeader(leadership$))).toBe('---#');
      expectSubscriptions(leadership$.subscriptions).toBe('^--!');
    });
  });

  it('hands its options to the gate', () => {
    virtually(({ cold, expectObservable }) => {
      const leadership$ = cold('f-t--f', leads);
      const source = cold('-a-b-c');
      const output = (onLoss: 'complete' | 'error') => source.pipe(whileLeader(leadership$, { onLoss }));
      expectObservable(output('complete')).toBe('---a-|');
      expectObservable(output('error')).toBe('---a-#', undefined, new GateClosed());
    });
  });

  it('stands again when subscribed to again', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const leadership$ = cold('f-t---', leads);
      expectObservable(cold('-a|').pipe(whileLeader(leadership$), repeat(2))).toBe('---a---a|');
      expectSubscriptions(leadership$.subscriptions).toBe(['^---!', '----^---!']);
    });
  });
});

describe('whileLeader over a store', () => {
  it('stops the source of a partitioned leader before the source of its rival starts', () => {
    virtually(({ process, partition, at, expectObservable, cold, expectSubscriptions }) => {
      const [first, second] = [process(), process()];
      const [ours, theirs] = [cold('-'), cold('-')];
      expectObservable(ours.pipe(whileLeader(leadership(first, 'e'))), '^ 149ms !').toBe('');
      expectObservable(theirs.pipe(whileLeader(leadership(second, 'e'))), '^ 199ms !').toBe('');
      at(50, () => partition(first));
      // Proved at 40: given up at 134, expired by the store at 140.
      expectSubscriptions(ours.subscriptions).toBe('^ 133ms !');
      expectSubscriptions(theirs.subscriptions).toBe('140ms ^ 59ms !');
    });
  });

  it('takes its source up again in the next session', () => {
    virtually(({ process, expire, at, expectObservable, cold, expectSubscriptions }) => {
      const backend = process();
      const source = cold('-a');
      expectObservable(source.pipe(whileLeader(leadership(backend, 'e'))), '^ 79ms !').toBe('-a 54ms a');
      at(50, () => expire(backend));
      expectSubscriptions(source.subscriptions).toBe(['^ 49ms !', '55ms ^ 24ms !']);
    });
  });

  it('LateTimersDoNotLetAnItemPass: a due loss is told before the item', () => {
    virtually(({ process, block, at, expectObservable, cold, expectSubscriptions }) => {
      const backend = process();
      // Proved at 40. The loop is blocked for 100 ms at 41: the item at 45 comes before the timers of the session.
      const source = cold('5ms a 39ms b 4ms c');
      const log: string[] = [];
      const leadership$ = leadership(backend, 'e').pipe(tap((isLeader) => log.push(String(isLeader))));
      at(41, () => block(100));
      expectObservable(
        source.pipe(
          whileLeader(leadership$, { onLoss: 'complete' }),
          tap((item) => log.push(item)),
        ),
      ).toBe('5ms a 39ms |');
      expectSubscriptions(source.subscriptions).toBe('^ 44ms !');
      at(900, () => expect(log).toEqual(['false', 'true', 'a', 'false']));
    });
  });

  it('keeps one candidacy for all who share it, and steps down after the last', () => {
    virtually(({ process, expectObservable, cold, expectSubscriptions }) => {
      const [backend, rival] = [process(), process()];
      let candidacies = 0;
      const shared$ = defer(() => {
        candidacies++;
        return leadership(backend, 'e');
      }).pipe(share({ connector: () => new ReplaySubject(1), resetOnRefCountZero: true }));
      const [one, two, other] = [cold('-'), cold('-'), cold('-')];
      expectObservable(one.pipe(whileLeader(shared$)), '^--------!').toBe('');
      expectObservable(two.pipe(whileLeader(shared$)), '---^---------!').toBe('');
      expectObservable(other.pipe(whileLeader(leadership(rival, 'e'))), '-^-----------------!').toBe('');
      expectSubscriptions(one.subscriptions).toBe('^--------!');
      expectSubscriptions(two.subscriptions).toBe('---^---------!');
      expectSubscriptions(other.subscriptions).toBe('-------------^-----!');
      expectObservable(cold('20ms (a|)').pipe(map(() => candidacies))).toBe('20ms (a|)', { a: 1 });
    });
  });

  it('tells every user of a shared candidacy of a due loss before any item passes', () => {
    virtually(({ process, block, at, expectObservable, cold }) => {
      const backend = process();
      const shared$ = leadership(backend, 'e').pipe(
        share({ connector: () => new ReplaySubject(1), resetOnRefCountZero: true }),
      );
      at(41, () => block(100));
      const output = () => cold('5ms a 39ms b').pipe(whileLeader(shared$, { onLoss: 'error' }));
      expectObservable(output()).toBe('5ms a 39ms #', undefined, new GateClosed());
      expectObservable(output()).toBe('5ms a 39ms #', undefined, new GateClosed());
    });
  });

  it('completes when the backend is closed, with the source torn down', () => {
    virtually(({ process, expectObservable, cold, expectSubscriptions }) => {
      const source = cold('-a--');
      expectObservable(source.pipe(whileLeader(leadership(process(), 'e')))).toBe('-a 8ms |');
      expectSubscriptions(source.subscriptions).toBe('^ 9ms !');
    }, 10);
  });

  it('ends the work before it steps down: the rival starts afterwards', () => {
    virtually(({ process, at }) => {
      const log: string[] = [];
      const work = (who: string) =>
        concat(of(who), NEVER).pipe(
          tap(() => log.push(`${who} starts`)),
          finalize(() => log.push(`${who} has ended`)),
        );
      const [first, second] = [process(), process()];
      const ours = work('first')
        .pipe(whileLeader(leadership(first, 'e')))
        .subscribe();
      const theirs = work('second')
        .pipe(whileLeader(leadership(second, 'e')))
        .subscribe();
      at(10, () => ours.unsubscribe());
      at(20, () => theirs.unsubscribe());
      at(30, () => expect(log).toEqual(['first starts', 'first has ended', 'second starts', 'second has ended']));
    });
  });

  it('leaves nobody in line who wanted one item only', () => {
    virtually(({ process, expectObservable }) => {
      const [first, second] = [process(), process()];
      const one = (backend: typeof first) => interval(3).pipe(whileLeader(leadership(backend, 'e')), take(1));
      expectObservable(one(first)).toBe('---(a|)', { a: 0 });
      expectObservable(one(second)).toBe('------(a|)', { a: 0 });
    });
  });
});

describe('where a gate stands', () => {
  /** Each tick begins a job of three steps. */
  const job = (tick: string) =>
    interval(2).pipe(
      take(3),
      map((step) => `${tick}${step}`),
    );

  it('GateBeforeTheWork: what has begun behind it goes on, though another leads; what is before it is torn down', () => {
    virtually(({ process, expire, at, cold }) => {
      const log: string[] = [];
      const [first, second] = [process(), process()];
      const tell = (where: string) => tap((step: string) => log.push(`${where} ${step}`));
      const leads$ = leadership(first, 'e').pipe(
        share({ connector: () => new ReplaySubject(1), resetOnRefCountZero: true }),
      );
      const gate = () => whileLeader<string>(leads$);
      cold('a----b----c').pipe(gate(), mergeMap(job), tell('behind')).subscribe();
      cold('a----b----c').pipe(mergeMap(job), tell('before'), gate()).subscribe();
      at(1, () => {
        leadership(second, 'e').subscribe((leads) => leads && log.push('another leads'));
      });
      at(8, () => expire(first));
      at(40, () => {
        const after = log.slice(log.indexOf('another leads'));
        expect(after).toEqual(['another leads', 'behind b1', 'behind b2']);
        expect(log).toContain('before b0');
      });
    });
  });

  it('what it tears down tells nothing behind it, neither items nor an end', () => {
    virtually(({ cold, expectObservable }) => {
      const ending = cold('-a').pipe(finalizeWith(() => 'late'));
      expectObservable(ending.pipe(whileLeader(cold('t-f---|', leads)))).toBe('-a----|');
    });
  });

  it('GateToldLate: what delays the loss on its way keeps it open for as long', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const leadership$ = cold('t---f-', leads);
      const source = cold('-a-b-c-d-e-f');
      expectObservable(source.pipe(whileLeader(leadership$)), '^--------!').toBe('-a-b');
      const late$ = concat(of(true), leadership$.pipe(settled(4, scheduler)));
      expectObservable(source.pipe(whileLeader(late$)), '^--------!').toBe('-a-b-c-d');
    });
  });
});

/** Tells one more thing when it is torn down. */
function finalizeWith(last: () => string): MonoTypeOperatorFunction<string> {
  return (source) =>
    new Observable<string>((subscriber) => {
      const running = source.subscribe(subscriber);
      return () => {
        running.unsubscribe();
        subscriber.next(last());
        subscriber.complete();
      };
    });
}
