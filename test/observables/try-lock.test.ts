import { type Either, isRight } from 'fp-ts/lib/Either.js';
import { catchError, map, type Observable, of, take } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { AuthenticationFailed, type Contended, LockLost, PlaceLost } from '../../src/backends/errors.js';
import type { Grant } from '../../src/observables/holding/grant.js';
import { holders } from '../../src/observables/locks/holders.js';
import { lock } from '../../src/observables/locks/lock.js';
import { tryLock } from '../../src/observables/locks/try-lock.js';
import { placeOf, scripted, virtually } from '../support/virtual-time.js';

const places = { w: placeOf(1n, false), a: placeOf(1n), b: placeOf(2n) };
const gone = new PlaceLost('lock "l"', 'session lost');
const told = (tried$: Observable<Either<Contended, Grant>>) =>
  tried$.pipe(map((tried) => (isRight(tried) ? tried.right.token : `${tried.left.name} ${tried.left.lock}`)));
const tried = { a: 1n, b: 2n, L: 'Contended l' };

describe('tryLock', () => {
  it('refuses an option that has no effect on it, such as waitMs', () => {
    virtually(({ scheduler }) => {
      const backend = scripted({}, scheduler);
      for (const options of [{ waitMs: 5 }, { dat: 1 }])
        expect(() => tryLock(backend, 'l', options as never)).toThrow(
          expect.objectContaining({ _tag: 'InvalidOptions' }),
        );
      expect(() => tryLock(backend, '')).toThrow(expect.objectContaining({ _tag: 'InvalidName' }));
    });
  });

  it('emits right and stays open while the lock is held', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('--a', places);
      expectObservable(told(tryLock(scripted({ enter }, scheduler), 'l')), '^-------!').toBe('--a', tried);
      expectSubscriptions(enter.subscriptions).toBe('^-------!');
    });
  });

  it('emits left and completes when another holds the lock', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const backend = scripted({ enter: cold('--(w|)', places) }, scheduler);
      expectObservable(told(tryLock(backend, 'l'))).toBe('--(L|)', tried);
    });
  });

  it('does not say that another holds a lock where nobody is admitted', () => {
    virtually(({ cold, scheduler }) => {
      const reasons: string[] = [];
      for (const place of [{ ...places.w, barred: true }, places.w]) {
        const backend = scripted({ enter: cold('(w|)', { w: place }) }, scheduler);
        tryLock(backend, 'l').subscribe((tried) => reasons.push(isRight(tried) ? 'taken' : tried.left.reason));
      }
      scheduler.flush();
      expect(reasons).toEqual(['barred', 'held']);
    });
  });

  it('does not wait in line, and carries its data', () => {
    virtually(({ scheduler }) => {
      const backend = scripted({}, scheduler);
      tryLock(backend, 'l', { data: 1 }).subscribe().unsubscribe();
      expect(backend.calls).toEqual(['enter lock l']);
      expect(backend.requests).toEqual([
        { mode: 'exclusive', permits: 1, payload: new TextEncoder().encode('1'), wait: false, onDrain: 'work' },
      ]);
    });
  });

  it('is silent while the store says nothing, and completes with it', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const never = cold<typeof places.a>('-');
      expectObservable(told(tryLock(scripted({ enter: never }, scheduler), 'l')), '^--!').toBe('');
      expectObservable(told(tryLock(scripted({ enter: cold('|') }, scheduler), 'l'))).toBe('|');
      expectSubscriptions(never.subscriptions).toBe('^--!');
    });
  });

  it('errors with LockLost when it is lost while held, and tries again when it was not', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const held = scripted({ enter: cold('-a-#', places, gone) }, scheduler);
      const before = scripted({ enter: [cold('--#', places, gone), cold('-(w|)', places)] }, scheduler);
      expectObservable(told(tryLock(held, 'l'))).toBe('-a-#', tried, new LockLost('l', 1n, 'session lost'));
      expectObservable(told(tryLock(before, 'l'))).toBe('---(L|)', tried);
    });
  });

  it('passes any other error', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const error = new AuthenticationFailed('scripted', 'nowhere');
      expectObservable(told(tryLock(scripted({ enter: cold('-#', places, error) }, scheduler), 'l'))).toBe(
        '-#',
        tried,
        error,
      );
    });
  });

  it('releases when unsubscribed from early, and tries anew when subscribed to again', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('-a--', places);
      const tried$ = told(tryLock(scripted({ enter }, scheduler), 'l'));
      expectObservable(tried$, '^--!').toBe('-a', tried);
      expectObservable(tried$, '----^--!').toBe('-----a', tried);
      expectSubscriptions(enter.subscriptions).toBe(['^--!', '----^--!']);
    });
  });

  it('refuses a name at the call', () => {
    virtually(({ scheduler }) => {
      expect(() => tryLock(scripted({}, scheduler), '')).toThrow(expect.objectContaining({ _tag: 'InvalidName' }));
    });
  });
});

describe('tryLock over a store', () => {
  const outcome = (tried$: Observable<Either<Contended, Grant>>) =>
    tried$.pipe(
      map((one) => (isRight(one) ? 'R' : 'L')),
      catchError((error) => of(error.name)),
    );

  it('does not block others after it failed: nothing of it is left in line', () => {
    virtually(({ process, expectObservable }) => {
      const [holder, hasty, watcher] = [process(), process(), process()];
      expectObservable(lock(holder, 'l').pipe(map(() => 'g')), '^---------!').toBe('g');
      expectObservable(outcome(tryLock(hasty, 'l')), '--^').toBe('--(L|)');
      expectObservable(holders(watcher, 'l').pipe(map((held) => `${held.length}`)), '---^-------!').toBe('---1------0');
      expectObservable(outcome(tryLock(watcher, 'l')), '------------^--!').toBe('------------R--');
    });
  });

  it('has left the line by the time it tells that the lock is held by another', () => {
    virtually(({ process, at }) => {
      const [holder, hasty] = [process(), process()];
      const log: unknown[] = [];
      lock(holder, 'l').subscribe();
      tryLock(hasty, 'l').subscribe((one) => {
        log.push(isRight(one));
        hasty
          .entries({ kind: 'lock', name: 'l' })
          .pipe(take(1))
          .subscribe((entries) => log.push(entries.length));
      });
      at(1, () => expect(log).toEqual([false, 1]));
    });
  });

  it('loses what it holds like any lock', () => {
    virtually(({ process, expire, at, expectObservable }) => {
      const backend = process();
      expectObservable(outcome(tryLock(backend, 'l'))).toBe('R 29ms (x|)', { R: 'R', x: 'LockLost' });
      at(30, () => expire(backend));
    });
  });

  it('completes, and releases, when the backend is closed', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      at(10, () => void first.close());
      expectObservable(outcome(tryLock(first, 'l'))).toBe('R 9ms |');
      expectObservable(outcome(tryLock(second, 'l')), '11ms ^ 5ms !').toBe('11ms R');
    });
  });
});
