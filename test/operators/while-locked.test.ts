import { concat, defer, finalize, NEVER, type Observable, of, repeat, tap, throwError } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { GateClosed, LockLost } from '../../src/backends/errors.js';
import type { Grant } from '../../src/observables/holding/grant.js';
import { lock } from '../../src/observables/locks/lock.js';
import { whileLocked } from '../../src/operators/while-locked.js';
import { virtually } from '../support/virtual-time.js';

type Held = Pick<Grant, 'isValid'>;
const grants: Record<string, Held> = { g: { isValid: () => true }, x: { isValid: () => false } };
const lost = new LockLost('l', 1n, 'session lost');

describe('whileLocked', () => {
  it('refuses options at the call', () => {
    const invalid = expect.objectContaining({ _tag: 'InvalidOptions' });
    for (const options of [{ onLoss: 'errors' }, { onloss: 'error' }, null])
      expect(() => whileLocked(NEVER, options as never)).toThrow(invalid);
  });

  it('subscribes to the source while the lock is held, and completes with the lock', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const lock$ = cold('---g------|', grants);
      const source = cold('  -a-b-c-d-e');
      expectObservable(source.pipe(whileLocked(lock$))).toBe('----a-b-c-|');
      expectSubscriptions(source.subscriptions).toBe('---^------!');
      expectSubscriptions(lock$.subscriptions).toBe('^---------!');
    });
  });

  it('completes when the backend of the grant drains, though the lock is held on', () => {
    virtually(({ cold, at, expectObservable, expectSubscriptions }) => {
      for (const onLoss of ['error', 'complete', 'resubscribe'] as const) {
        const draining = new AbortController();
        const lock$ = cold('---g------', { g: { isValid: () => true, draining: draining.signal } });
        const source = cold('  -a-b-c-d-e');
        expectObservable(source.pipe(whileLocked(lock$, { onLoss }))).toBe('----a-b|');
        expectSubscriptions(source.subscriptions).toBe('---^---!');
        expectSubscriptions(lock$.subscriptions).toBe('^------!');
        at(7, () => draining.abort());
      }
      const drained = cold('---g', { g: { isValid: () => true, draining: AbortSignal.abort() } });
      const unwanted = cold('a');
      expectObservable(unwanted.pipe(whileLocked(drained))).toBe('---|');
      expectSubscriptions(unwanted.subscriptions).toBe([]);
    });
  });

  it('never subscribes to the source while it waits for the lock', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const lock$ = cold<Held>('-');
      const source = cold('a-b');
      expectObservable(source.pipe(whileLocked(lock$)), '^----!').toBe('------');
      expectSubscriptions(source.subscriptions).toBe([]);
      expectSubscriptions(lock$.subscriptions).toBe('^----!');
    });
  });

  it('completes with a lock that ends without a grant', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const lock$ = cold<Held>('---|');
      expectObservable(cold('a').pipe(whileLocked(lock$))).toBe('---|');
      expectSubscriptions(lock$.subscriptions).toBe('^--!');
    });
  });

  it('releases when the source completes, is empty, or errors', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const lock$ = cold('---g------', grants);
      expectObservable(cold('-a-|').pipe(whileLocked(lock$))).toBe('----a-|');
      expectObservable(cold('|').pipe(whileLocked(lock$))).toBe('---|');
      expectObservable(cold('-#').pipe(whileLocked(lock$))).toBe('----#');
      expectSubscriptions(lock$.subscriptions).toBe(['^-----!', '^--!', '^---!']);
    });
  });

  it('errors with LockLost, the source torn down', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const lock$ = cold('---g----#', grants, lost);
      const source = cold('  -a-b-c-d');
      expectObservable(source.pipe(whileLocked(lock$))).toBe('----a-b-#', undefined, lost);
      expectObservable(source.pipe(whileLocked(lock$, { onLoss: 'error' }))).toBe('----a-b-#', undefined, lost);
      expectSubscriptions(source.subscriptions).toBe(['---^----!', '---^----!']);
      expectSubscriptions(lock$.subscriptions).toBe(['^-------!', '^-------!']);
    });
  });

  it('completes at the loss with onLoss: complete, and does not acquire the lock again', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const lock$ = cold('---g----#', grants, lost);
      const source = cold('  -a-b-c-d');
      expectObservable(source.pipe(whileLocked(lock$, { onLoss: 'complete' }))).toBe('----a-b-|');
      expectSubscriptions(source.subscriptions).toBe('---^----!');
      expectSubscriptions(lock$.subscriptions).toBe('^-------!');
    });
  });

  it('acquires the lock again after each loss with onLoss: resubscribe', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const lock$ = cold('---g---#', grants, lost);
      const source = cold('  -a-b-c-d');
      expectObservable(source.pipe(whileLocked(lock$, { onLoss: 'resubscribe' })), '^ 15ms !').toBe(
        '----a-b----a-b---',
      );
      expectSubscriptions(lock$.subscriptions).toBe(['^------!', '-------^------!', '--------------^-!']);
      expectSubscriptions(source.subscriptions).toBe(['---^---!', '----------^---!']);
    });
  });

  it('passes whatever else the lock errors with, whatever onLoss says', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const lock$ = cold('---g---#', grants);
      const source = cold('  -a-b-c-d');
      for (const onLoss of ['resubscribe', 'complete', 'error'] as const)
        expectObservable(source.pipe(whileLocked(lock$, { onLoss }))).toBe('----a-b#');
      expectSubscriptions(lock$.subscriptions).toBe(['^------!', '^------!', '^------!']);
    });
  });

  it('completes, and does not acquire the lock again, when the lock completes after a loss', () => {
    virtually(({ cold, expectObservable }) => {
      const rounds: Observable<Held>[] = [cold('-g-#', grants, lost), cold('-g-|', grants)];
      let round = 0;
      const lock$ = defer(() => rounds[round++] ?? cold<Held>('#'));
      const output = cold('a').pipe(whileLocked(lock$, { onLoss: 'resubscribe' }));
      expectObservable(output).toBe('-a--a-|');
    });
  });

  it('asks the grant before each item, and drops the item of one that is not valid any longer', () => {
    virtually(({ cold, at, expectObservable, expectSubscriptions }) => {
      let isValid = true;
      at(5, () => {
        isValid = false;
      });
      const lock$ = cold('-g------', { g: { isValid: () => isValid } });
      const source = cold('-a-b-c-d');
      const gated = (onLoss: 'complete' | 'error') => source.pipe(whileLocked(lock$, { onLoss }));
      expectObservable(gated('complete')).toBe('--a-b-|');
      expectObservable(gated('error')).toBe('--a-b-#', undefined, new GateClosed());
      expectSubscriptions(source.subscriptions).toBe(['-^----!', '-^----!']);
    });
  });

  it('asks the latest grant, not the one before', () => {
    virtually(({ cold, at, expectObservable }) => {
      let isFirstValid = true;
      const rounds: Observable<Held>[] = [
        cold('-g-#', { g: { isValid: () => isFirstValid } }, lost),
        cold('-g----', grants),
      ];
      at(3, () => {
        isFirstValid = false;
      });
      let round = 0;
      const lock$ = defer(() => rounds[round++] ?? cold<Held>('#'));
      const output = cold('a-b').pipe(whileLocked(lock$, { onLoss: 'resubscribe' }));
      expectObservable(output, '^-------!').toBe('-a--a-b--');
    });
  });

  it('asks a grant that is an object with a state of its own', () => {
    class OwnGrant {
      held = true;
      isValid(): boolean {
        return this.held;
      }
    }
    const log: unknown[] = [];
    of(1)
      .pipe(whileLocked(of(new OwnGrant())))
      .subscribe({ next: (item) => log.push(item), error: (error) => log.push(error) });
    expect(log).toEqual([1]);
  });

  it('asks nobody else but its own grant: two subscriptions do not share it', () => {
    virtually(({ cold, expectObservable }) => {
      const rounds: Observable<Held>[] = [cold('g', grants), cold('-x', grants)];
      let round = 0;
      const lock$ = defer(() => rounds[round++] ?? cold<Held>('#'));
      const output = cold('--a').pipe(whileLocked(lock$, { onLoss: 'complete' }));
      expectObservable(output, '^---!').toBe('--a--');
      expectObservable(output).toBe('-|');
    });
  });

  it('acquires anew when subscribed to again', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const lock$ = cold('-g---', grants);
      expectObservable(cold('-a|').pipe(whileLocked(lock$), repeat(2))).toBe('--a--a|');
      expectSubscriptions(lock$.subscriptions).toBe(['^--!', '---^--!']);
    });
  });

  it('unsubscribes from both when unsubscribed from early', () => {
    virtually(({ cold, expectObservable, expectSubscriptions }) => {
      const lock$ = cold('-g-------', grants);
      const source = cold('-a-b-c');
      expectObservable(source.pipe(whileLocked(lock$)), '^---!').toBe('--a--');
      expectSubscriptions(source.subscriptions).toBe('-^--!');
      expectSubscriptions(lock$.subscriptions).toBe('^---!');
    });
  });

  it('ends with a lock that is lost as soon as it is granted', () => {
    let attempts = 0;
    const lock$ = defer((): Observable<Held> => {
      if (++attempts > 3) throw new Error('acquired again after the end');
      return concat(
        of({ isValid: () => true }),
        throwError(() => lost),
      );
    });
    const log: unknown[] = [];
    const told = { error: (error: unknown) => log.push(error), complete: () => log.push('complete') };
    NEVER.pipe(whileLocked(lock$, { onLoss: 'complete' })).subscribe(told);
    expect(log).toEqual(['complete']);
    expect(attempts).toBe(1);
  });
});

describe('whileLocked over a store', () => {
  it('stops the source of a partitioned holder before the source of the next one starts', () => {
    virtually(({ process, partition, at, expectObservable, cold, expectSubscriptions }) => {
      const [first, second] = [process(), process()];
      const [ours, theirs] = [cold('-'), cold('-')];
      expectObservable(ours.pipe(whileLocked(lock(first, 'l'), { onLoss: 'complete' }))).toBe('134ms |');
      expectObservable(theirs.pipe(whileLocked(lock(second, 'l'))), '^ 199ms !').toBe('');
      at(50, () => partition(first));
      expectSubscriptions(ours.subscriptions).toBe('^ 133ms !');
      expectSubscriptions(theirs.subscriptions).toBe('140ms ^ 59ms !');
    });
  });

  it('LateTimersDoNotLetAnItemPass: the loss is told before the item', () => {
    virtually(({ process, block, at, expectObservable, cold }) => {
      const backend = process();
      const log: string[] = [];
      const lock$ = lock(backend, 'l').pipe(tap({ next: () => log.push('held'), error: () => log.push('lost') }));
      at(41, () => block(100));
      const output = cold('5ms a 39ms b 4ms c').pipe(whileLocked(lock$, { onLoss: 'complete' }));
      expectObservable(output.pipe(tap((item) => log.push(item)))).toBe('5ms a 39ms |');
      at(900, () => expect(log).toEqual(['held', 'a', 'lost']));
    });
  });

  it('takes its source up again under a new grant after the session was lost', () => {
    virtually(({ process, expire, at, expectObservable, cold, expectSubscriptions }) => {
      const backend = process();
      const source = cold('-a');
      at(50, () => expire(backend));
      const output = source.pipe(whileLocked(lock(backend, 'l'), { onLoss: 'resubscribe' }));
      expectObservable(output, '^ 79ms !').toBe('-a 54ms a');
      expectSubscriptions(source.subscriptions).toBe(['^ 49ms !', '55ms ^ 24ms !']);
    });
  });

  it('ends the work before it releases: the next holder starts afterwards', () => {
    virtually(({ process, cold, at, expectObservable }) => {
      const log: string[] = [];
      const work = (who: string) =>
        cold('--|').pipe(
          tap({ subscribe: () => log.push(`${who} starts`) }),
          finalize(() => log.push(`${who} has ended`)),
        );
      const [first, second] = [process(), process()];
      expectObservable(work('first').pipe(whileLocked(lock(first, 'l')))).toBe('--|');
      expectObservable(work('second').pipe(whileLocked(lock(second, 'l')))).toBe('----|');
      at(30, () => expect(log).toEqual(['first starts', 'first has ended', 'second starts', 'second has ended']));
    });
  });
});
