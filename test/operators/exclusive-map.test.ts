import { catchError, firstValueFrom, map, NEVER, of, range, Subject, tap, throwError, timer, toArray } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { BackendClosed, type LockLost, type LockNotAcquired } from '../../src/backends/errors.js';
import { memory } from '../../src/backends/memory/index.js';
import { lock } from '../../src/observables/locks/lock.js';
import { exclusiveMap } from '../../src/operators/exclusive-map.js';
import { virtually } from '../support/virtual-time.js';

const first = (item: string): string => item.charAt(0);

describe('exclusiveMap', () => {
  it('does the items of one lock one after the other, and those of others beside', () => {
    virtually(({ process, cold, expectObservable, expectSubscriptions }) => {
      const works = { a: cold('--a--|'), b: cold('--b--|'), A: cold('--A--|') };
      const source = cold('-abA|');
      const output = source.pipe(
        exclusiveMap(
          process(),
          (item: string) => item.toLowerCase(),
          (item) => works[item as 'a'],
        ),
      );
      expectObservable(output).toBe('---ab---A--|');
      expectSubscriptions(works.a.subscriptions).toBe('-^----!');
      expectSubscriptions(works.b.subscriptions).toBe('--^----!');
      expectSubscriptions(works.A.subscriptions).toBe('------^----!');
      expectSubscriptions(source.subscriptions).toBe('^---!');
    });
  });

  it('does nothing of an item whose lock another process holds, and of no other', () => {
    virtually(({ process, cold, at, expectObservable }) => {
      const held = lock(process(), 'a').subscribe();
      at(20, () => held.unsubscribe());
      const project = (item: string, { name }: { name: string }) => of(`${name}:${item}`);
      expectObservable(cold('-(ab)-c|').pipe(exclusiveMap(process(), (item) => item, project))).toBe(
        '-b----c 13ms (a|)',
        { a: 'a:a', b: 'b:b', c: 'c:c' },
      );
    });
  });

  it('OneInLine: stands in line once for each lock, however many items wait', () => {
    virtually(({ process, at, cold, expectObservable }) => {
      const backend = process();
      const entered: string[] = [];
      const counted = {
        ...backend,
        enter: (...all: Parameters<typeof backend.enter>) => {
          entered.push(all[0].name);
          return backend.enter(...all);
        },
      };
      expectObservable(cold('(aaab)').pipe(exclusiveMap(counted, first, () => NEVER)), '^ 9ms !').toBe('');
      at(9, () => expect(entered).toEqual(['a', 'b']));
    });
  });

  it('takes items of no more locks at once than it may', () => {
    virtually(({ process, cold, expectObservable, expectSubscriptions }) => {
      const work = cold('---x|');
      expectObservable(cold('(ab|)').pipe(exclusiveMap(process(), first, () => work, { concurrent: 1 }))).toBe(
        '---x---x|',
      );
      expectSubscriptions(work.subscriptions).toBe(['^---!', '----^---!']);
    });
  });

  it('never, empty, error, early unsubscribe, subscribe again', () => {
    virtually(({ process, cold, expectObservable, expectSubscriptions }) => {
      const backend = process();
      const work = cold('--x-|');
      const mapped = (source: string) => cold(source).pipe(exclusiveMap(backend, first, () => work));
      expectObservable(mapped('-'), '^---!').toBe('');
      expectObservable(mapped('--|')).toBe('--|');
      expectObservable(mapped('-#')).toBe('-#');
      expectSubscriptions(work.subscriptions).toBe(['10ms ^--!', '20ms ^---!', '30ms ^---!']);
      const output = cold('a|').pipe(exclusiveMap(backend, first, () => work));
      expectObservable(output, '10ms ^--!').toBe('12ms x');
      expectObservable(output, '20ms ^').toBe('22ms x-|');
      expectObservable(output, '30ms ^').toBe('32ms x-|');
    });
  });

  it('TeardownBeginsNothing: what ends one ends all, and begins nothing that was in line', () => {
    virtually(({ process, cold, expectObservable, expectSubscriptions }) => {
      const [fails, runs, waits] = [cold('--#'), cold('-x-x-x-'), cold('w')];
      const works = { f: fails, r: runs, w: waits };
      expectObservable(
        cold('(rfw)').pipe(
          exclusiveMap(
            process(),
            (item) => (item === 'r' ? 'one' : 'other'),
            (item) => works[item as 'f'],
          ),
        ),
      ).toBe('-x#');
      expectSubscriptions(runs.subscriptions).toBe('^-!');
      expectSubscriptions(waits.subscriptions).toBe([]);
    });
  });

  it('errors with the loss of a lock, a lock that does not come in time, a name that is none, and what is thrown', () => {
    virtually(({ process, expire, at, cold, expectObservable }) => {
      const backend = process();
      const lost$ = cold('a').pipe(
        exclusiveMap(backend, first, () => NEVER),
        catchError((error: LockLost) => of(`${error._tag}: ${error.lock}, ${error.reason}`)),
      );
      expectObservable(lost$).toBe('10ms (x|)', { x: 'LockLost: a, session lost' });
      at(10, () => expire(backend));
      lock(process(), 'held').subscribe();
      const refused = cold('-h').pipe(
        exclusiveMap(
          process(),
          () => 'held',
          () => NEVER,
          { waitMs: 5 },
        ),
        map(String),
      );
      const tags: string[] = [];
      refused.subscribe({ error: (error: LockNotAcquired) => tags.push(error._tag) });
      cold('a')
        .pipe(
          exclusiveMap(
            process(),
            () => '',
            () => NEVER,
          ),
        )
        .subscribe({ error: ({ _tag }) => tags.push(_tag) });
      at(20, () => expect(tags).toEqual(['InvalidName', 'LockNotAcquired']));
      const broken = (): never => {
        throw 'error';
      };
      expectObservable(cold('-a').pipe(exclusiveMap(process(), broken, () => NEVER))).toBe('-#');
      expectObservable(cold('-b').pipe(exclusiveMap(process(), first, broken))).toBe('-#');
    });
  });

  it('Drain: begins nothing more, lets go of the source, and completes when what has begun is done', async () => {
    const backend = memory();
    const source = new Subject<string>();
    const log: string[] = [];
    const done = firstValueFrom(
      source.pipe(
        exclusiveMap(backend, first, (item) =>
          timer(50).pipe(
            map(() => item),
            tap(() => log.push(item)),
          ),
        ),
        toArray(),
      ),
    );
    const begun = firstValueFrom(lock(backend, 'z'));
    source.next('a1');
    source.next('a2');
    source.next('b1');
    await begun;
    const closing = backend.close({ drainMs: 5_000 });
    expect(source.observed).toBe(false);
    source.next('c1');
    expect(await done).toEqual(['a1', 'b1']);
    expect(log).toEqual(['a1', 'b1']);
    await closing;
  });

  it('Closing: completes, with items in line and items that come', async () => {
    const backend = memory();
    const source = new Subject<string>();
    const done = firstValueFrom(
      source.pipe(
        exclusiveMap(backend, first, () => NEVER),
        toArray(),
      ),
    );
    source.next('a1');
    source.next('a2');
    await firstValueFrom(lock(backend, 'z'));
    const closing = backend.close();
    source.next('a3');
    source.next('b1');
    expect(await done).toEqual([]);
    await closing;
    await expect(firstValueFrom(of('a').pipe(exclusiveMap(backend, first, () => NEVER)))).rejects.toMatchObject({
      _tag: 'BackendClosed',
    });
  });

  it('passes the error of work that tells of another backend that it is closed', () => {
    virtually(({ process, cold, expectObservable }) => {
      const elsewhere = new BackendClosed('elsewhere');
      expectObservable(cold('a').pipe(exclusiveMap(process(), first, () => cold('--#', undefined, elsewhere)))).toBe(
        '--#',
        undefined,
        elsewhere,
      );
    });
  });

  it('keeps the order of hundreds, and leaves nothing behind', async () => {
    const backend = memory();
    const output = range(200).pipe(
      exclusiveMap(
        backend,
        (i) => `lock-${i % 2}`,
        (i) => of(i),
      ),
      toArray(),
    );
    const all = await firstValueFrom(output);
    expect(all.filter((i) => i % 2 === 0)).toEqual(Array.from({ length: 100 }, (_, i) => 2 * i));
    expect(all.filter((i) => i % 2 === 1)).toEqual(Array.from({ length: 100 }, (_, i) => 2 * i + 1));
    await backend.close();
  });

  it('refuses at the call what is none, naming it', () => {
    const backend = memory();
    const refusing = (...violations: readonly string[]) =>
      expect.objectContaining({ violations: violations.map((it) => expect.stringContaining(it)) });
    expect(() => exclusiveMap(null as never, 'a' as never, 1 as never)).toThrow(
      refusing('backend ', 'lockNameOf ', 'project '),
    );
    const nothing = undefined as never;
    expect(() => exclusiveMap(nothing, nothing, nothing)).toThrow(refusing('backend ', 'lockNameOf ', 'project '));
    const map1 = (options: object) => () => exclusiveMap(backend, first, () => NEVER, options);
    for (const concurrent of [0, 1.5, Number.NaN, '2']) expect(map1({ concurrent })).toThrow(refusing('concurrent '));
    expect(map1({ waitMs: -1 })).toThrow(refusing('waitMs '));
    expect(map1({ concurency: 1 })).toThrow(refusing('concurency is not an option'));
    expect(map1(null as never)).toThrow(refusing('options must be an object'));
    expect(map1({ concurrent: Number.POSITIVE_INFINITY })).not.toThrow();
    expect(() => throwError(() => 'unused').pipe(exclusiveMap(backend, first, () => NEVER))).not.toThrow();
  });
});
