import { of, Subject } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { expect, test } from 'vitest';
import { type Known, Watch } from '../../../src/backends/redis/watch.js';

/** Says all changes that it was told of. */
class Letters implements Known<string> {
  value = '';
  readonly pauseMs = 10;

  follow(change: string): boolean {
    this.value += change;
    return true;
  }
}

test('changes of a pause are told once, when it is over, and whoever is told next waits as long', async () => {
  const scheduler = new TestScheduler(() => undefined);
  const changes$ = new Subject<string | undefined>();
  const watch = new Watch<string>(
    changes$,
    () => of(new Letters()),
    () => undefined,
    scheduler,
  );
  const told: [number, string][] = [];
  const watching = watch.value$.subscribe((value) => told.push([scheduler.now(), value]));
  const at = (ms: number, change: string | undefined): unknown => scheduler.schedule(() => changes$.next(change), ms);
  at(0, undefined);
  for (const [ms, change] of [
    [3, 'a'],
    [6, 'b'],
    [15, 'c'],
  ] as const)
    at(ms, change);
  scheduler.flush();
  expect(told).toEqual([
    [0, ''],
    [10, 'ab'],
    [20, 'abc'],
  ]);
  // After a quiet time the next one is told in its own turn.
  changes$.next('d');
  changes$.next('e');
  await Promise.resolve();
  expect(told.slice(3)).toEqual([[scheduler.now(), 'abcde']]);
  watching.unsubscribe();
});
