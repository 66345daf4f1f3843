import { defer, EMPTY, interval, map, NEVER, Observable, of, takeUntil, throwError, timer } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { LockLost } from '../../src/backends/errors.js';
import { MemoryStore, memory } from '../../src/backends/memory/index.js';
import { aborted } from '../../src/observables/holding/aborted.js';
import type { Grant } from '../../src/observables/holding/grant.js';
import { itemLockName } from '../../src/observables/sharing/items.js';
import type { PartitionOptions } from '../../src/observables/sharing/partition-options.js';
import { withPartition } from '../../src/observables/sharing/with-partition.js';
import { ManualTime, QUICK, sessionIdOf, virtually } from '../support/virtual-time.js';

const ITEMS = ['1', '2'];
const OPTIONS: PartitionOptions = { settledMs: 20 };

/** Tells when work on an item begins and ends: `+1`, `-1`. */
const noting =
  (who: string, log: string[]) =>
  (item: string): Observable<never> =>
    new Observable(() => {
      log.push(`${who}+${item}`);
      return () => log.push(`${who}-${item}`);
    });

describe('withPartition', () => {
  it('does the work of each item that it owns, and emits what that emits', () => {
    virtually(({ process, expectObservable }) => {
      const work = (item: string) => timer(0, 20).pipe(map((i) => `${item}${i}`));
      expectObservable(withPartition(process(), 'g', ITEMS, work, OPTIONS), '^ 60ms !').toBe(
        '20ms (ab) 16ms (cd) 16ms (ef)',
        {
          a: '10',
          b: '20',
          c: '11',
          d: '21',
          e: '12',
          f: '22',
        },
      );
    });
  });

  it('an item that moves: the work of the old owner is torn down, then it is released, then the new one begins', () => {
    virtually(({ process, at }) => {
      const [one, two] = [process(), process()];
      const log: string[] = [];
      withPartition(one, 'g', ITEMS, noting('a', log), { ...OPTIONS, id: 'm1' }).subscribe();
      at(50, () => withPartition(two, 'g', ITEMS, noting('b', log), { ...OPTIONS, id: 'm2' }).subscribe());
      at(90, () => expect(log).toEqual(['a+1', 'a+2', 'a-2', 'b+2']));
    });
  });

  it('ReleasedWhileItStillRuns: a promise is waited for before another owns its item', async () => {
    const time = new ManualTime();
    const store = new MemoryStore(time);
    const [one, two] = [memory({ ...QUICK, store, scheduler: time }), memory({ ...QUICK, store, scheduler: time })];
    const log: string[] = [];
    const settle: (() => void)[] = [];
    const slow = (item: string, { signal }: Grant): Promise<string> =>
      new Promise((done) => {
        log.push(`a+${item}`);
        signal.addEventListener('abort', () => log.push(`a!${item}`));
        settle.push(() => {
          log.push(`a-${item}`);
          done(item);
        });
      });
    withPartition(one, 'g', ITEMS, slow, { ...OPTIONS, id: 'm1' }).subscribe((value) => log.push(`told ${value}`));
    await time.passWithPromises(30);
    withPartition(two, 'g', ITEMS, noting('b', log), { ...OPTIONS, id: 'm2' }).subscribe();
    await time.passWithPromises(300);
    expect(log).toEqual(['a+1', 'a+2', 'a!2']);
    settle[1]?.();
    await time.passWithPromises(10);
    expect(log).toEqual(['a+1', 'a+2', 'a!2', 'a-2', 'b+2']);
    settle[0]?.();
    const closing = Promise.all([one.close(), two.close()]);
    await time.passWithPromises(100);
    await closing;
  });

  it('work that ends lets go of its item, and is not begun again while the item stays; nor does it end the others', () => {
    virtually(({ process, at, expectObservable }) => {
      const backend = process();
      const work = (item: string) => (item === '1' ? of('done') : timer(50, 20).pipe(map(() => item)));
      expectObservable(withPartition(backend, 'g', ITEMS, work, OPTIONS), '^ 100ms !').toBe('20ms d 49ms 2 19ms 2', {
        d: 'done',
        '2': '2',
      });
      at(60, () =>
        backend.look({ kind: 'lock', name: itemLockName('g', '1') }).subscribe((all) => expect(all).toEqual([])),
      );
    });
  });

  it('what the work errors with ends all, after everything was torn down and released', () => {
    virtually(({ process, at, expectObservable }) => {
      const [one, two] = [process(), process()];
      const log: string[] = [];
      const work = (item: string) =>
        item === '1'
          ? timer(30).pipe(
              map(() => {
                throw new Error('broken');
              }),
            )
          : noting('a', log)(item);
      expectObservable(withPartition(one, 'g', ITEMS, work, OPTIONS)).toBe('50ms #', undefined, new Error('broken'));
      at(60, () => {
        expect(log).toEqual(['a+2', 'a-2']);
        for (const name of [...ITEMS.map((item) => itemLockName('g', item))])
          two.look({ kind: 'lock', name }).subscribe((all) => expect(all).toEqual([]));
        two.look({ kind: 'group', name: 'g' }).subscribe((all) => expect(all).toEqual([]));
      });
    });
  });

  it('work that throws at the call ends it; so does a LockLost of a lock of its own', () => {
    virtually(({ process, expectObservable }) => {
      const broken = () => {
        throw new Error('at the call');
      };
      expectObservable(withPartition(process(), 'g', ['1'], broken, OPTIONS)).toBe(
        '20ms #',
        undefined,
        new Error('at the call'),
      );
      const inner = new LockLost('mine', 7n, 'session lost');
      expectObservable(withPartition(process(), 'h', ['1'], () => throwError(() => inner), OPTIONS)).toBe(
        '20ms #',
        undefined,
        inner,
      );
    });
  });

  it('an item whose session is lost: the work is torn down before the store forgets it, and begun again under a new grant', () => {
    virtually(({ process, expire, at }) => {
      const backend = process();
      const log: string[] = [];
      const tokens: bigint[] = [];
      const work = (item: string, { token }: Grant) => {
        tokens.push(token);
        return noting('a', log)(item);
      };
      withPartition(backend, 'g', ['1'], work, OPTIONS).subscribe();
      at(50, () => {
        expire(backend);
        expect(log).toEqual(['a+1', 'a-1']);
      });
      at(100, () => {
        expect(log).toEqual(['a+1', 'a-1', 'a+1']);
        expect(tokens[1]).toBeGreaterThan(tokens[0] ?? 0n);
      });
    });
  });

  it('NeverTwiceAtOnceHere: after a loss, work that is a promise is begun again only when its last run has settled', async () => {
    const time = new ManualTime();
    const store = new MemoryStore(time);
    const backend = memory({ ...QUICK, store, scheduler: time });
    const settle: (() => void)[] = [];
    const work = (): Promise<void> => new Promise((done) => settle.push(done));
    withPartition(backend, 'g', ['1'], work, OPTIONS).subscribe();
    await time.passWithPromises(30);
    store.expire(sessionIdOf(backend));
    await time.passWithPromises(200);
    expect(settle).toHaveLength(1);
    settle[0]?.();
    await time.passWithPromises(50);
    expect(settle).toHaveLength(2);
    settle[1]?.();
    const closing = backend.close();
    await time.passWithPromises(100);
    await closing;
  });

  it('a drain: nothing new is taken, work goes on to its end under its lock, and another takes over item by item', () => {
    virtually(({ process, at, expectObservable }) => {
      const [one, two] = [process(), process()];
      // Far longer than the 94 ms for which a session may be relied on that is not renewed.
      const work = (item: string, grant: Grant) =>
        timer(item === '1' ? 200 : 300).pipe(map(() => (grant.isValid() ? item : 'cut')));
      expectObservable(withPartition(one, 'g', ITEMS, work, OPTIONS)).toBe('220ms 1 99ms (2|)');
      const next = (item: string) => of(item);
      expectObservable(withPartition(two, 'g', ITEMS, next, OPTIONS), '50ms ^ 400ms !').toBe('220ms 1 99ms 2');
      at(40, () => void one.close({ drainMs: 600 }));
    });
  });

  it('a drain that has nothing to wait for completes at once; work that heeds draining ends by itself', () => {
    virtually(({ process, at, expectObservable }) => {
      const [idle, busy] = [process(), process()];
      expectObservable(withPartition(idle, 'g', [], () => NEVER, OPTIONS)).toBe('39ms |');
      const work = (item: string, { draining }: Grant) =>
        interval(15).pipe(
          map(() => item),
          takeUntil(aborted(draining)),
        );
      expectObservable(withPartition(busy, 'h', ['1'], work, OPTIONS)).toBe('35ms 1 3ms |');
      at(39, () => {
        void idle.close({ drainMs: 500 });
        void busy.close({ drainMs: 500 });
      });
    });
  });

  it('at drainMs work that does not end is torn down', () => {
    virtually(({ process, at, expectObservable }) => {
      const backend = process();
      const log: string[] = [];
      expectObservable(withPartition(backend, 'g', ['1'], noting('a', log), OPTIONS)).toBe('140ms |');
      at(40, () => void backend.close({ drainMs: 100 }));
      at(139, () => expect(log).toEqual(['a+1']));
      at(141, () => expect(log).toEqual(['a+1', 'a-1']));
    });
  });

  it('who unsubscribes tears down all work, and may subscribe again', () => {
    virtually(({ process, at }) => {
      const log: string[] = [];
      const all$ = withPartition(process(), 'g', ITEMS, noting('a', log), OPTIONS);
      const first = all$.subscribe();
      at(50, () => {
        first.unsubscribe();
        expect(log).toEqual(['a+1', 'a+2', 'a-1', 'a-2']);
        all$.subscribe();
      });
      at(100, () => expect(log).toHaveLength(6));
    });
  });

  it('work that is being begun when what is wanted changes is not begun twice, nor kept', () => {
    virtually(({ process, at }) => {
      const log: string[] = [];
      const all$ = withPartition(
        process(),
        'g',
        ITEMS,
        (item) =>
          defer(() => {
            log.push(item);
            subscription.unsubscribe();
            return EMPTY;
          }),
        OPTIONS,
      );
      const subscription = all$.subscribe();
      at(100, () => expect(log).toEqual(['1']));
    });
  });

  it('refuses work that is no function, and what partition refuses', () => {
    const backend = memory({ store: new MemoryStore() });
    // @ts-expect-error what JavaScript may give
    expect(() => withPartition(backend, 'g', ITEMS, 'work')).toThrow('work must be a function, but is "work"');
    expect(() => withPartition(backend, 'g', ['1', '1'], () => EMPTY)).toThrow('items must be different');
  });
});
