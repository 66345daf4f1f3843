import {
  concat,
  defer,
  finalize,
  mergeWith,
  NEVER,
  Observable,
  of,
  range,
  repeat,
  Subject,
  take,
  tap,
  throwError,
} from 'rxjs';
import { describe, expect, it } from 'vitest';
import { GateClosed } from '../../src/backends/errors.js';
import { onDueCheck } from '../../src/backends/validity.js';
import { whileTrue } from '../../src/operators/while-true.js';
import { virtually } from '../support/virtual-time.js';

const gates = { f: false, t: true };

describe('whileTrue', () => {
  it('subscribes to the source while the gate is true, anew each time', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const gate = cold('  f--t------f---t----|', gates);
      const source = cold('   -a-b-c-d-e-f');
      //                                 -a-b-c
      const expected = '   ----a-b-c------a-b-|';
      expectObservable(source.pipe(whileTrue(gate))).toBe(expected);
      expectSubscriptions(source.subscriptions).toBe(['---^------!', '--------------^----!']);
      expectSubscriptions(gate.subscriptions).toBe('^------------------!');
    });
  });

  it('lets nothing pass while the gate says nothing', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const gate = cold<boolean>('-');
      const source = cold('a-b-c');
      expectObservable(source.pipe(whileTrue(gate)), '^----!').toBe('------');
      expectSubscriptions(source.subscriptions).toBe([]);
      expectSubscriptions(gate.subscriptions).toBe('^----!');
    });
  });

  it('completes with a gate that never opened', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const gate = cold('f--|', gates);
      const source = cold('a-b-c');
      expectObservable(source.pipe(whileTrue(gate))).toBe('---|');
      expectSubscriptions(source.subscriptions).toBe([]);
      expectSubscriptions(gate.subscriptions).toBe('^--!');
    });
  });

  it('completes with an empty gate', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('a-b-c');
      expectObservable(source.pipe(whileTrue(cold<boolean>('|')))).toBe('|');
      expectSubscriptions(source.subscriptions).toBe([]);
    });
  });

  it('does not let the source run on when the gate completes after true', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const gate = cold('  t----|', gates);
      const source = cold('-a-b-c-d');
      expectObservable(source.pipe(whileTrue(gate))).toBe('-a-b-|');
      expectSubscriptions(source.subscriptions).toBe('^----!');
      expectSubscriptions(gate.subscriptions).toBe('^----!');
    });
  });

  it('does not let the source run on when the gate errors after true', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const gate = cold('  t----#', gates);
      const source = cold('-a-b-c-d');
      expectObservable(source.pipe(whileTrue(gate))).toBe('-a-b-#');
      expectSubscriptions(source.subscriptions).toBe('^----!');
      expectSubscriptions(gate.subscriptions).toBe('^----!');
    });
  });

  it('errors with a gate that never opened', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const source = cold('a-b-c');
      expectObservable(source.pipe(whileTrue(cold<boolean>('---#')))).toBe('---#');
      expectSubscriptions(source.subscriptions).toBe([]);
    });
  });

  it('has unsubscribed from the source before it tells that the gate has failed', () => {
    const log: string[] = [];
    const gate = new Subject<boolean>();
    const source = new Observable(() => () => log.push('source ended'));
    source.pipe(whileTrue(gate)).subscribe({ error: () => log.push('error told') });
    gate.next(true);
    gate.error(new Error('gate'));
    expect(log).toEqual(['source ended', 'error told']);
  });

  it('has unsubscribed from the source before it tells that the gate has completed', () => {
    const log: string[] = [];
    const gate = new Subject<boolean>();
    const source = new Observable(() => () => log.push('source ended'));
    source.pipe(whileTrue(gate)).subscribe({ complete: () => log.push('completion told') });
    gate.next(true);
    gate.complete();
    expect(log).toEqual(['source ended', 'completion told']);
  });

  it('stays silent with a source that never emits', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const gate = cold('  t--f--t', gates);
      const source = cold('-');
      expectObservable(source.pipe(whileTrue(gate)), '^-------!').toBe('---------');
      expectSubscriptions(source.subscriptions).toBe(['^--!', '------^-!']);
      expectSubscriptions(gate.subscriptions).toBe('^-------!');
    });
  });

  it('completes with an empty source, which leaves the gate', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const gate = cold('  f--t-----', gates);
      const source = cold('   |');
      expectObservable(source.pipe(whileTrue(gate))).toBe('---|');
      expectSubscriptions(source.subscriptions).toBe('---(^!)');
      expectSubscriptions(gate.subscriptions).toBe('^--!');
    });
  });

  it('completes with the source, which leaves the gate', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const gate = cold('  f--t-----f--', gates);
      const source = cold('   -a-|');
      expectObservable(source.pipe(whileTrue(gate))).toBe('----a-|');
      expectSubscriptions(gate.subscriptions).toBe('^-----!');
    });
  });

  it('errors with the source, which leaves the gate', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const gate = cold('  f--t-----f--', gates);
      const source = cold('   -a-#');
      expectObservable(source.pipe(whileTrue(gate))).toBe('----a-#');
      expectSubscriptions(source.subscriptions).toBe('---^--!');
      expectSubscriptions(gate.subscriptions).toBe('^-----!');
    });
  });

  it('unsubscribes from both when unsubscribed from early', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const gate = cold('  f--t-----f--', gates);
      const source = cold('   -a-b-c-d');
      expectObservable(source.pipe(whileTrue(gate)), '^------!').toBe('----a-b-');
      expectSubscriptions(source.subscriptions).toBe('---^---!');
      expectSubscriptions(gate.subscriptions).toBe('^------!');
    });
  });

  it('unsubscribes from the source first and from the gate after it: the work ends before the lock is released', () => {
    const log: string[] = [];
    const gate = concat(of(true), NEVER).pipe(finalize(() => log.push('gate')));
    NEVER.pipe(
      finalize(() => log.push('source')),
      whileTrue(gate),
    )
      .subscribe()
      .unsubscribe();
    expect(log).toEqual(['source', 'gate']);
  });

  it('starts anew when subscribed to again', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const gate = cold('  f-t----', gates);
      const source = cold('  -a-|');
      expectObservable(source.pipe(whileTrue(gate), repeat(2))).toBe('---a----a-|');
      expectSubscriptions(source.subscriptions).toBe(['--^--!', '-------^--!']);
      expectSubscriptions(gate.subscriptions).toBe(['^----!', '-----^----!']);
    });
  });

  it('does not subscribe to the source twice when the gate repeats itself', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const gate = cold('  ft-t--ff-t-|', gates);
      const source = cold(' a-b-c-d-');
      expectObservable(source.pipe(whileTrue(gate))).toBe('-a-b-c---a-|');
      expectSubscriptions(source.subscriptions).toBe(['-^----!', '---------^-!']);
    });
  });

  it('completes at the first loss with onLoss: complete, but not on a gate that is closed to begin with', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const gate = cold('  f-f-t---f--t', gates);
      const source = cold('    -a-b-c');
      expectObservable(source.pipe(whileTrue(gate, { onLoss: 'complete' }))).toBe('-----a-b|');
      expectSubscriptions(source.subscriptions).toBe('----^---!');
      expectSubscriptions(gate.subscriptions).toBe('^-------!');
    });
  });

  it('errors at the first loss with onLoss: error, but not on a gate that is closed to begin with', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const gate = cold('  f-f-t---f--t', gates);
      const source = cold('    -a-b-c');
      const output = source.pipe(whileTrue(gate, { onLoss: 'error' }));
      expectObservable(output).toBe('-----a-b#', undefined, new GateClosed());
      expectSubscriptions(source.subscriptions).toBe('----^---!');
      expectSubscriptions(gate.subscriptions).toBe('^-------!');
    });
  });

  it('has unsubscribed from the source before it tells the loss', () => {
    const log: string[] = [];
    for (const onLoss of ['complete', 'error'] as const) {
      const gate = new Subject<boolean>();
      const source = new Observable(() => () => log.push('source ended'));
      const told = (): unknown => log.push(onLoss);
      source.pipe(whileTrue(gate, { onLoss })).subscribe({ error: told, complete: told });
      gate.next(true);
      gate.next(false);
    }
    expect(log).toEqual(['source ended', 'complete', 'source ended', 'error']);
  });

  it('waits, and does not complete, at a loss with onLoss: resubscribe', () => {
    virtually(({ cold, expectObservable }) => {
      const gate = cold('  t-f-------', gates);
      const output = cold('-a-b').pipe(whileTrue(gate, { onLoss: 'resubscribe' }));
      expectObservable(output, '^--------!').toBe('-a--------');
    });
  });

  it('takes a synchronous source as a whole and completes', () => {
    const log: unknown[] = [];
    of(1, 2, 3)
      .pipe(whileTrue(concat(of(false, true), NEVER)))
      .subscribe({ next: (n) => log.push(n), complete: () => log.push('done') });
    expect(log).toEqual([1, 2, 3, 'done']);
  });

  it('stops an endless synchronous source that is no longer wanted', () => {
    const log: number[] = [];
    let drawn = 0;
    range(1, 1_000_000)
      .pipe(
        tap(() => drawn++),
        whileTrue(concat(of(true), NEVER)),
        take(2),
      )
      .subscribe((n) => log.push(n));
    expect(log).toEqual([1, 2]);
    expect(drawn).toBe(2);
  });

  it('leaves no source running that emits once at once and then goes on', () => {
    const ended: string[] = [];
    const source = of(1).pipe(
      mergeWith(NEVER),
      finalize(() => ended.push('source')),
    );
    const gate = new Subject<boolean>();
    source.pipe(whileTrue(gate), take(1)).subscribe();
    gate.next(true);
    expect(ended).toEqual(['source']);
    expect(gate.observed).toBe(false);
  });

  it('leaves no gate running that opens at once, when one item is enough', () => {
    const ended: string[] = [];
    const gate = of(true).pipe(
      mergeWith(NEVER),
      finalize(() => ended.push('gate')),
    );
    of(1).pipe(mergeWith(NEVER), whileTrue(gate), take(1)).subscribe();
    expect(ended).toEqual(['gate']);
  });

  it('does not open a source for a gate that opens after the end', () => {
    let opened = 0;
    const source = defer(() => {
      opened++;
      return of(1);
    });
    source.pipe(whileTrue(of(true, false, true)), take(1)).subscribe();
    expect(opened).toBe(1);
  });

  it('closes in the midst of a synchronous source when the consumer closes the gate', () => {
    const gate = new Subject<boolean>();
    const log: unknown[] = [];
    of(1, 2, 3)
      .pipe(whileTrue(gate))
      .subscribe({
        next: (n) => {
          log.push(n);
          if (n === 2) gate.next(false);
        },
        complete: () => log.push('done'),
      });
    gate.next(true);
    expect(log).toEqual([1, 2]);
    gate.next(true);
    expect(log).toEqual([1, 2, 1, 2]);
  });

  it('does not take the end of a source for its own after the gate was closed at the last item', () => {
    virtually(({ cold, expectObservable }) => {
      const gate = new Subject<boolean>();
      const source = cold('a-(b|)').pipe(
        whileTrue(concat(of(true), NEVER).pipe(mergeWith(gate))),
        tap((item) => {
          if (item === 'b') gate.next(false);
        }),
      );
      expectObservable(source, '^------!').toBe('a-b');
    });
  });

  it('opens again when the gate opens while the source is being torn down', () => {
    const gate = new Subject<boolean>();
    const log: string[] = [];
    let runs = 0;
    const source = new Observable(() => {
      const run = ++runs;
      log.push(`run ${run}`);
      return () => {
        log.push(`end ${run}`);
        if (run === 1) gate.next(true);
      };
    });
    const subscription = source.pipe(whileTrue(gate)).subscribe();
    gate.next(true);
    gate.next(false);
    subscription.unsubscribe();
    expect(log).toEqual(['run 1', 'end 1', 'run 2', 'end 2']);
  });

  it('tells a loss that is due before it lets an item pass', () => {
    virtually(({ cold, at, expectObservable, expectSubscriptions }) => {
      const gate = new Subject<boolean>();
      let isDue = false;
      const forget = onDueCheck(() => {
        if (isDue) gate.next(false);
      });
      const source = cold('-a-b-c-d');
      at(4, () => {
        isDue = true;
      });
      const output = source.pipe(whileTrue(concat(of(true), NEVER).pipe(mergeWith(gate)), { onLoss: 'error' }));
      expectObservable(output).toBe('-a-b-#', undefined, new GateClosed());
      expectSubscriptions(source.subscriptions).toBe('^----!');
      at(20, forget);
    });
  });

  it('drops the item when a due loss closes the gate and another opens it again at once', () => {
    const gate = new Subject<boolean>();
    const source = new Subject<string>();
    const log: string[] = [];
    source.pipe(whileTrue(gate)).subscribe((item) => log.push(item));
    gate.next(true);
    const forget = onDueCheck(() => {
      gate.next(false);
      gate.next(true);
    });
    source.next('from before');
    forget();
    source.next('from now');
    expect(log).toEqual(['from now']);
  });

  it('asks isOpen before each item, drops it and closes when it is not', () => {
    virtually(({ cold, at, expectObservable, expectSubscriptions }) => {
      let isOpen = true;
      at(4, () => {
        isOpen = false;
      });
      const gate = cold('  t--------', gates);
      const source = cold('-a-b-c-d');
      const asked = { isOpen: () => isOpen };
      expectObservable(source.pipe(whileTrue(gate, { ...asked, onLoss: 'complete' }))).toBe('-a-b-|');
      expectObservable(source.pipe(whileTrue(gate, { ...asked, onLoss: 'error' }))).toBe(
        '-a-b-#',
        undefined,
        new GateClosed(),
      );
      expectObservable(source.pipe(whileTrue(gate, asked)), '^-------!').toBe('-a-b-----');
      expectSubscriptions(source.subscriptions).toBe(['^----!', '^----!', '^----!']);
      expectSubscriptions(gate.subscriptions).toBe(['^----!', '^----!', '^-------!']);
    });
  });

  it('waits for the gate to close and open again after isOpen refused an item', () => {
    virtually(({ cold, at, expectObservable, expectSubscriptions }) => {
      let isOpen = true;
      at(2, () => {
        isOpen = false;
      });
      at(5, () => {
        isOpen = true;
      });
      const gate = cold('  t----f-t--|', gates);
      const source = cold('-a-b-c-d');
      expectObservable(source.pipe(whileTrue(gate, { isOpen: () => isOpen }))).toBe('-a------a-|');
      expectSubscriptions(source.subscriptions).toBe(['^--!', '-------^--!']);
    });
  });

  it('refuses options at the call', () => {
    const invalid = expect.objectContaining({ _tag: 'InvalidOptions' });
    expect(() => whileTrue(NEVER, { onLoss: 'retry' as never })).toThrow(invalid);
    for (const onLoss of ['resubscribe', 'complete', 'error'] as const)
      expect(() => whileTrue(NEVER, { onLoss })).not.toThrow();
  });

  it('passes the error of a source that throws at once', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const gate = cold('--t---', gates);
      const source = throwError(() => 'broken');
      expectObservable(source.pipe(whileTrue(gate))).toBe('--#', undefined, 'broken');
      expectSubscriptions(gate.subscriptions).toBe('^-!');
    });
  });
});
