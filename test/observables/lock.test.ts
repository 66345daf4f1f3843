import { isSome } from 'fp-ts/lib/Option.js';
import {
  BehaviorSubject,
  catchError,
  concat,
  defer,
  EMPTY,
  firstValueFrom,
  map,
  NEVER,
  type Observable,
  of,
  retry,
} from 'rxjs';
import { describe, expect, it } from 'vitest';
import { AuthenticationFailed, LockLost, LockNotAcquired, PlaceLost, SessionLost } from '../../src/backends/errors.js';
import { memory } from '../../src/backends/memory/index.js';
import { campaign } from '../../src/observables/elections/campaign.js';
import { join } from '../../src/observables/groups/join.js';
import type { Grant } from '../../src/observables/holding/grant.js';
import { breakLock } from '../../src/observables/locks/break-lock.js';
import { holders } from '../../src/observables/locks/holders.js';
import { lock } from '../../src/observables/locks/lock.js';
import { withLock } from '../../src/observables/locks/with-lock.js';
import { simulate } from '../../src/testing/simulate.js';
import { entryOf, placeOf, scripted, virtually } from '../support/virtual-time.js';

const places = { w: placeOf(1n, false), a: placeOf(1n), b: placeOf(2n) };
const tokens = { a: 1n, b: 2n };
const why = new SessionLost('s', 'it was not renewed in time', false);
const gone = new PlaceLost('lock "l"', 'session lost', why);
const tokensOf = (grant$: Observable<Grant>) => grant$.pipe(map(({ token }) => token));
const named = (grant$: Observable<Grant>) =>
  grant$.pipe(
    map(({ name }) => name),
    catchError((error) => of(error.name)),
  );

describe('lock', () => {
  it('emits the grant when it is acquired, and stays open', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('--w--a---', places);
      expectObservable(tokensOf(lock(scripted({ enter }, scheduler), 'l')), '^-------!').toBe('-----a', tokens);
      expectSubscriptions(enter.subscriptions).toBe('^-------!');
    });
  });

  it('is silent while the store says nothing', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold<typeof places.a>('-');
      expectObservable(tokensOf(lock(scripted({ enter }, scheduler), 'l')), '^-------!').toBe('');
      expectSubscriptions(enter.subscriptions).toBe('^-------!');
    });
  });

  it('errors with LockLost when it is lost while held, and does not stand again by itself', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('-a-#', places, gone);
      const error = new LockLost('l', 1n, 'session lost', why);
      expectObservable(tokensOf(lock(scripted({ enter }, scheduler), 'l'))).toBe('-a-#', tokens, error);
      expectSubscriptions(enter.subscriptions).toBe('^--!');
    });
  });

  it('tells why it was lost, with the token that was lost', () => {
    virtually(({ cold, scheduler, at }) => {
      const errors: LockLost[] = [];
      const enter = cold('-b-#', places, new PlaceLost('lock "l"', 'evicted'));
      lock(scripted({ enter }, scheduler), 'l').subscribe({ error: (error) => errors.push(error) });
      at(9, () => expect(errors).toMatchObject([{ _tag: 'LockLost', lock: 'l', token: 2n, reason: 'evicted' }]));
    });
  });

  it('stands again by itself when it is lost while waiting', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const first = cold('--w-#', places, gone);
      const second = cold('  -#', places, gone);
      const third = cold('     -b', places);
      const backend = scripted({ enter: [first, second, third] }, scheduler);
      expectObservable(tokensOf(lock(backend, 'l')), '^---------!').toBe('------b', tokens);
      expectSubscriptions(first.subscriptions).toBe('^---!');
      expectSubscriptions(second.subscriptions).toBe('----^!');
      expectSubscriptions(third.subscriptions).toBe('-----^----!');
    });
  });

  it('is acquired again by retry, with a greater token, and can be lost again', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const twice = scripted({ enter: [cold('a-#', places, gone), cold('-b-#', places, gone)] }, scheduler);
      expectObservable(tokensOf(lock(twice, 'l').pipe(retry(1)))).toBe(
        'a--b-#',
        tokens,
        new LockLost('l', 2n, 'session lost', why),
      );
    });
  });

  it('passes any other error', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const error = new AuthenticationFailed('scripted', 'nowhere');
      const enter = cold('-w-#', places, error);
      const held = cold('-a-#', places, error);
      expectObservable(tokensOf(lock(scripted({ enter }, scheduler), 'l'))).toBe('---#', tokens, error);
      expectObservable(tokensOf(lock(scripted({ enter: held }, scheduler), 'l'))).toBe('-a-#', tokens, error);
      expectSubscriptions(enter.subscriptions).toBe('^--!');
    });
  });

  it('completes with the place, held or not', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      expectObservable(tokensOf(lock(scripted({ enter: cold('-a-|', places) }, scheduler), 'l'))).toBe('-a-|', tokens);
      expectObservable(tokensOf(lock(scripted({ enter: cold('-w-|', places) }, scheduler), 'l'))).toBe('---|');
      expectObservable(tokensOf(lock(scripted({ enter: cold('|') }, scheduler), 'l'))).toBe('|');
    });
  });

  it('releases when unsubscribed from early, and contends anew when subscribed to again', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('-a--', places);
      const lock$ = lock(scripted({ enter }, scheduler), 'l');
      expectObservable(tokensOf(lock$), '^--!').toBe('-a', tokens);
      expectObservable(tokensOf(lock$), '----^--!').toBe('-----a', tokens);
      expectSubscriptions(enter.subscriptions).toBe(['^--!', '----^--!']);
    });
  });

  it('errors with LockNotAcquired after waitMs, and leaves the line', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const enter = cold('-w--------a', places);
      const output = tokensOf(lock(scripted({ enter }, scheduler), 'l', { waitMs: 5 }));
      expectObservable(output).toBe('-----#', tokens, new LockNotAcquired('l', 5));
      expectSubscriptions(enter.subscriptions).toBe('^----!');
    });
  });

  it('counts waitMs from the start, through places that were lost while waiting', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const enter = cold('-w-#', places, gone);
      const output = tokensOf(lock(scripted({ enter: [enter, enter, enter] }, scheduler), 'l', { waitMs: 7 }));
      expectObservable(output).toBe('-------#', tokens, new LockNotAcquired('l', 7));
    });
  });

  it('holds for longer than waitMs what was acquired in time', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const enter = cold('-w--a', places);
      const output = tokensOf(lock(scripted({ enter }, scheduler), 'l', { waitMs: 5 }));
      expectObservable(output, '^ 30ms !').toBe('----a', tokens);
    });
  });

  it('errors at once with waitMs: 0 when the lock is not free, though never before the store has answered', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions, at }) => {
      const taken = cold('---w', places);
      const backend = scripted({ enter: taken, look: cold('(a|)', { a: [] }) }, scheduler);
      const output = tokensOf(lock(backend, 'l', { waitMs: 0 }));
      expectObservable(output).toBe('---#', tokens, new LockNotAcquired('l', 0));
      const free = cold('---a', places);
      expectObservable(tokensOf(lock(scripted({ enter: free }, scheduler), 'l', { waitMs: 0 })), '^----!').toBe(
        '---a',
        tokens,
      );
      expectSubscriptions(taken.subscriptions).toBe('^--!');
      at(9, () => expect(backend.requests).toMatchObject([{ wait: false }]));
    });
  });

  it('asks who holds it half of waitMs before its end, and no sooner than a second', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const waiting = (waitMs: number) => {
        const look = cold('-(a|)', { a: [{ ...entryOf('e9', 9n, 'who') }] });
        const output = lock(scripted({ enter: cold('w', places), look }, scheduler), 'l', { waitMs });
        const refusal = expect.objectContaining({
          waitMs,
          reason: 'held',
          holders: [{ id: 'e9', token: 9n, data: 'who' }],
        });
        expectObservable(output).toBe(`${waitMs}ms #`, undefined, refusal);
        return look;
      };
      expectSubscriptions(waiting(10).subscriptions).toBe('5ms ^!');
      expectSubscriptions(waiting(1_900).subscriptions).toBe('950ms ^!');
      expectSubscriptions(waiting(5_000).subscriptions).toBe('4000ms ^!');
    });
  });

  it('asks nobody who holds it where it has been acquired, nobody waits any longer, or no place is known', () => {
    virtually(({ cold, scheduler, expectObservable, at }) => {
      const look = NEVER;
      const [early, given, silent] = [
        scripted({ enter: cold('w-a', places), look }, scheduler),
        scripted({ enter: cold('w', places), look }, scheduler),
        scripted({ look }, scheduler),
      ];
      expectObservable(tokensOf(lock(early, 'l', { waitMs: 10 })), '^ 30ms !').toBe('--a', tokens);
      expectObservable(lock(given, 'l', { waitMs: 10 }), '^--!').toBe('');
      const refusal = expect.objectContaining({ reason: 'unreachable', holders: [] });
      expectObservable(lock(silent, 'l', { waitMs: 10 })).toBe('10ms #', undefined, refusal);
      at(40, () => {
        for (const backend of [early, given, silent]) expect(backend.calls).toEqual(['enter lock l']);
      });
    });
  });

  it('refuses without saying who holds it where the store does not tell: in time, and whatever looking fails of', () => {
    virtually(({ cold, scheduler, expectObservable, expectSubscriptions }) => {
      const refused = (waitMs: number, look: Observable<never>) =>
        lock(scripted({ enter: cold('w', places), look }, scheduler), 'l', { waitMs });
      const silent = cold<never>('-');
      const failing = cold<never>('-#');
      const refusal = (waitMs: number) => expect.objectContaining({ _tag: 'LockNotAcquired', waitMs, holders: [] });
      expectObservable(refused(0, silent)).toBe('1000ms #', undefined, refusal(0));
      expectSubscriptions(silent.subscriptions).toBe('^ 999ms !');
      expectObservable(refused(0, failing)).toBe('-#', undefined, refusal(0));
      expectObservable(refused(10, failing)).toBe('10ms #', undefined, refusal(10));
    });
  });

  it('tells no data of a holder that gave none', () => {
    virtually(({ scheduler, cold, expectObservable }) => {
      const backend = scripted({ enter: cold('w', places), look: of([entryOf('e9', 9n)]) }, scheduler);
      const fields$ = lock(backend, 'l', { waitMs: 0 }).pipe(
        map(() => []),
        catchError((error: LockNotAcquired) => of(error.holders.map(Object.keys))),
      );
      expectObservable(fields$).toBe('(f|)', { f: [['id', 'token']] });
    });
  });

  it('is barred where the store admits nobody yet', () => {
    virtually(({ cold, scheduler, expectObservable }) => {
      const enter = cold('b', { b: { ...placeOf(1n, false), barred: true } });
      const refusal = expect.objectContaining({ _tag: 'LockNotAcquired', reason: 'barred' });
      const output = lock(scripted({ enter, look: cold('(a|)', { a: [] }) }, scheduler), 'l', { waitMs: 4 });
      expectObservable(output).toBe('4ms #', undefined, refusal);
    });
  });

  it('waits in line unless waitMs is 0, exclusively, with its data', () => {
    virtually(({ scheduler }) => {
      const backend = scripted({}, scheduler);
      lock(backend, 'l', { data: 'me' }).subscribe().unsubscribe();
      lock(backend, 'l', { waitMs: 1 }).subscribe().unsubscribe();
      expect(backend.calls).toEqual(['enter lock l', 'enter lock l']);
      expect(backend.requests).toEqual([
        { mode: 'exclusive', permits: 1, payload: new TextEncoder().encode('"me"'), wait: true, onDrain: 'work' },
        { mode: 'exclusive', permits: 1, payload: new Uint8Array(), wait: true, onDrain: 'work' },
      ]);
    });
  });

  it('gives a grant that names its lock and asks its place', () => {
    virtually(({ scheduler }) => {
      const place = placeOf(7n, true, () => false);
      const grants: Grant[] = [];
      lock(scripted({ enter: of(place) }, scheduler), 'l').subscribe((grant) => grants.push(grant));
      expect(grants).toMatchObject([{ name: 'l', token: 7n, id: 'e7', signal: place.signal }]);
      expect(grants[0]?.isValid()).toBe(false);
    });
  });

  it('errors with InvalidPayload for data that cannot be encoded, and sends nothing', () => {
    virtually(({ scheduler, expectObservable, at }) => {
      const backend = scripted({}, scheduler);
      const error = expect.objectContaining({ _tag: 'InvalidPayload', subject: 'lock "l"' });
      expectObservable(lock(backend, 'l', { data: () => 1 })).toBe('#', undefined, error);
      at(1, () => expect(backend.calls).toEqual([]));
    });
  });

  it('refuses a name at the call', () => {
    virtually(({ scheduler }) => {
      const refusal = expect.objectContaining({ _tag: 'InvalidName' });
      expect(() => lock(scripted({}, scheduler), '')).toThrow(refusal);
    });
  });

  it.each([-1, Number.NaN, 2 ** 31, Number.POSITIVE_INFINITY])('refuses waitMs: %d at the call', (waitMs) => {
    virtually(({ scheduler }) => {
      expect(() => lock(scripted({}, scheduler), 'l', { waitMs })).toThrow(
        expect.objectContaining({
          _tag: 'InvalidOptions',
          violations: [`waitMs must be a number from 0 to 2147483647, but is ${waitMs}`],
        }),
      );
    });
  });

  it('takes the longest waitMs a timer carries', () => {
    virtually(({ scheduler }) => {
      expect(() => lock(scripted({}, scheduler), 'l', { waitMs: 2 ** 31 - 1 })).not.toThrow();
    });
  });
});

describe('lock over a store', () => {
  const names = { l: 'l', x: 'LockLost', n: 'LockNotAcquired' };

  it('PartitionLongerThanTtlDoesNotCauseTwoHolders: LockLost comes before the grant of the next', () => {
    virtually(({ process, partition, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      expectObservable(named(lock(first, 'l'))).toBe('l 133ms (x|)', names);
      expectObservable(named(lock(second, 'l')), '^ 199ms !').toBe('140ms l', names);
      at(50, () => partition(first));
    });
  });

  it('tells the holder that the store has expired its session, before the next is granted', () => {
    virtually(({ process, expire, at }) => {
      const [first, second] = [process(), process()];
      const log: string[] = [];
      named(lock(first, 'l')).subscribe((what) => log.push(`first ${what}`));
      named(lock(second, 'l')).subscribe((what) => log.push(`second ${what}`));
      at(30, () => expire(first));
      at(31, () => expect(log).toEqual(['first l', 'first LockLost', 'second l']));
    });
  });

  it('keeps what is held through a partition that heals before the deadline', () => {
    virtually(({ process, partition, heal, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      expectObservable(named(lock(first, 'l')), '^ 499ms !').toBe('l', names);
      expectObservable(named(lock(second, 'l')), '^ 498ms !').toBe('', names);
      at(50, () => partition(first));
      at(130, () => heal(first));
    });
  });

  it('makes the grant invalid and aborts its signal before LockLost is told', () => {
    virtually(({ process, partition, at }) => {
      const backend = process();
      const log: unknown[] = [];
      let held: Grant | undefined;
      lock(backend, 'l').subscribe({
        next: (grant) => {
          held = grant;
          grant.signal.addEventListener('abort', () => log.push(['aborted', grant.isValid()]));
        },
        error: (error) => log.push([error.name, held?.signal.aborted, held?.isValid()]),
      });
      at(50, () => partition(backend));
      at(133, () => expect(held?.isValid()).toBe(true));
      at(135, () =>
        expect(log).toEqual([
          ['aborted', false],
          ['LockLost', true, false],
        ]),
      );
    });
  });

  it('LateTimersDoNotMakeAGrantValid: isValid tells the loss when the clock has passed the deadline', () => {
    virtually(({ process, block, at }) => {
      const backend = process();
      const log: unknown[] = [];
      lock(backend, 'l').subscribe({
        next: (grant) => {
          at(45, () => {
            block(88);
            log.push([backend.scheduler.now(), grant.isValid()]);
            block(1);
            log.push([backend.scheduler.now(), grant.isValid()]);
          });
        },
        error: (error) => log.push(error.name),
      });
      at(46, () => expect(log).toEqual([[133, true], 'LockLost', [134, false]]));
    });
  });

  it('is granted first come, first served', () => {
    virtually(({ process, expectObservable }) => {
      const [one, two, three] = [process(), process(), process()];
      expectObservable(named(lock(one, 'l')), '^---!').toBe('l', names);
      expectObservable(named(lock(three, 'l')), '--^---------!').toBe('------l', names);
      expectObservable(named(lock(two, 'l')), '-^----!').toBe('----l', names);
    });
  });

  it('is not re-entrant: two subscriptions of one process are two contenders', () => {
    virtually(({ process, expectObservable }) => {
      const lock$ = named(lock(process(), 'l'));
      expectObservable(lock$, '^---!').toBe('l', names);
      expectObservable(lock$, '^-------!').toBe('----l', names);
    });
  });

  it('leaves nobody in line who gave up after waitMs', () => {
    virtually(({ process, expectObservable }) => {
      const [holder, hasty, patient] = [process(), process(), process()];
      expectObservable(named(lock(holder, 'l')), '^---------!').toBe('l', names);
      expectObservable(named(lock(hasty, 'l', { waitMs: 5 }))).toBe('-----(n|)', names);
      expectObservable(named(lock(hasty, 'l', { waitMs: 0 }))).toBe('(n|)', names);
      expectObservable(named(lock(patient, 'l')), '^------------!').toBe('----------l', names);
    });
  });

  it('is acquired again by retry in the next session, with a greater token', () => {
    virtually(({ process, expire, at }) => {
      const backend = process();
      const seen: bigint[] = [];
      lock(backend, 'l')
        .pipe(retry())
        .subscribe(({ token }) => seen.push(token));
      at(20, () => expire(backend));
      at(40, () => {
        expect(seen).toHaveLength(2);
        expect(seen[1]).toBeGreaterThan(seen[0] as bigint);
      });
    });
  });

  it('subscribing again queues behind the release before', () => {
    virtually(({ process, expectObservable }) => {
      const backend = process();
      const once = defer(() => named(lock(backend, 'l')));
      expectObservable(once, '^---!').toBe('l', names);
      expectObservable(once, '----^---!').toBe('----l', names);
    });
  });

  it('completes, and releases, when the backend is closed', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      at(10, () => void first.close());
      expectObservable(named(lock(first, 'l'))).toBe('l 9ms |', names);
      expectObservable(named(lock(first, 'l'))).toBe('10ms |', names);
      expectObservable(named(lock(second, 'l')), '^ 19ms !').toBe('10ms l', names);
    });
  });

  it('waits no longer than waitMs even where no session can be opened', () => {
    virtually(({ process, expire, at, expectObservable }) => {
      const backend = process({ initialBackoffMs: 80 });
      backend.session$.subscribe();
      at(10, () => expire(backend));
      expectObservable(named(lock(backend, 'l', { waitMs: 20 })), '11ms ^').toBe('31ms (n|)', names);
    });
  });
});

describe('the signal of a grant', () => {
  const reasonOf = ({ signal }: Grant): unknown => signal.reason;

  it('ReleasedAlready: what firstValueFrom and take(1) give is released, and says so', async () => {
    const backend = memory();
    const grant = await firstValueFrom(lock(backend, 'l'));
    expect([grant.isValid(), grant.signal.aborted]).toEqual([false, true]);
    expect(reasonOf(grant)).toMatchObject({ _tag: 'Released', roster: 'lock "l"' });
    expect(String(reasonOf(grant))).toMatch(/lock "l" was released: the subscription ended.*withLock/);
    await backend.close();
  });

  it('has the very error for its reason that the stream errors with', () => {
    virtually(({ process, at, expire }) => {
      const [backend, other] = [process(), process()];
      const seen: [unknown, unknown][] = [];
      const watch = (lock$: Observable<Grant>) => {
        let grant: Grant | undefined;
        lock$.subscribe({
          next: (granted) => {
            grant = granted;
          },
          error: (error) => seen.push([grant && reasonOf(grant), error]),
        });
      };
      watch(lock(backend, 'l'));
      watch(withLock(backend, 'm', (grant) => concat(of(grant), NEVER)));
      watch(lock(other, 'n'));
      at(10, () => breakLock(backend, 'n').subscribe());
      at(20, () => expire(backend));
      at(30, () => {
        expect(seen).toHaveLength(3);
        for (const [reason, error] of seen) expect(reason).toBe(error);
        expect(seen.map(([reason]) => reason)).toMatchObject([
          { _tag: 'LockLost', lock: 'n', reason: 'evicted' },
          { _tag: 'LockLost', lock: 'l', reason: 'session lost', cause: { _tag: 'SessionLost' } },
          { _tag: 'LockLost', lock: 'm', reason: 'session lost' },
        ]);
      });
    });
  });

  it('tells a loss from a release from a close, also of a leader and of a member', () => {
    virtually(({ process, at, expire }) => {
      const signals: AbortSignal[] = [];
      const [lost, released, closed] = [process(), process(), process()];
      const uses = [lost, released, closed].map((backend, i) => [
        lock(backend, `l${i}`)
          .pipe(catchError(() => EMPTY))
          .subscribe(({ signal }) => signals.push(signal)),
        campaign(backend, `e${i}`).subscribe((grant) => isSome(grant) && signals.push(grant.value.signal)),
        join(backend, `g${i}`, { create: true }).subscribe(({ signal }) => signals.push(signal)),
      ]);
      at(10, () => {
        expire(lost);
        for (const use of uses[1] ?? []) use.unsubscribe();
        void closed.close();
      });
      at(11, () =>
        expect(signals.map(({ reason }) => reason._tag)).toEqual([
          ...['LockLost', 'LeadershipLost', 'MembershipLost'],
          ...['Released', 'Released', 'Released'],
          ...['BackendClosed', 'BackendClosed', 'BackendClosed'],
        ]),
      );
    });
  });
});

describe('how long one holds', () => {
  it('HungWork: after maxHoldMs it is lost, told before the next is admitted, whatever becomes of the work', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      const log: unknown[] = [];
      lock(first, 'l', { maxHoldMs: 20 }).subscribe({
        next: (grant) =>
          grant.signal.addEventListener('abort', () => log.push([grant.signal.reason.reason, grant.isValid()])),
        error: (error) => log.push([error._tag, error.reason]),
      });
      lock(second, 'l').subscribe(() => log.push('next'));
      at(19, () => expect(log).toEqual([]));
      at(25, () => expect(log).toEqual([['held too long', false], ['LockLost', 'held too long'], 'next']));
      expectObservable(withLock(first, 'm', () => new Promise(() => undefined), { maxHoldMs: 20 })).toBe(
        '20ms #',
        undefined,
        expect.objectContaining({ _tag: 'LockLost', lock: 'm', reason: 'held too long' }),
      );
      expectObservable(lock(second, 'm').pipe(map(() => 'g')), '-^ 40ms !').toBe('20ms g');
    });
  });

  it('maxHoldMs is asked of the clock: a blocked event loop does not prolong it', () => {
    virtually(({ process, at, block }) => {
      let held: Grant | undefined;
      const lost: unknown[] = [];
      lock(process(), 'l', { maxHoldMs: 20 }).subscribe({
        next: (grant) => {
          held = grant;
        },
        error: (error) => lost.push(error.reason),
      });
      at(5, () => {
        block(30);
        expect([held?.isValid(), lost]).toEqual([false, ['held too long']]);
      });
    });
  });

  it('maxHoldMs is over at its last millisecond, whether the timer has run or not', () => {
    virtually(({ process, at, block }) => {
      let held: Grant | undefined;
      lock(process(), 'l', { maxHoldMs: 20 }).subscribe({
        next: (grant) => {
          held = grant;
        },
        error: () => undefined,
      });
      at(5, () => {
        block(14);
        expect(held?.isValid()).toBe(true);
        block(1);
        expect(held?.isValid()).toBe(false);
      });
    });
  });

  it('who is told of the loss, and releases, cannot make an end of its own of it', () => {
    virtually(({ process, at }) => {
      const log: unknown[] = [];
      lock(process(), 'l', { maxHoldMs: 20 }).subscribe({
        next: (grant) =>
          grant.signal.addEventListener('abort', () => grant.release().subscribe((was) => log.push(was))),
        error: (error) => log.push(error._tag),
        complete: () => log.push('complete'),
      });
      at(25, () => expect(log).toEqual(['LockLost', true]));
    });
  });

  it('maxHoldMs bounds what a promise holds after its owner has unsubscribed', () => {
    virtually(({ process, expectObservable, at }) => {
      const [first, second] = [process(), process()];
      const working = withLock(first, 'l', () => new Promise(() => undefined), { maxHoldMs: 20 }).subscribe();
      at(5, () => working.unsubscribe());
      expectObservable(lock(second, 'l').pipe(map(() => 'g')), '-^ 40ms !').toBe('20ms g');
    });
  });

  it('holdAtLeastMs keeps others waiting until then, whoever lets go sooner', () => {
    virtually(({ process, expectObservable }) => {
      const [first, second] = [process(), process()];
      expectObservable(lock(first, 'l', { holdAtLeastMs: 20 }).pipe(map(() => 'g')), '^----!').toBe('g');
      expectObservable(lock(second, 'l').pipe(map(() => 'g')), '-^ 40ms !').toBe('20ms g');
    });
  });

  it('holdAtLeastMs holds for release(), which tells when the store has it', () => {
    virtually(({ process, at }) => {
      const log: unknown[] = [];
      lock(process(), 'l', { holdAtLeastMs: 20 }).subscribe({
        next: (grant) => at(5, () => grant.release().subscribe((was) => log.push(was))),
        complete: () => log.push('complete'),
      });
      at(19, () => expect(log).toEqual([]));
      at(21, () => expect(log).toEqual([true, 'complete']));
    });
  });

  it('what was released, and is kept still, is no loss when its session ends', () => {
    virtually(({ process, at, expire }) => {
      const backend = process();
      const log: unknown[] = [];
      lock(backend, 'l', { holdAtLeastMs: 50 }).subscribe({
        next: (grant) => {
          log.push('held');
          at(5, () => grant.release().subscribe((was) => log.push(was)));
        },
        error: (error) => log.push(error),
        complete: () => log.push('complete'),
      });
      at(10, () => expire(backend));
      at(49, () => expect(log).toEqual(['held', false, 'complete']));
    });
  });

  it('holdAtLeastMs keeps others waiting when the backend is closed, though who held it is told at once', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      const log: unknown[] = [];
      lock(first, 'l', { holdAtLeastMs: 20 }).subscribe({ complete: () => log.push('complete') });
      at(5, () => {
        void first.close();
        expect(log).toEqual(['complete']);
      });
      expectObservable(lock(second, 'l').pipe(map(() => 'g')), '-^ 40ms !').toBe('20ms g');
    });
  });

  it('what was released is no loss when the longest hold is over with the least', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      const log: unknown[] = [];
      lock(first, 'l', { holdAtLeastMs: 20, maxHoldMs: 20 }).subscribe({
        next: (grant) => {
          at(5, () => grant.release().subscribe((was) => log.push(was)));
          grant.signal.addEventListener('abort', () => log.push(grant.signal.reason._tag));
        },
        error: (error) => log.push(error),
        complete: () => log.push('complete'),
      });
      at(21, () => expect(log).toEqual(['Released', true, 'complete']));
      expectObservable(lock(second, 'l').pipe(map(() => 'g')), '-^ 40ms !').toBe('20ms g');
    });
  });

  it('who only waits leaves at once, whatever holdAtLeastMs says', () => {
    virtually(({ process, at }) => {
      const [first, second] = [process(), process()];
      lock(first, 'l').subscribe();
      const waiting = lock(second, 'l', { holdAtLeastMs: 500 }).subscribe();
      at(5, () => waiting.unsubscribe());
      at(6, () => first.look({ kind: 'lock', name: 'l' }).subscribe((line) => expect(line).toHaveLength(1)));
    });
  });

  it('refuses bounds that contradict each other, at the call', () => {
    virtually(({ process }) => {
      expect(() => lock(process(), 'l', { maxHoldMs: 5, holdAtLeastMs: 6 })).toThrow(
        expect.objectContaining({ violations: ['maxHoldMs (5) must not be less than holdAtLeastMs (6)'] }),
      );
    });
  });
});

describe('release()', () => {
  it('gives it up at the call: the stream completes, and it is told when the store has it', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      const log: unknown[] = [];
      lock(first, 'l').subscribe({
        next: (grant) =>
          at(5, () => {
            const released$ = grant.release();
            log.push(['at the call', grant.isValid(), grant.signal.reason?._tag]);
            released$.subscribe({ next: (was) => log.push(was), complete: () => log.push('told') });
          }),
        complete: () => log.push('complete'),
      });
      at(6, () => expect(log).toEqual(['complete', ['at the call', false, 'Released'], true, 'told']));
      expectObservable(lock(second, 'l').pipe(map(() => 'g')), '-^ 9ms !').toBe('-----g');
    });
  });

  it('tells that it was not held any longer, after a loss', () => {
    virtually(({ process, at, expire }) => {
      const backend = process();
      const log: unknown[] = [];
      let held: Grant | undefined;
      lock(backend, 'l').subscribe({
        next: (grant) => {
          held = grant;
        },
        error: () => held?.release().subscribe((was) => log.push(was)),
      });
      at(5, () => expire(backend));
      at(6, () => expect(log).toEqual([false]));
    });
  });

  it('does not wait for work: who awaits it within a promise does not wait for itself', () => {
    virtually(({ process, at, expectObservable }) => {
      const [first, second] = [process(), process()];
      const log: unknown[] = [];
      withLock(first, 'l', (grant) => {
        at(5, () => grant.release().subscribe((was) => log.push(was)));
        return new Promise(() => undefined);
      }).subscribe();
      at(6, () => expect(log).toEqual([true]));
      expectObservable(lock(second, 'l').pipe(map(() => 'g')), '-^ 9ms !').toBe('-----g');
    });
  });
});

describe('data as an Observable', () => {
  it('enters with the first value, and each further one replaces the last', () => {
    virtually(({ process, hot, expectObservable }) => {
      const [first, second] = [process(), process()];
      lock(first, 'l', { data: hot('-a--b----') }).subscribe();
      const shown = holders(second, 'l').pipe(
        map((held) => held.map(({ data }) => (data._tag === 'Some' ? data.value : 'none')).join()),
      );
      expectObservable(shown, '^ 9ms !').toBe('na--b', { n: '', a: 'a', b: 'b' });
    });
  });

  it('StaleData: who stands again after a loss while it waited enters with the latest', () => {
    const cluster = simulate({ latencyMs: 1 });
    const [holder, waiter] = [cluster.backend('holder'), cluster.backend('waiter')];
    const data = new BehaviorSubject('first');
    cluster.run('holder', () => lock(holder, 'l').subscribe());
    cluster.pass(100);
    cluster.run('waiter', () => lock(waiter, 'l', { data }).subscribe());
    cluster.pass(100);
    data.next('latest');
    cluster.pass(100);
    const before = cluster.history.length;
    cluster.expireSession('waiter');
    cluster.pass(20_000);
    const since = cluster.history.slice(before).filter((line) => / waiter (enter|update)/.test(line));
    expect(since.map((line) => line.split(' ').slice(1).join(' '))).toEqual(['waiter enter']);
  });

  it('a later value that cannot be encoded is a fault, and the last one stays', () => {
    virtually(({ process, hot, at }) => {
      const backend = process();
      const log: string[] = [];
      backend.faults$.subscribe(({ name }) => log.push(name));
      lock(backend, 'l', { data: hot('a--b-', { a: 'a', b: () => 1 }) }).subscribe({ error: () => log.push('error') });
      at(9, () => {
        expect(log).toEqual(['InvalidPayload']);
        holders(backend, 'l').subscribe(([held]) => expect(held?.data).toMatchObject({ value: 'a' }));
      });
    });
  });

  it('what it errors with ends it; one without a value enters with none; one that is silent ends with the backend', () => {
    virtually(({ process, cold, expectObservable, at }) => {
      const [first, second] = [process(), process()];
      expectObservable(lock(first, 'l', { data: cold('--#') })).toBe('--#');
      expectObservable(lock(first, 'm', { data: cold('--|') }).pipe(map(() => 'g')), '^ 9ms !').toBe('--g');
      expectObservable(lock(second, 'n', { data: cold('-') })).toBe('5ms |');
      at(5, () => void second.close());
    });
  });
});
