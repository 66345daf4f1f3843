import { type MonoTypeOperatorFunction, map, type Observable } from 'rxjs';
import { check, checkGiven, objectWith, TEXT } from '../backends/shared/expectations.js';
import { RING_KEY, RINGS, type Ring, type RingKey } from '../observables/sharing/ring.js';
import { type GateOptions, whileTrue } from './while-true.js';

/**
 * Subscribes to the source while this member owns the key.
 *
 *     owner    a---b-------a---b----      for b
 *     source       -a-b-c-     -a-b-
 *     output   -----a-b-c-------a-b-
 *
 * It stands after what it must stop, as `whileTrue` shows.
 *
 * **Emits** the items of the source.
 * **Errors** what the source or `ring$` errors with; `GateClosed` with `onLoss: 'error'`; `InvalidOptions`
 * (thrown at the call; where `ring$` gives no rings).
 * **Completes** when the source completes; when `ring$` completes, as it does when the backend is closed; with
 * `onLoss: 'complete'`, when the key has moved to another.
 * **Teardown** unsubscribes from the source, then from `ring$`.
 * **Guarantee** not: that the next owner waits until this one has stopped. Members learn of a change one after the other; and one
 * who is cut off keeps its last ring, unless `whileMember` stands behind. Work that must not overlap takes `withLock` inside.
 * **Source** none has it: with tooz's `HashRing` one asks again from time to time.
 *
 * @example
 * const ring$ = hashRing(members(backend, 'workers'));
 * interval(1_000).pipe(whileOwner(ring$, 'worker-1', 'tenant-7')).subscribe(post);
 */
export function whileOwner<T>(
  ring$: Observable<Ring>,
  id: string,
  key: RingKey,
  options: GateOptions = {},
): MonoTypeOperatorFunction<T> {
  check({ ring$, id, key }, { ring$: objectWith('subscribe'), id: TEXT, key: RING_KEY }, ['ring$', 'id', 'key']);
  const isOwner$ = ring$.pipe(
    map((ring) => {
      checkGiven('ring$', RINGS, ring);
      return ring.ownerOf(key) === id;
    }),
  );
  return whileTrue(isOwner$, options);
}
