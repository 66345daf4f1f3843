import { concat, NEVER, Observable, of, Subject, throwError } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { latest } from '../../src/promises/latest.js';

const read = async <T>(source: Observable<T>): Promise<T[]> => {
  const seen: T[] = [];
  for await (const state of latest(source)) seen.push(state);
  return seen;
};

describe('latest', () => {
  it('gives each state to a reader who waits, and ends with the source', async () => {
    const source = new Subject<number>();
    const states = latest(source)[Symbol.asyncIterator]();
    for (const state of [1, 2]) {
      const next = states.next();
      source.next(state);
      expect(await next).toEqual({ done: false, value: state });
    }
    const end = states.next();
    source.complete();
    expect(await end).toEqual({ done: true, value: undefined });
  });

  it('gives a busy reader the latest state, and it before the end', async () => {
    expect(await read(of(1, 2, 3))).toEqual([3]);
    expect(await read(of(undefined))).toEqual([undefined]);
  });

  it('throws what the source errors with, after the latest state', async () => {
    const states = latest(
      concat(
        of(1),
        throwError(() => new Error('gone')),
      ),
    )[Symbol.asyncIterator]();
    expect(await states.next()).toEqual({ done: false, value: 1 });
    await expect(states.next()).rejects.toThrow('gone');
    expect(await states.next()).toEqual({ done: true, value: undefined });
  });

  it('subscribes when the loop begins, and unsubscribes when it is left', async () => {
    const log: string[] = [];
    const source = new Observable<number>((subscriber) => {
      log.push('subscribed');
      subscriber.next(1);
      return () => log.push('unsubscribed');
    });
    const states = latest(source);
    expect(log).toEqual([]);
    for await (const _ of states) break;
    expect(log).toEqual(['subscribed', 'unsubscribed']);
  });

  it('SubscribedForEver: left while it subscribes, it unsubscribes', async () => {
    const log: string[] = [];
    const states: AsyncIterator<number> = latest(
      new Observable<number>(() => {
        log.push('subscribed');
        void states.return?.();
        return () => log.push('unsubscribed');
      }),
    )[Symbol.asyncIterator]();
    expect(await states.next()).toEqual({ done: true, value: undefined });
    expect(log).toEqual(['subscribed', 'unsubscribed']);
  });

  it('asked again while it subscribes, it subscribes once', async () => {
    let subscriptions = 0;
    const states: AsyncIterator<number> = latest(
      new Observable<number>((subscriber) => {
        subscriptions += 1;
        if (subscriptions === 1) void states.next();
        subscriber.complete();
      }),
    )[Symbol.asyncIterator]();
    expect(await states.next()).toEqual({ done: true, value: undefined });
    expect(subscriptions).toBe(1);
  });

  it('two who ask at once both get an answer', async () => {
    const states = latest(concat(of(1), NEVER))[Symbol.asyncIterator]();
    const both = Promise.all([states.next(), states.next()]);
    await states.return?.();
    expect(await both).toEqual([
      { done: false, value: 1 },
      { done: true, value: undefined },
    ]);
  });
});
