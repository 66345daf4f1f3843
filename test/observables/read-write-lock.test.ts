import { toUndefined } from 'fp-ts/lib/Option.js';
import { map } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { holders } from '../../src/observables/locks/holders.js';
import { lock } from '../../src/observables/locks/lock.js';
import { readLock, writeLock } from '../../src/observables/locks/read-write-lock.js';
import { tryLock } from '../../src/observables/locks/try-lock.js';
import { withLock } from '../../src/observables/locks/with-lock.js';
import { virtually } from '../support/virtual-time.js';

describe('read/write locks', () => {
  it('readers share it, a writer waits for all of them, and nobody reads beside a writer', () => {
    virtually(({ process, expectObservable }) => {
      const read = (subscription: string, expected: string): void =>
        expectObservable(readLock(process(), 'l').pipe(map(() => 'r')), subscription).toBe(expected);
      const write = (subscription: string, expected: string): void =>
        expectObservable(writeLock(process(), 'l').pipe(map(() => 'w')), subscription).toBe(expected);
      read('^---------!', 'r');
      read('-^-------------!', '-r');
      write('--^----------------!', '---------------w');
      read('-----^ 30ms !', '-------------------r');
    });
  });

  it('take the options of a lock', () => {
    virtually(({ process, expectObservable }) => {
      const [first, second] = [process(), process()];
      for (const [name, locked] of [
        ['r', readLock],
        ['w', writeLock],
      ] as const) {
        locked(first, name, { data: 'me', maxHoldMs: 20 }).subscribe({ error: () => undefined });
        const held$ = holders(second, name).pipe(map((all) => all.map(({ data }) => toUndefined(data))));
        expectObservable(held$, '-^ 40ms !').toBe('-h 18ms n', { h: ['me'], n: [] });
      }
    });
  });

  it('WriterStarvation: a writer who waits holds back readers who come after it, however many read already', () => {
    virtually(({ process, expectObservable, at }) => {
      const order: string[] = [];
      const backends = [process(), process(), process(), process()] as const;
      const reader = readLock(backends[0], 'l').subscribe();
      at(2, () => writeLock(backends[1], 'l').subscribe(() => order.push('writer')));
      at(3, () => readLock(backends[2], 'l').subscribe(() => order.push('late reader')));
      at(10, () => expect(order).toEqual([]));
      at(11, () => reader.unsubscribe());
      at(20, () => expect(order).toEqual(['writer']));
      expectObservable(holders(backends[3], 'l').pipe(map((held) => held.length)), '-^ 30ms !').toBe('-n---------n', {
        n: 1,
      });
    });
  });

  it('holders shows all who share it', () => {
    virtually(({ process, expectObservable }) => {
      const [a, b, c] = [process(), process(), process()];
      readLock(a, 'l', { data: 'a' }).subscribe();
      readLock(b, 'l', { data: 'b' }).subscribe();
      writeLock(c, 'l', { data: 'c' }).subscribe();
      const shown = holders(c, 'l').pipe(
        map((held) => held.map(({ data }) => (data._tag === 'Some' ? data.value : ''))),
      );
      expectObservable(shown, '^ 10ms !').toBe('v', { v: ['a', 'b'] });
    });
  });

  it('is an option of lock, tryLock and withLock', () => {
    virtually(({ process, cold, expectObservable }) => {
      const [a, b] = [process(), process()];
      lock(a, 'l', { mode: 'shared' }).subscribe();
      const outcome = (mode: 'shared' | 'exclusive') => tryLock(b, 'l', { mode }).pipe(map(({ _tag }) => _tag[0]));
      expectObservable(outcome('shared'), '---^--!').toBe('---R');
      expectObservable(outcome('exclusive'), '---^--!').toBe('---(L|)');
      expectObservable(
        withLock(b, 'l', () => cold('x|'), { mode: 'shared' }),
        '----^',
      ).toBe('----x|');
    });
  });

  it('refuses other modes at the call, by the name of the field', () => {
    virtually(({ process }) => {
      expect(() => lock(process(), 'l', { mode: 'both' as 'shared' })).toThrow(
        expect.objectContaining({
          _tag: 'InvalidOptions',
          violations: ["mode must be 'exclusive' or 'shared', but is \"both\""],
        }),
      );
    });
  });
});
