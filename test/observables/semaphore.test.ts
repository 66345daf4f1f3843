import { isLeft } from 'fp-ts/lib/Either.js';
import { concat, map, NEVER, of } from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { Place } from '../../src/backends/backend.js';
import { BackendClosed, PermissionDenied, PermitsMismatch } from '../../src/backends/errors.js';
import type { Grant } from '../../src/observables/holding/grant.js';
import { breakLock } from '../../src/observables/locks/break-lock.js';
import { holders } from '../../src/observables/locks/holders.js';
import { lock } from '../../src/observables/locks/lock.js';
import { semaphore, trySemaphore, withPermit } from '../../src/observables/locks/semaphore.js';
import { entryOf, placeOf, scripted, virtually } from '../support/virtual-time.js';

describe('semaphore', () => {
  it('admits as many as there are permits, first come, first served, each with a token of its own', () => {
    virtually(({ process, expectObservable }) => {
      const held = (subscription: string, expected: string): void =>
        expectObservable(semaphore(process(), 's', 2).pipe(map(() => 'g')), subscription).toBe(expected);
      held('^---------!', 'g');
      held('-^-------------!', '-g');
      held('--^ 30ms !', '----------g');
      held('---^ 30ms !', '---------------g');
    });
  });

  it('tokens grow from grant to grant', () => {
    virtually(({ process, at }) => {
      const grants: Grant[] = [];
      for (let i = 0; i < 3; i++) semaphore(process(), 's', 3).subscribe((grant) => grants.push(grant));
      at(5, () => {
        const tokens = grants.map(({ token }) => token);
        expect(new Set(tokens).size).toBe(3);
        expect([...tokens].sort((a, b) => (a < b ? -1 : 1))).toEqual(tokens);
      });
    });
  });

  it('holders shows all who hold it, and nobody who waits', () => {
    virtually(({ process, expectObservable }) => {
      for (let i = 0; i < 5; i++) semaphore(process(), 's', 3).subscribe();
      expectObservable(holders(process(), 's').pipe(map((all) => all.length)), '^ 10ms !').toBe('n', { n: 3 });
    });
  });

  it('breakLock takes it from all who hold it', () => {
    virtually(({ process, at }) => {
      const lost: string[] = [];
      for (const name of ['a', 'b'])
        semaphore(process(), 's', 2).subscribe({ error: (error) => lost.push(`${name} ${error._tag}`) });
      at(5, () => breakLock(process(), 's').subscribe());
      at(9, () => expect(lost).toEqual(['a LockLost', 'b LockLost']));
    });
  });

  it('OverAdmission: who asks with another number than those who stand there is refused, and leaves nothing', () => {
    virtually(({ process, expectObservable, at }) => {
      const [first, second] = [process(), process()];
      semaphore(first, 's', 3).subscribe();
      expectObservable(semaphore(second, 's', 5), '--^').toBe('--#', undefined, new PermitsMismatch('s', 5, 3));
      expectObservable(trySemaphore(second, 's', 2), '---^').toBe('---#', undefined, new PermitsMismatch('s', 2, 3));
      at(9, () => first.look({ kind: 'lock', name: 's' }).subscribe((line) => expect(line).toHaveLength(1)));
    });
  });

  it('a lock is a semaphore of one', () => {
    virtually(({ process, expectObservable }) => {
      const [first, second] = [process(), process()];
      lock(first, 's').subscribe();
      expectObservable(semaphore(second, 's', 2), '--^').toBe('--#', undefined, new PermitsMismatch('s', 2, 1));
      expectObservable(semaphore(second, 's', 1).pipe(map(() => 'g')), '---^----!').toBe('');
    });
  });

  it('a lock waits until nobody holds a permit', () => {
    virtually(({ process, expectObservable }) => {
      expectObservable(semaphore(process(), 's', 2).pipe(map(() => 'g')), '^---------!').toBe('g');
      expectObservable(semaphore(process(), 's', 2).pipe(map(() => 'g')), '^--------------!').toBe('g');
      expectObservable(lock(process(), 's').pipe(map(() => 'g')), '-^ 30ms !').toBe('---------------g');
    });
  });

  it('is told nothing beside one with another number who is about to leave, until that one has left', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const line = (...entries: readonly [bigint, number][]) =>
        entries.map(([token, permits]) => ({ ...entryOf(`e${token}`, token), permits }));
      const enter = concat(of({ ...placeOf(3n) }), NEVER);
      const states = { m: line([1n, 2], [2n, 7], [3n, 2]), a: line([1n, 2], [3n, 2]) };
      const backend = scripted({ enter, look: cold('--(m|)', states), entries: cold('m----a', states) }, scheduler);
      expectObservable(semaphore(backend, 's', 2).pipe(map(() => 'g')), '^ 20ms !').toBe('-------g');
    });
  });

  it('errors with LockNotAcquired after waitMs, and says who holds it', () => {
    virtually(({ process, expectObservable }) => {
      const [first, second] = [process(), process()];
      semaphore(first, 's', 1, { data: 'me' }).subscribe();
      expectObservable(semaphore(second, 's', 1, { waitMs: 8 }), '-^').toBe(
        '---------#',
        undefined,
        expect.objectContaining({
          _tag: 'LockNotAcquired',
          waitMs: 8,
          reason: 'held',
          holders: [{ id: expect.any(String), token: expect.any(BigInt), data: 'me' }],
        }),
      );
    });
  });

  it.each([0, -1, 2.5, 2 ** 40, Number.NaN, Number.POSITIVE_INFINITY])('refuses %d permits at the call', (permits) => {
    virtually(({ process }) => {
      const refusal = expect.objectContaining({
        _tag: 'InvalidOptions',
        violations: [`permits must be an integer from 1 to 10000, but is ${permits}`],
      });
      expect(() => semaphore(process(), 's', permits)).toThrow(refusal);
      expect(() => trySemaphore(process(), 's', permits)).toThrow(refusal);
      expect(() => withPermit(process(), 's', permits, () => of(1))).toThrow(refusal);
    });
  });
});

describe('a permit that was admitted, and is not agreed on yet', () => {
  const line = (...entries: readonly [bigint, number][]) =>
    entries.map(([token, permits]) => ({ ...entryOf(`e${token}`, token), permits }));
  const admitted = placeOf(3n);
  const waiting = { ...placeOf(3n, false), ahead: 2 };

  it('is agreed on once for each entry', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const enter = cold('w-a', { w: waiting, a: admitted });
      const backend = scripted({ enter, look: cold('(m|)', { m: line([1n, 2], [2n, 2], [3n, 2]) }) }, scheduler);
      expectObservable(semaphore(backend, 's', 2).pipe(map(() => 'g')), '^---!').toBe('--g');
      scheduler.schedule(() => expect(backend.calls).toEqual(['enter lock s', 'look lock s']), 10);
    });
  });

  it('is asked about again when it is admitted before that, and held only when it is agreed on', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const enter = cold('w--a', { w: waiting, a: admitted });
      const states = { d: line([1n, 2], [2n, 7], [3n, 2]), y: line([1n, 2], [3n, 2]) };
      const backend = scripted({ enter, look: cold('(d|)', states), entries: cold('d-----y', states) }, scheduler);
      expectObservable(semaphore(backend, 's', 2).pipe(map(() => 'g')), '^ 20ms !').toBe('---------g');
    });
  });

  it('is not held any more where the backend drains before that: it completes', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const draining = new AbortController();
      const enter = concat(of({ ...admitted, draining: draining.signal }), NEVER);
      scheduler.schedule(() => draining.abort(), 4);
      expectObservable(semaphore(scripted({ enter }, scheduler), 's', 2)).toBe('----|');
      const closing = scripted({ enter, look: cold('--#', undefined, new BackendClosed('scripted')) }, scheduler);
      expectObservable(semaphore(closing, 's', 2)).toBe('--|');
      const denied = new PermissionDenied('scripted', 'it');
      const refused = scripted({ enter, look: cold('--#', undefined, denied) }, scheduler);
      expectObservable(semaphore(refused, 's', 2)).toBe('--#', undefined, denied);
    });
  });

  it('is unreachable after waitMs while nobody says whether it is, and held by others where one waits in line', () => {
    virtually(({ scheduler, expectObservable }) => {
      const outcome = (place: Place) =>
        semaphore(scripted({ enter: concat(of(place), NEVER) }, scheduler), 's', 2, { waitMs: 5 });
      const refusal = (reason: string) => expect.objectContaining({ _tag: 'LockNotAcquired', reason });
      expectObservable(outcome(admitted)).toBe('-----#', undefined, refusal('unreachable'));
      expectObservable(outcome(waiting)).toBe('-----#', undefined, refusal('held'));
    });
  });

  it('does not count itself among those who hold it, while it waits for others to agree', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const all = line([1n, 3], [2n, 1], [3n, 3]);
      const backend = scripted(
        { enter: concat(of(admitted), NEVER), look: of(all), entries: cold('a', { a: all }) },
        scheduler,
      );
      expectObservable(semaphore(backend, 's', 3, { waitMs: 4 })).toBe(
        '----#',
        undefined,
        expect.objectContaining({ reason: 'held', holders: [{ id: 'e1', token: 1n }] }),
      );
    });
  });

  it('a try that finds none free errors where those who hold them go by another number', () => {
    virtually(({ process, expectObservable }) => {
      const [first, second] = [process(), process()];
      semaphore(first, 's', 3).subscribe();
      expectObservable(trySemaphore(second, 's', 1), '-^').toBe('-#', undefined, new PermitsMismatch('s', 1, 3));
    });
  });
});

describe('withPermit', () => {
  it('does the work of so many at a time', () => {
    virtually(({ process, cold, expectObservable }) => {
      for (const expected of ['---a|', '---b|', '------c|'] as const) {
        const [symbol = ''] = expected.replaceAll('-', '');
        expectObservable(withPermit(process(), 's', 2, () => cold(`---${symbol}|`))).toBe(
          symbol === 'c' ? '-------c|' : expected,
        );
      }
    });
  });
});

describe('trySemaphore', () => {
  it('takes a permit if there is one, and waits for none', () => {
    virtually(({ process, expectObservable }) => {
      const outcome = () => trySemaphore(process(), 's', 2).pipe(map(({ _tag }) => _tag[0]));
      expectObservable(outcome(), '^ 9ms !').toBe('R');
      expectObservable(outcome(), '-^ 9ms !').toBe('-R');
      expectObservable(outcome(), '--^ 9ms !').toBe('--(L|)');
    });
  });

  it('tells whether it is held, or the store admits nobody yet', () => {
    virtually(({ scheduler, expectObservable }) => {
      for (const [more, reason] of [[{ barred: true }, 'barred'] as const, [{}, 'held'] as const]) {
        const enter = concat(of({ ...placeOf(3n, false), ahead: 2, ...more }), NEVER);
        const taken$ = trySemaphore(scripted({ enter, look: of([]) }, scheduler), 's', 2);
        const reason$ = taken$.pipe(map((taken) => (isLeft(taken) ? taken.left.reason : 'taken')));
        expectObservable(reason$).toBe('(r|)', { r: reason });
      }
    });
  });
});
