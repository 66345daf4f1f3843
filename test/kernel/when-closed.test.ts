import { catchError, defer, finalize, type Observable, repeat, retry, throwError } from 'rxjs';
import { expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import { SessionLost } from '../../src/backends/errors.js';
import { roster, setUp } from './scripted-store.js';

const wish = { mode: 'exclusive', permits: 1, payload: new Uint8Array() } as const;

/** Tries again whatever comes, and keeps a log of it. */
function stubbornly(source: Observable<unknown>, log: string[], failed: () => void = () => undefined): void {
  source
    .pipe(
      catchError((error) => {
        log.push(error.name);
        failed();
        return throwError(() => error);
      }),
      retry(),
    )
    .subscribe({ complete: () => log.push('complete') });
}

const uses: Record<string, (backend: Backend) => Observable<unknown>> = {
  enter: (backend) => backend.enter(roster, wish),
  entries: (backend) => backend.entries(roster),
  evict: (backend) => backend.evict(roster, 'x'),
  register: (backend) => backend.register(roster),
  registered: (backend) => backend.registered('group'),
  cell: (backend) => backend.cell('c'),
  swap: (backend) => backend.swap('c', 'any', undefined),
};

it.each(Object.entries(uses))(
  'a bare retry() of %s after close() comes to its end, and overflows no stack',
  async (_, use) => {
    const { time, store, backend } = setUp();
    await backend.close();
    const log: string[] = [];
    stubbornly(use(backend), log);
    time.pass(10);
    expect([log, store.log, time.pending]).toEqual([['BackendClosed', 'complete'], [], 0]);
  },
);

it('a stay that is lost, begun again by retry() while the backend closes, completes', async () => {
  const { time, store, backend } = setUp();
  store.hold('end');
  const log: string[] = [];
  stubbornly(backend.enter(roster, wish), log, () => void backend.close());
  store.latest.link.error(new SessionLost('s1', 'expired', true));
  await time.passWithPromises(60);
  expect(log).toEqual(['PlaceLost', 'BackendClosed', 'complete']);
});

it('everybody who begins something after close() is told so, also at the same moment', async () => {
  const { time, backend } = setUp();
  await backend.close();
  const log: string[] = [];
  for (let nth = 0; nth < 3; nth++) backend.entries(roster).subscribe({ error: (error) => log.push(error.name) });
  backend
    .entries(roster)
    .subscribe({ error: (error) => log.push(error.name) })
    .unsubscribe();
  expect(log).toEqual([]);
  time.pass(1);
  expect([log, time.pending]).toEqual([['BackendClosed', 'BackendClosed', 'BackendClosed'], 0]);
});

it.each([
  ['retry() and repeat()', <T>(source: Observable<T>) => source.pipe(retry(), repeat())],
  ['repeat() and retry()', <T>(source: Observable<T>) => source.pipe(repeat(), retry())],
])('%s together, which have no end, overflow no stack after close(), and wait ever longer', async (_, forever) => {
  const { time, backend } = setUp();
  await backend.close();
  const begun: number[] = [];
  let ended = 0;
  const use = defer(() => {
    begun.push(time.now());
    return backend.entries(roster);
  }).pipe(
    finalize(() => {
      ended++;
    }),
  );
  const using = forever(use).subscribe();
  time.pass(20_000);
  const pauses = begun.slice(1).map((ms, i) => ms - (begun[i] ?? 0));
  expect(pauses).toEqual([0, 0, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 5_000, 5_000]);
  using.unsubscribe();
  expect([ended - begun.length, time.pending]).toEqual([0, 0]);
});

it('whoever is told so, and turns to another backend that is closed as well, is told so of that one', async () => {
  const [first, second] = [setUp(), setUp()];
  await Promise.all([first.backend.close(), second.backend.close()]);
  const log: string[] = [];
  first.backend
    .entries(roster)
    .pipe(catchError(() => second.backend.entries(roster)))
    .subscribe({ error: (error) => log.push(error.name), complete: () => log.push('complete') });
  first.time.pass(5);
  second.time.pass(5);
  expect(log).toEqual(['BackendClosed']);
});
