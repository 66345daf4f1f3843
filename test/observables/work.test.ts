import { concat, finalize, identity, interval, NEVER, of, take, tap } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { MemoryStore, memory } from '../../src/backends/memory/index.js';
import { leadership } from '../../src/observables/elections/leadership.js';
import { lock } from '../../src/observables/locks/lock.js';
import { withLock } from '../../src/observables/locks/with-lock.js';
import { whileLeader } from '../../src/operators/while-leader.js';
import { whileLocked } from '../../src/operators/while-locked.js';
import { ManualTime, QUICK, virtually } from '../support/virtual-time.js';

describe('cilium PR 42920, k8s PR 139991: nothing is released while the guarded work still runs', () => {
  /** Runs until it is torn down. */
  const work = (who: string, log: string[]) =>
    concat(of(who), NEVER).pipe(
      tap(() => log.push(`${who} works`)),
      finalize(() => log.push(`${who} has ended`)),
    );
  const inOrder = ['first works', 'first has ended', 'second works', 'second has ended'];

  test('withLock ends its work before the next one begins, when it is unsubscribed from and when one item is enough', () => {
    for (const end of ['unsubscribe', 'take'] as const) {
      virtually(({ process, at }) => {
        const log: string[] = [];
        const [first, second] = [process(), process()];
        const ours = withLock(first, 'l', () => work('first', log))
          .pipe(end === 'take' ? take(1) : identity)
          .subscribe();
        const theirs = withLock(second, 'l', () => work('second', log)).subscribe();
        at(10, () => ours.unsubscribe());
        at(20, () => theirs.unsubscribe());
        at(30, () => expect(log, end).toEqual(inOrder));
      });
    }
  });

  test('whileLeader and whileLocked end their work before the next one begins, when they leave and when they lose', () => {
    for (const gate of ['leader', 'lock'] as const) {
      for (const end of ['leave', 'cut off', 'expired', 'closed'] as const) {
        virtually(({ process, partition, expire, at }) => {
          const log: string[] = [];
          const [first, second] = [process(), process()];
          const guarded = (who: string, backend: typeof first) =>
            work(who, log).pipe(
              gate === 'leader'
                ? whileLeader(leadership(backend, 'x'), { onLoss: 'complete' })
                : whileLocked(lock(backend, 'x'), { onLoss: 'complete' }),
            );
          const ours = guarded('first', first).subscribe();
          const theirs = guarded('second', second).subscribe();
          at(50, () => {
            if (end === 'leave') ours.unsubscribe();
            if (end === 'cut off') partition(first);
            if (end === 'expired') expire(first);
            if (end === 'closed') void first.close();
          });
          at(300, () => theirs.unsubscribe());
          at(301, () => expect(log, `${gate}, ${end}`).toEqual(inOrder));
        });
      }
    }
  });

  test('no item passes between the end of the one and the beginning of the other', () => {
    for (let cutAt = 21; cutAt <= 41; cutAt++) {
      virtually(({ process, partition, at }) => {
        const log: string[] = [];
        const [first, second] = [process(), process()];
        for (const [who, backend] of [['first', first] as const, ['second', second] as const])
          interval(1)
            .pipe(whileLeader(leadership(backend, 'e')), take(300))
            .subscribe(() => log.push(who));
        at(cutAt, () => partition(first));
        at(290, () => {
          expect(log.indexOf('second')).toBeGreaterThan(90);
          expect(log.lastIndexOf('first')).toBeLessThan(log.indexOf('second'));
        });
      }, 400);
    }
  });

  test.each(['unsubscribed', 'closed'] as const)(
    'a promise settles before the lock is released, when it was %s meanwhile',
    async (how) => {
      const time = new ManualTime();
      const store = new MemoryStore(time);
      const backend = () => memory({ ...QUICK, store, scheduler: time });
      const [first, second] = [backend(), backend()];
      const log: string[] = [];
      let finish = (): void => undefined;
      const ours = withLock(first, 'l', ({ signal }) => {
        signal.addEventListener('abort', () => log.push('aborted'));
        return new Promise<void>((resolve) => {
          finish = () => {
            log.push('finished');
            resolve();
          };
        });
      }).subscribe();
      lock(second, 'l').subscribe(() => log.push('next'));
      await time.passWithPromises(30);
      const closed = how === 'closed' ? first.close() : Promise.resolve(ours.unsubscribe());
      await time.passWithPromises(40);
      expect(log).toEqual(['aborted']);
      finish();
      await time.passWithPromises(5);
      await closed;
      expect(log).toEqual(['aborted', 'finished', 'next']);
      const closing = Promise.all([first.close(), second.close()]);
      await time.passWithPromises(60);
      await closing;
    },
  );
});
