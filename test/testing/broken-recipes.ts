import { filter, Observable, switchMap, take, timer } from 'rxjs';
import type { Backend, Place } from '../../src/backends/backend.js';
import { encodePayload } from '../../src/backends/codec.js';
import { lock } from '../../src/index.js';
import type { Cluster } from '../../src/testing/simulate.js';
import { Doings, NAMES, work, worker } from './recipes.js';

/** Three processes that work under a lock in the way given. */
function workers(
  cluster: Cluster,
  once: (backend: Backend, doings: Doings, name: string) => Observable<unknown>,
): Doings {
  const doings = new Doings();
  for (const name of NAMES) {
    const backend = cluster.backend(name, { maxBackoffMs: 500 });
    cluster.run(name, () => worker(cluster, doings, () => once(backend, doings, name)));
  }
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
                  return work(doings, name, { ...place, name: 'lock', token, id }, 50);
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
