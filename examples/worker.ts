import { type Backend, campaign, isSome, join, LockLost, retryWithBackoff, whileLeader, withLock } from 'conclave';
import {
  catchError,
  concat,
  interval,
  map,
  merge,
  type Observable,
  of,
  ReplaySubject,
  repeat,
  share,
  skip,
  throwError,
  timer,
} from 'rxjs';
import { type Happening, happening } from './happening.js';

/** What one worker of three does, from subscribing to unsubscribing. */
export function work(backend: Backend, worker: string): Observable<Happening> {
  const told = happening(worker);

  // A member of the group while subscribed; it joins again by itself after its session was lost.
  const joins$ = join(backend, 'workers', { id: worker, create: true }).pipe(map(({ token }) => told('joins', token)));

  // One candidate, however many subscribe to it: shared, and withdrawn when the last one unsubscribes.
  const candidacy$ = campaign(backend, 'scheduler', { data: worker }).pipe(
    share({ connector: () => new ReplaySubject(1), resetOnRefCountZero: true }),
  );
  const leads$ = candidacy$.pipe(
    skip(1), // nobody leads before the first answer
    map((grant) => (isSome(grant) ? told('leads', grant.value.token) : told('leads no longer'))),
  );

  // A stream that runs on one worker at a time: wherever the leader is. The gate stands last, below what it must stop.
  const jobs$ = interval(300).pipe(
    map(() => told('runs a job')),
    whileLeader(candidacy$.pipe(map(isSome))),
  );

  // The lock is held for as long as the inner stream runs, then released; after a pause, once more.
  const turns$ = withLock(backend, 'ledger', ({ token }) =>
    concat(of(told('takes the lock', token)), timer(200).pipe(map(() => told('releases the lock')))),
  ).pipe(
    catchError((error) => (error instanceof LockLost ? of(told('loses the lock')) : throwError(() => error))),
    repeat({ delay: 700 }),
    retryWithBackoff({ tries: 3 }),
  );

  return merge(joins$, leads$, jobs$, turns$);
}
