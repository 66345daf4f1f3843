import { map, type Observable, type Subscription, tap } from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { Backend, EntryRequest, RosterKey } from '../../src/backends/backend.js';
import { holders } from '../../src/observables/locks/holders.js';
import { lock } from '../../src/observables/locks/lock.js';
import { type GrantOfAll, lockAll, withLocks } from '../../src/observables/locks/lock-all.js';
import { ManualTime, placeOf, scripted, virtually } from '../support/virtual-time.js';

const named = (all: Observable<GrantOfAll>) => all.pipe(map(({ names }) => names.join('')));

describe('lockAll', () => {
  it('holds all of them, in one order, whatever the order in which they were given', () => {
    virtually(({ process, expectObservable }) => {
      expectObservable(named(lockAll(process(), ['c', 'a', 'b', 'a'])), '^ 9ms !').toBe('v', { v: 'abc' });
    });
  });

  it('Deadlock: two who ask in opposite orders both get all, one after the other', () => {
    virtually(({ process, expectObservable }) => {
      expectObservable(named(lockAll(process(), ['a', 'b', 'c'])), '^---------!').toBe('v', { v: 'abc' });
      expectObservable(named(lockAll(process(), ['c', 'b', 'a'])), '^ 30ms !').toBe('----------v', { v: 'abc' });
    });
  });

  it('a token for each', () => {
    virtually(({ process, at }) => {
      const backend = process();
      let all: GrantOfAll | undefined;
      lockAll(backend, ['a', 'b']).subscribe((grant) => {
        all = grant;
      });
      at(5, () => {
        expect([...(all?.grants ?? [])].map(([name, grant]) => [name, grant.name, grant.isValid()])).toEqual([
          ['a', 'a', true],
          ['b', 'b', true],
        ]);
        expect(all?.grants.get('a')?.token).not.toBe(all?.grants.get('b')?.token);
      });
    });
  });

  it('waitMs covers the whole, the name that was missing is told, and nothing stays held', () => {
    virtually(({ process, expectObservable, at }) => {
      const [first, second, third] = [process(), process(), process()];
      const a = lock(first, 'a', { data: 'me' }).subscribe();
      lock(first, 'b', { data: 'me' }).subscribe();
      at(6, () => a.unsubscribe());
      expectObservable(lockAll(second, ['a', 'b'], { waitMs: 10 })).toBe(
        '----------#',
        undefined,
        expect.objectContaining({
          _tag: 'LockNotAcquired',
          lock: 'b',
          waitMs: 10,
          reason: 'held',
          holders: [{ id: expect.any(String), token: expect.any(BigInt), data: 'me' }],
        }),
      );
      expectObservable(holders(third, 'a').pipe(map((held) => held.length)), '-----------^ 9ms !').toBe(
        '-----------n',
        { n: 0 },
      );
    });
  });

  it('the loss of one is the loss of all: told with its name, the others are released', () => {
    virtually(({ process, expectObservable, at }) => {
      const [first, second] = [process(), process()];
      const log: unknown[] = [];
      let all: GrantOfAll | undefined;
      lockAll(first, ['a', 'b']).subscribe({
        next: (grant) => {
          all = grant;
          grant.signal.addEventListener('abort', () =>
            log.push(['aborted', grant.signal.reason._tag, grant.isValid()]),
          );
        },
        error: (error) => log.push([error._tag, error.lock, error === all?.signal.reason]),
      });
      at(5, () => {
        const { id = '' } = all?.grants.get('b') ?? {};
        second.evict({ kind: 'lock', name: 'b' }, id).subscribe();
      });
      at(6, () =>
        expect(log).toEqual([
          ['aborted', 'LockLost', false],
          ['LockLost', 'b', true],
        ]),
      );
      expectObservable(named(lockAll(second, ['a', 'b'])), '------^ 9ms !').toBe('------v', { v: 'ab' });
    });
  });

  it('sets no timer where it is to wait for as long as it takes', () => {
    const time = new ManualTime();
    const standing = lockAll(scripted({}, time), ['a', 'b']).subscribe();
    expect(time.pending).toBe(0);
    standing.unsubscribe();
  });

  it.each([{}, { waitMs: 50 }])('a loss while the others are waited for is told, with %j', (options) => {
    virtually(({ process, expectObservable, at }) => {
      const [first, second] = [process(), process()];
      lock(first, 'b').subscribe();
      expectObservable(lockAll(second, ['a', 'b'], options)).toBe(
        '-----#',
        undefined,
        expect.objectContaining({ _tag: 'LockLost', lock: 'a', reason: 'evicted' }),
      );
      at(5, () =>
        first
          .look({ kind: 'lock', name: 'a' })
          .subscribe(([held]) => first.evict({ kind: 'lock', name: 'a' }, held?.id ?? '').subscribe()),
      );
    });
  });

  it('release() gives up all, and tells that they were held', () => {
    virtually(({ process, expectObservable, at }) => {
      const [first, second] = [process(), process()];
      const log: unknown[] = [];
      lockAll(first, ['a', 'b']).subscribe({
        next: (grant) => at(5, () => grant.release().subscribe((was) => log.push(was))),
        complete: () => log.push('complete'),
      });
      at(6, () => expect(log).toEqual(['complete', true]));
      expectObservable(named(lockAll(second, ['a', 'b'])), '-^ 9ms !').toBe('-----v', { v: 'ab' });
    });
  });

  it('refuses no name, and a name that is none, at the call', () => {
    virtually(({ process }) => {
      expect(() => lockAll(process(), [])).toThrow(
        expect.objectContaining({
          _tag: 'InvalidOptions',
          violations: ['names must be a list of at least one name, but is empty'],
        }),
      );
      expect(() => lockAll(process(), ['a', ''])).toThrow(expect.objectContaining({ _tag: 'InvalidName' }));
      expect(() => withLocks(process(), 'ab' as unknown as string[], () => [])).toThrow(
        expect.objectContaining({ _tag: 'InvalidOptions' }),
      );
    });
  });
});

describe('lockAll', () => {
  it('BareTypeError: what is no list of names is refused, whatever it is', () => {
    virtually(({ process }) => {
      const circular: Record<string, unknown> = {};
      circular['itself'] = circular;
      for (const [names, what] of [
        [5n, '5'],
        [circular, 'an object'],
        [Symbol('names'), 'a symbol'],
        [undefined, 'undefined'],
      ] as const)
        expect(() => lockAll(process(), names as unknown as string[])).toThrow(
          expect.objectContaining({
            _tag: 'InvalidOptions',
            violations: [`names must be a list of at least one name, but is ${what}`],
          }),
        );
    });
  });

  it('WrongReason: when the backend is closed, the signal of all says so', () => {
    virtually(({ process, at }) => {
      const backend = process();
      const log: unknown[] = [];
      lockAll(backend, ['a', 'b']).subscribe({
        next: ({ signal }) => signal.addEventListener('abort', () => log.push(signal.reason._tag)),
        complete: () => log.push('complete'),
      });
      at(5, () => backend.close());
      at(9, () => expect(log).toEqual(['BackendClosed', 'complete']));
    });
  });
});

describe('the grant of all', () => {
  /** Holds `a`, `b` and `c`, and tells which calls were made to let them go, in order. */
  const holding = (act: (grant: GrantOfAll, standing: Subscription) => void): readonly string[] => {
    const left: string[] = [];
    virtually(({ process, at }) => {
      const backend = process();
      const watched: Backend = Object.assign(Object.create(backend), {
        enter: (roster: RosterKey, request: EntryRequest) =>
          backend
            .enter(roster, request)
            .pipe(tap((place) => place.signal.addEventListener('abort', () => left.push(roster.name), { once: true }))),
      });
      const grants: GrantOfAll[] = [];
      const standing = lockAll(watched, ['b', 'c', 'a']).subscribe((grant) => grants.push(grant));
      at(5, () => {
        for (const grant of grants) act(grant, standing);
        expect(grants).toHaveLength(1);
      });
    });
    return left;
  };

  it('lets the last one go first, whether it is released or nobody holds on', () => {
    expect(holding((_grant, standing) => standing.unsubscribe())).toEqual(['c', 'b', 'a']);
    expect(holding((grant) => grant.release())).toEqual(['c', 'b', 'a']);
  });

  it('is valid while all of them are', () => {
    holding((grant) => {
      expect(grant.isValid()).toBe(true);
      grant.grants.get('b')?.release();
      expect(grant.isValid()).toBe(false);
    });
  });

  it('tells that they were not all held where one was lost', () => {
    virtually(({ process, at }) => {
      const [first, second] = [process(), process()];
      const log: unknown[] = [];
      lockAll(first, ['a', 'b']).subscribe({
        next: (grant) => {
          at(5, () => second.evict({ kind: 'lock', name: 'b' }, grant.grants.get('b')?.id ?? '').subscribe());
          at(9, () => grant.release().subscribe((were) => log.push(were)));
        },
        error: (error) => log.push(error._tag),
      });
      at(12, () => expect(log).toEqual(['LockLost', false]));
    });
  });

  it('drains from the first where one of them did before all were held', () => {
    virtually(({ cold, scheduler, at }) => {
      const draining = AbortSignal.abort('drains');
      const enter = [cold('a', { a: { ...placeOf(1n), draining } }), cold('--b', { b: placeOf(2n) })];
      const grants: GrantOfAll[] = [];
      const standing = lockAll(scripted({ enter }, scheduler), ['a', 'b']).subscribe((grant) => grants.push(grant));
      at(5, () => {
        expect(grants.map((grant) => [grant.draining.aborted, grant.draining.reason])).toEqual([[true, 'drains']]);
        standing.unsubscribe();
      });
    });
  });

  it('drains as soon as one of them does', () => {
    virtually(({ process, at }) => {
      const backend = process();
      const log: unknown[] = [];
      lockAll(backend, ['a', 'b']).subscribe(({ draining, signal }) => {
        draining.addEventListener('abort', () => log.push(draining.reason._tag, signal.aborted));
      });
      at(5, () => {
        void backend.close({ drainMs: 10 });
        expect(log).toEqual(['BackendClosed', false]);
      });
    });
  });
});

describe('withLocks', () => {
  it('does the work under all of them: work first, then they are released', () => {
    virtually(({ process, cold, expectObservable }) => {
      const [first, second] = [process(), process()];
      expectObservable(withLocks(first, ['a', 'b'], () => cold('--x--|'))).toBe('--x--|');
      expectObservable(lock(second, 'a').pipe(map(() => 'g')), '-^ 9ms !').toBe('-----g');
      expectObservable(lock(second, 'b').pipe(map(() => 'g')), '-^ 9ms !').toBe('-----g');
    });
  });

  it('the work is torn down when one of them is lost', () => {
    virtually(({ process, cold, expectObservable, expectSubscriptions, at }) => {
      const [first, second] = [process(), process()];
      const work = cold('x--------');
      expectObservable(withLocks(first, ['a', 'b'], () => work)).toBe(
        'x----#',
        undefined,
        expect.objectContaining({ _tag: 'LockLost', lock: 'a', reason: 'evicted' }),
      );
      expectSubscriptions(work.subscriptions).toBe('^----!');
      at(5, () =>
        second
          .look({ kind: 'lock', name: 'a' })
          .subscribe(([held]) => second.evict({ kind: 'lock', name: 'a' }, held?.id ?? '').subscribe()),
      );
    });
  });
});
