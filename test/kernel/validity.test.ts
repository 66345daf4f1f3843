import { describe, expect, it } from 'vitest';
import { onDueCheck, tellDueLosses } from '../../src/backends/validity.js';

describe('tellDueLosses', () => {
  it('asks everybody who has registered, and nobody who has taken it back', () => {
    const log: string[] = [];
    const forgetFirst = onDueCheck(() => log.push('first'));
    const forgetSecond = onDueCheck(() => log.push('second'));
    tellDueLosses();
    forgetFirst();
    tellDueLosses();
    forgetSecond();
    tellDueLosses();
    expect(log).toEqual(['first', 'second', 'second']);
  });

  it('asks all, though one takes itself back, or registers another, while it is asked', () => {
    const log: string[] = [];
    const forgets: (() => void)[] = [];
    forgets.push(
      onDueCheck(() => {
        log.push('first');
        forgets[0]?.();
        forgets.push(onDueCheck(() => log.push('late')));
      }),
    );
    forgets.push(onDueCheck(() => log.push('second')));
    tellDueLosses();
    expect(log).toEqual(['first', 'second']);
    for (const forget of forgets) forget();
  });

  it('may be asked in the midst of itself', () => {
    let depth = 0;
    const forget = onDueCheck(() => {
      if (depth++ < 3) tellDueLosses();
    });
    tellDueLosses();
    forget();
    expect(depth).toBe(4);
  });

  it('is forgotten once, however often it is taken back', () => {
    const log: string[] = [];
    const check = (): unknown => log.push('asked');
    const forget = onDueCheck(check);
    forget();
    const forgetAgain = onDueCheck(check);
    tellDueLosses();
    forgetAgain();
    expect(log).toEqual(['asked']);
  });
});
