import { isLeft } from 'fp-ts/lib/Either.js';
import { isSome } from 'fp-ts/lib/Option.js';
import { lastValueFrom, type Observable, of, tap, timer } from 'rxjs';
import { describe, expect, test } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import {
  campaign,
  type Grant,
  join,
  lock,
  semaphore,
  trySemaphore,
  withLeadership,
  withLock,
  withPermit,
} from '../../src/index.js';
import { type Cluster, simulate } from '../../src/testing/simulate.js';

const backends = new WeakMap<Cluster, Map<string, Backend>>();

/** The one backend of a process. */
function backendOf(cluster: Cluster, name: string): Backend {
  const all = backends.get(cluster) ?? new Map<string, Backend>();
  backends.set(cluster, all);
  const backend = all.get(name) ?? cluster.backend(name);
  all.set(name, backend);
  return backend;
}

/** What a stream tells, in words. */
function toldBy(cluster: Cluster, name: string, stream: (backend: Backend) => Observable<unknown>): string[] {
  const told: string[] = [];
  cluster.run(name, () =>
    stream(backendOf(cluster, name)).subscribe({
      next: () => told.push('next'),
      error: (error) => told.push(`${error.name}: ${error.reason}`),
      complete: () => told.push('complete'),
    }),
  );
  return told;
}

/** Its session is open. */
function opened(options: Parameters<typeof simulate>[0], ...names: readonly string[]): Cluster {
  const cluster = simulate({ ttlMs: 5_000, ...options });
  for (const name of names) {
    const backend = backendOf(cluster, name);
    cluster.run(name, () => lock(backend, `other ${name}`).subscribe({ error: () => undefined }));
  }
  cluster.pass(500);
  return cluster;
}

describe('a semaphore, before others agree with it', () => {
  const everyMoment = Array.from({ length: 40 }, (_, i) => 5 * i);

  test.each([0, 5_000])(
    'BegunInDrain: no permit is given once the backend drains or closes (drainMs %i)',
    (drainMs) => {
      for (const atMs of everyMoment) {
        const cluster = opened({ latencyMs: 20 }, 'a');
        let endsMs = Number.POSITIVE_INFINITY;
        const begun: boolean[] = [];
        const work = () => {
          begun.push(cluster.now() < endsMs);
          return timer(10);
        };
        const guarded = toldBy(cluster, 'a', (backend) => withPermit(backend, 'guarded', 2, work));
        const held = toldBy(cluster, 'a', (backend) => semaphore(backend, 'held', 2));
        const tried = toldBy(cluster, 'a', (backend) => trySemaphore(backend, 'tried', 2));
        cluster.pass(atMs);
        cluster.run('a', () => void backendOf(cluster, 'a').close({ drainMs }));
        endsMs = cluster.now();
        cluster.pass(9_000);
        expect(begun, `${atMs} ms`).not.toContain(false);
        for (const told of [guarded, held, tried]) expect(told.join(), `${atMs} ms`).toMatch(/^(next,)?complete$/);
      }
    },
  );

  test('SilentTry: who does not wait, or not for long, is told that it is held, also where a lock waits', () => {
    const cluster = opened({ latencyMs: 5 }, 'a', 'b', 'c');
    const run = (name: string, stream: (backend: Backend) => Observable<unknown>, log: unknown[]) =>
      cluster.run(name, () =>
        stream(backendOf(cluster, name)).subscribe({ next: (now) => log.push(now), error: (error) => log.push(error) }),
      );
    run('a', (backend) => semaphore(backend, 's', 3), []);
    cluster.pass(100);
    run('b', (backend) => lock(backend, 's'), []);
    cluster.pass(100);
    const log: unknown[] = [];
    const asked = [
      (backend: Backend) => trySemaphore(backend, 's', 3),
      (backend: Backend) => semaphore(backend, 's', 3, { waitMs: 0 }),
      (backend: Backend) => semaphore(backend, 's', 3, { waitMs: 300 }),
    ];
    for (const [at, stream] of asked.entries()) {
      run('c', stream, log);
      cluster.pass(at === 2 ? 400 : 100);
      expect(log).toHaveLength(at + 1);
    }
    expect(log[0]).toSatisfy(isLeft);
    const refused = { name: 'LockNotAcquired', reason: 'held', holders: [{ token: expect.any(BigInt) }] };
    expect(log.slice(1)).toMatchObject([refused, refused]);
  });

  test('LostBeforeHeld: a session that is lost meanwhile takes nothing away, and it stands again', () => {
    const cluster = opened({ latencyMs: 20 }, 'a');
    const told = toldBy(cluster, 'a', (backend) => semaphore(backend, 's', 2));
    cluster.pass(50);
    cluster.partition('a', 20_000);
    cluster.pass(40_000);
    expect(told).toEqual(['next']);
  });
});

describe('what is given up', () => {
  /** Goes on for as long as it may, a step each 100 ms. */
  const stepping = (cluster: Cluster, steps: number[]) => async (grant: Pick<Grant, 'isValid'>) => {
    while (grant.isValid()) {
      steps.push(cluster.now());
      await new Promise<void>((done) => cluster.at(100, done));
    }
  };

  test('LoopThatAsks: work that asks isValid() ends when it is unsubscribed from, and the next one follows', async () => {
    const cluster = opened({}, 'a', 'b');
    const steps: number[] = [];
    const working = cluster.run('a', () =>
      withLock(backendOf(cluster, 'a'), 'l', stepping(cluster, steps)).subscribe(),
    );
    await cluster.passWithPromises(450);
    const next = toldBy(cluster, 'b', (backend) => lock(backend, 'l'));
    cluster.run('a', () => working.unsubscribe());
    await cluster.passWithPromises(1_000);
    expect(next).toEqual(['next']);
    expect(steps.length).toBeLessThan(7);
  });

  test('LoopThatAsks: so it does when a better candidate is to lead', async () => {
    const cluster = opened({}, 'a', 'b');
    const steps: number[] = [];
    toldBy(cluster, 'a', (backend) => withLeadership(backend, 'e', stepping(cluster, steps), { priority: 1 }));
    await cluster.passWithPromises(450);
    toldBy(cluster, 'b', (backend) => withLeadership(backend, 'e', () => timer(60_000), { priority: 2 }));
    await cluster.passWithPromises(1_000);
    expect(steps.length).toBeLessThan(9);
  });

  test('ReleasedWithin: what the work tells after it has let go is told, and it completes', async () => {
    const cluster = opened({}, 'a');
    const results: unknown[] = [];
    const work = async (grant: Grant): Promise<number> => {
      await lastValueFrom(grant.release());
      return 5;
    };
    const note = (stream: Observable<unknown>) =>
      cluster.run('a', () =>
        stream.subscribe({
          next: (value) => results.push(value),
          error: (error) => results.push(error.name),
          complete: () => results.push('complete'),
        }),
      );
    note(withLock(backendOf(cluster, 'a'), 'l', work));
    await cluster.passWithPromises(500);
    note(withLeadership(backendOf(cluster, 'a'), 'e', work));
    await cluster.passWithPromises(500);
    note(
      withLock(backendOf(cluster, 'a'), 'm', (grant) => {
        grant.release();
        return of(5);
      }),
    );
    await cluster.passWithPromises(500);
    expect(results.slice(0, 4)).toEqual([5, 'complete', 5, 'complete']);
    expect(results.at(-1)).toBe('complete');
  });

  test('LossSwallowed: who releases when told of the loss has lost it all the same', () => {
    const cluster = opened({}, 'a');
    const told = toldBy(cluster, 'a', (backend) =>
      lock(backend, 'l', { maxHoldMs: 100 }).pipe(
        tap((grant) => grant.signal.addEventListener('abort', () => grant.release().subscribe())),
      ),
    );
    cluster.pass(1_000);
    expect(told).toEqual(['next', 'LockLost: held too long']);
  });

  test('KeptForTooLong: one that was released completes, whatever ends the time for which it is kept', () => {
    const ends: ((cluster: Cluster) => void)[] = [
      () => undefined,
      (cluster) => cluster.expireSession('a'),
      (cluster) => cluster.run('a', () => void backendOf(cluster, 'a').close()),
    ];
    for (const end of ends) {
      const cluster = opened({}, 'a');
      const grants: Grant[] = [];
      const told: string[] = [];
      cluster.run('a', () =>
        lock(backendOf(cluster, 'a'), 'l', { holdAtLeastMs: 8_000, maxHoldMs: 8_000 }).subscribe({
          next: (grant) => grants.push(grant),
          error: (error) => told.push(error.name),
          complete: () => told.push('complete'),
        }),
      );
      cluster.pass(200);
      cluster.run('a', () => grants[0]?.release());
      cluster.pass(200);
      end(cluster);
      cluster.pass(20_000);
      expect(told).toEqual(['complete']);
    }
  });

  test('KeptForTooLong: a lock completes at close(), also one that is kept for longer than its session lives', () => {
    const cluster = opened({}, 'a');
    const told = toldBy(cluster, 'a', (backend) => lock(backend, 'l', { holdAtLeastMs: 60_000 }));
    cluster.pass(200);
    cluster.run('a', () => void backendOf(cluster, 'a').close());
    cluster.pass(20_000);
    expect(told).toEqual(['next', 'complete']);
  });
});

test('ReplacedWhileCutOff: an earlier self that was cut off is told of the later one when it is back', () => {
  const cluster = opened({}, 'a', 'b');
  const earlier = toldBy(cluster, 'a', (backend) => campaign(backend, 'e', { id: 'pod-0' }));
  cluster.pass(200);
  cluster.partition('a', 20_000);
  cluster.pass(500);
  const later: boolean[] = [];
  cluster.run('b', () =>
    campaign(backendOf(cluster, 'b'), 'e', { id: 'pod-0', takeOver: true }).subscribe((now) => later.push(isSome(now))),
  );
  cluster.pass(40_000);
  expect(later).toEqual([false, true]);
  expect(earlier.at(-1)).toMatch(/^CandidateReplaced/);
});

test('JoinedInDrain: who waits for its id gives up when the backend drains', async () => {
  const cluster = opened({}, 'a', 'b');
  const first = cluster.run('a', () => join(backendOf(cluster, 'a'), 'g', { id: 'x', create: true }).subscribe());
  cluster.pass(200);
  const waiting = toldBy(cluster, 'b', (backend) => join(backend, 'g', { id: 'x', ifTaken: 'wait' }));
  cluster.run('b', () => withLock(backendOf(cluster, 'b'), 'l', () => timer(3_000)).subscribe());
  cluster.pass(200);
  cluster.run('b', () => void backendOf(cluster, 'b').close({ drainMs: 10_000 }));
  cluster.pass(200);
  cluster.run('a', () => first.unsubscribe());
  cluster.pass(5_000);
  expect(waiting).toEqual(['complete']);
});
