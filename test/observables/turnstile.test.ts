import { defer, NEVER, of, Subject } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { Turnstile } from '../../src/observables/sharing/turnstile.js';
import { ManualTime } from '../support/virtual-time.js';

describe('a turnstile', () => {
  /** Five sources, two of which may be under way. */
  const five = () => {
    const time = new ManualTime();
    const turnstile = new Turnstile(2, time);
    const begun: number[] = [];
    const sources = [0, 1, 2, 3, 4].map(() => new Subject<string>());
    const told: string[] = [];
    const subscriptions = sources.map((source, i) =>
      turnstile
        .through(
          defer(() => {
            begun.push(i);
            return source;
          }),
        )
        .subscribe({ next: (value) => told.push(value), error: (error) => told.push(error) }),
    );
    return { time, turnstile, begun, sources, told, subscriptions };
  };

  it('lets two be under way; the next begins when one has answered, and it goes on to tell', () => {
    const { time, begun, sources, told } = five();
    expect(begun).toEqual([0, 1]);
    sources[0]?.next('a');
    expect(begun).toEqual([0, 1]);
    time.pass(0);
    expect(begun).toEqual([0, 1, 2]);
    sources[0]?.next('b');
    time.pass(0);
    expect(begun).toEqual([0, 1, 2]);
    expect(told).toEqual(['a', 'b']);
  });

  it('goes on after an error, an end, and whoever unsubscribes while it is under way', () => {
    const { time, begun, sources, told, subscriptions } = five();
    sources[0]?.error('broken');
    sources[1]?.complete();
    time.pass(0);
    expect(begun).toEqual([0, 1, 2, 3]);
    subscriptions[2]?.unsubscribe();
    time.pass(0);
    expect(begun).toEqual([0, 1, 2, 3, 4]);
    expect(told).toEqual(['broken']);
  });

  it('never begins what was unsubscribed from while it waited', () => {
    const { time, begun, sources, subscriptions } = five();
    subscriptions[2]?.unsubscribe();
    sources[0]?.next('a');
    time.pass(0);
    expect(begun).toEqual([0, 1, 3]);
  });

  it('answers that come at once do not all come in one turn', () => {
    const time = new ManualTime();
    const turnstile = new Turnstile(2, time);
    let answers = 0;
    for (let i = 0; i < 5; i++) turnstile.through(of(i)).subscribe(() => answers++);
    expect(answers).toBe(2);
    time.pass(0);
    expect(answers).toBe(5);
    turnstile.through(NEVER).subscribe();
  });
});

describe('a turn', () => {
  it('comes when one of those under way has answered, and lasts until its own answer', () => {
    const time = new ManualTime();
    const turnstile = new Turnstile(1, time);
    const [first, second] = [new Subject<boolean>(), new Subject<boolean>()];
    const log: string[] = [];
    turnstile.turn(first).subscribe({ complete: () => log.push('first') });
    turnstile.turn(second).subscribe({ complete: () => log.push('second') });
    const third = turnstile.turn(NEVER).subscribe({ complete: () => log.push('third') });
    turnstile.turn(NEVER).subscribe({ complete: () => log.push('fourth') });
    expect(log).toEqual(['first']);
    first.next(true);
    time.pass(0);
    expect(log).toEqual(['first', 'second']);
    // Who does not wait any longer is passed over; a failure is an answer, too.
    third.unsubscribe();
    second.error('broken');
    time.pass(0);
    expect(log).toEqual(['first', 'second', 'fourth']);
  });
});
