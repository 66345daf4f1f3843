import { Subject, tap } from 'rxjs';
import { describe, expect, it, vi } from 'vitest';
import { memory } from '../../src/backends/memory/index.js';
import { onDueCheck, tellDueLosses } from '../../src/backends/validity.js';
import { leadership } from '../../src/observables/elections/leadership.js';
import { ManualTime, QUICK } from '../support/virtual-time.js';

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

  it('asks the sessions of another copy of this library in the process', async () => {
    const time = new ManualTime();
    const backend = memory({ ...QUICK, scheduler: time });
    const log: unknown[] = [];
    const leads$ = leadership(backend, 'e').pipe(tap((leads) => log.push(leads)));
    vi.resetModules();
    const another = await import('../../src/operators/while-true.js');
    const source = new Subject<string>();
    source.pipe(another.whileTrue(leads$)).subscribe((item) => log.push(item));
    source.next('passes');
    time.block(200);
    source.next('does not');
    expect(log).toEqual([false, true, 'passes', false]);
    void backend.close();
    time.pass(1_000);
  });
});
