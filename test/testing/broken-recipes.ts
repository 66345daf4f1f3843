import type { Option } from 'fp-ts/lib/Option.js';
import { filter, Observable, scan, switchMap, take, timer } from 'rxjs';
import type { Backend, Place } from '../../src/backends/backend.js';
import { encodePayload } from '../../src/backends/shared/codec.js';
import { type Grant, join, lock, members } from '../../src/index.js';
import type { Cluster } from '../../src/testing/simulate.js';
import { candidate, Doings, NAMES, work, worker } from './recipes.js';

/** Three processes that work under a lock in the way given. */
function workers(
  cluster: Cluster,
  once: (backend: Backend, doings: Doings, name: string) => Observable<unknown>,
): Doings {
  const doings = new Doings(cluster);
  for (const name of NAMES) {
    const backend = cluster.backend(name, { maxBackoffMs: 500 });
    cluster.run(name, () => worker(cluster, doings, () => once(backend, doings, name)));
  }
  return doings;
}

/** Forgets no member that it has ever seen. */
export function ghostsKept(cluster: Cluster): Doings {
  const doings = new Doings(cluster);
  for (const name of NAMES) {
    const backend = cluster.backend(name, { maxBackoffMs: 500 });
    join(backend, 'group', { id: name, create: true }).subscribe();
    members(backend, 'group')
      .pipe(scan((seen, ids) => new Set([...seen, ...ids]), new Set<string>()))
      .subscribe((ids) => doings.sees(name, ids, cluster.now()));
  }
  return doings;
}

/** Does not stand again once it has lost the election. */
export function standsOnce(cluster: Cluster): Doings {
  const doings = new Doings(cluster);
  const untilLost = take<Option<Grant>>(3);
  for (const name of NAMES) candidate(cluster.backend(name, { maxBackoffMs: 500 }), doings, name, untilLost);
  return doings;
}

/** Lets go of the lock when the work is told to stop, not when it has stopped: cilium 42920, Kubernetes 139991. */
export function releasedBeforeTeardown(cluster: Cluster): Doings {
  return workers(cluster, (backend, doings, name) =>
    lock(backend, 'lock').pipe(
      switchMap(
        (grant) =>
          new Observable<number>((subscriber) => {
            doings.granted(grant, name);
            doings.working.set(name, grant);
            subscriber.add(timer(50).subscribe(subscriber));
            subscriber.add(() => timer(30).subscribe(() => doings.working.delete(name)));
          }),
      ),
      take(1),
    ),
  );
}

/**
 * Waits until everybody who stood before has gone, and takes itself for the holder without looking whether it still
 * stands there itself: etcd #11456, #19597.
 */
export function notReadAgainAfterWaiting(cluster: Cluster): Doings {
  const roster = { kind: 'lock', name: 'lock' } as const;
  return workers(
    cluster,
    (backend, doings, name) =>
      new Observable<number>((subscriber) => {
        let isWaiting = false;
        const nobodyBefore = ({ entry }: Place): Observable<unknown> =>
          backend.entries(roster).pipe(
            filter((entries) => !entries.some(({ token }) => token < entry.token)),
            take(1),
          );
        const wait = (place: Place): void => {
          const { token, id } = place.entry;
          isWaiting = true;
          subscriber.add(
            nobodyBefore(place)
              .pipe(
                switchMap(() => {
                  isWaiting = false;
                  return work(doings, name, { ...place, name: 'lock', token, id, release: () => place.leave() }, 50);
                }),
              )
              .subscribe(subscriber),
          );
        };
        const payload = encodePayload(backend.codec, 'lock', undefined);
        subscriber.add(
          backend.enter(roster, { mode: 'exclusive', permits: 1, payload }).subscribe({
            next: (place) => {
              if (doings.working.has(name) || isWaiting) return;
              wait(place);
            },
            error: (error) => {
              // What became of its own place while it waited is not looked at.
              if (!isWaiting) subscriber.error(error);
            },
          }),
        );
      }),
  );
}
