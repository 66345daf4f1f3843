import { catchError, map, of, retry } from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { Entry } from '../../src/backends/backend.js';
import { AuthenticationFailed } from '../../src/backends/errors.js';
import { breakLock } from '../../src/observables/locks/break-lock.js';
import { lock } from '../../src/observables/locks/lock.js';
import { entryOf, scripted, virtually } from '../support/virtual-time.js';

const lines: Record<string, readonly Entry[]> = {
  n: [],
  a: [entryOf('x1', 1n), entryOf('x2', 2n)],
  s: [entryOf('s1', 1n, undefined, 'shared'), entryOf('s2', 2n, undefined, 'shared'), entryOf('x3', 3n)],
};
const told = { t: true, f: false };

describe('breakLock', () => {
  it('takes out whoever holds the lock now, and tells that somebody did', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions, at }) => {
      const look = cold('--(a|)', lines);
      const evict = cold('  --(t|)', told);
      const backend = scripted({ look, evict }, scheduler);
      expectObservable(breakLock(backend, 'l')).toBe('----(t|)', told);
      expectSubscriptions(look.subscriptions).toBe('^-!');
      expectSubscriptions(evict.subscriptions).toBe('--^-!');
      at(9, () => expect(backend.calls).toEqual(['look lock l', 'evict lock l x1']));
    });
  });

  it('takes out all who share it, and nobody who waits', () => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const backend = scripted({ look: cold('(s|)', lines), evict: cold('-(t|)', told) }, scheduler);
      expectObservable(breakLock(backend, 'l')).toBe('-(t|)', told);
      at(9, () => expect(backend.calls).toEqual(['look lock l', 'evict lock l s1', 'evict lock l s2']));
    });
  });

  it('tells that nobody held it, and takes nobody out', () => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const backend = scripted({ look: cold('-(n|)', lines), evict: cold('(t|)', told) }, scheduler);
      expectObservable(breakLock(backend, 'l')).toBe('-(f|)', told);
      at(9, () => expect(backend.calls).toEqual(['look lock l']));
    });
  });

  it('tells that nobody held it when the holder has left meanwhile, and that somebody did when one of two has', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const left = scripted({ look: cold('(a|)', lines), evict: cold('-(f|)', told) }, scheduler);
      let asked = 0;
      const evict = of(0).pipe(map(() => asked++ === 0));
      const one = scripted({ look: cold('(s|)', lines), evict }, scheduler);
      expectObservable(breakLock(left, 'l')).toBe('-(f|)', told);
      expectObservable(breakLock(one, 'l')).toBe('(t|)', told);
    });
  });

  it('is silent while the store is, and ends with one who unsubscribes', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const look = cold<readonly Entry[]>('-');
      expectObservable(breakLock(scripted({ look }, scheduler), 'l'), '^--!').toBe('');
      expectSubscriptions(look.subscriptions).toBe('^--!');
      const evict = cold<boolean>('-');
      expectObservable(breakLock(scripted({ look: cold('(a|)', lines), evict }, scheduler), 'l'), '^--!').toBe('');
      expectSubscriptions(evict.subscriptions).toBe('^--!');
    });
  });

  it('passes errors of looking and of evicting', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const error = new AuthenticationFailed('scripted', 'nowhere');
      const looking = scripted({ look: cold('-#', undefined, error) }, scheduler);
      const evicting = scripted({ look: cold('(a|)', lines), evict: cold('--#', undefined, error) }, scheduler);
      expectObservable(breakLock(looking, 'l')).toBe('-#', undefined, error);
      expectObservable(breakLock(evicting, 'l')).toBe('--#', undefined, error);
    });
  });

  it('breaks again when subscribed to again', () => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const backend = scripted({ look: cold('(a|)', lines), evict: cold('(t|)', told) }, scheduler);
      const broken$ = breakLock(backend, 'l');
      expectObservable(broken$).toBe('(t|)', told);
      expectObservable(broken$, '-^').toBe('-(t|)', told);
      at(9, () => expect(backend.calls).toHaveLength(4));
    });
  });

  it('refuses a name at the call', () => {
    virtually(({ scheduler }) => {
      expect(() => breakLock(scripted({}, scheduler), '')).toThrow(expect.objectContaining({ _tag: 'InvalidName' }));
    });
  });

  it('errors with BackendClosed when the backend is closed before the store has answered', () => {
    virtually(({ process, expire, at, expectObservable }) => {
      const backend = process();
      backend.session$.subscribe();
      at(10, () => expire(backend));
      at(12, () => void backend.close());
      const error = expect.objectContaining({ _tag: 'BackendClosed' });
      expectObservable(breakLock(backend, 'l'), '11ms ^').toBe('12ms #', undefined, error);
    });
  });

  it('a bare retry() after close() comes to its end', () => {
    virtually(({ process, at, expectObservable }) => {
      const backend = process();
      at(1, () => void backend.close());
      expectObservable(breakLock(backend, 'l').pipe(retry()), '--^').toBe('--|');
    });
  });
});

describe('breakLock over a store', () => {
  it('admits the next in line, and the holder is told that it was evicted', () => {
    virtually(({ process, expectObservable }) => {
      const [holder, next, admin] = [process(), process(), process()];
      const what = (backend: typeof holder) =>
        lock(backend, 'l').pipe(
          map(() => 'g'),
          catchError((error) => of(`${error.name}: ${error.reason}`)),
        );
      expectObservable(what(holder)).toBe('g-----(x|)', { g: 'g', x: 'LockLost: evicted' });
      expectObservable(what(next), '^---------!').toBe('------g', { g: 'g' });
      expectObservable(breakLock(admin, 'l'), '------^').toBe('------(t|)', told);
      expectObservable(breakLock(admin, 'other'), '------^').toBe('------(f|)', told);
    });
  });

  it('breaks one hold after the other', () => {
    virtually(({ process, expectObservable }) => {
      const [holder, next, admin] = [process(), process(), process()];
      const held = (backend: typeof holder) =>
        lock(backend, 'l').pipe(
          map(() => 'g'),
          catchError(() => of('x')),
        );
      expectObservable(held(holder)).toBe('g--(x|)');
      expectObservable(held(next)).toBe('---g--(x|)');
      expectObservable(breakLock(admin, 'l'), '---^').toBe('---(t|)', told);
      expectObservable(breakLock(admin, 'l'), '------^').toBe('------(t|)', told);
      expectObservable(breakLock(admin, 'l'), '---------^').toBe('---------(f|)', told);
    });
  });

  it('makes the grant invalid and aborts its signal', () => {
    virtually(({ process, at }) => {
      const [holder, admin] = [process(), process()];
      const log: unknown[] = [];
      lock(holder, 'l').subscribe({
        next: ({ signal, isValid }) => signal.addEventListener('abort', () => log.push(['aborted', isValid()])),
        error: (error) => log.push(error.name),
      });
      at(5, () => void breakLock(admin, 'l').subscribe());
      at(6, () => expect(log).toEqual([['aborted', false], 'LockLost']));
    });
  });
});
