import { defer, filter, type MonoTypeOperatorFunction, map, type Observable } from 'rxjs';
import { check, checkGiven, FUNCTION, objectWith, TEXT } from '../backends/shared/expectations.js';
import { RINGS, type Ring, type RingKey } from '../observables/sharing/ring.js';
import { whileTrue } from './while-true.js';

/**
 * Lets those items pass whose key this member owns, and drops all others.
 *
 *     ring     ---R--------S---      in R, one owns b and c; in S, c only
 *     source      -a-b-c----b-c|
 *     output   ------b-c-------c|
 *
 * **Emits** the items that are one's own, by the ring that was told last. The source is subscribed to when there is a ring:
 * until then nobody knows what is whose.
 * **Errors** what the source, `ring$` or `keyOf` errors with; `InvalidOptions` (thrown at the call; where `keyOf` gives no key, or `ring$` no ring).
 * **Completes** when the source completes; when `ring$` completes, as it does when the backend is closed.
 * **Teardown** unsubscribes from the source, then from `ring$`.
 * **Guarantee** not: that each item passes at exactly one member. While members learn of a change one after the other, several
 * let it pass, or none; and one who is cut off keeps its last ring, unless `whileMember` stands behind. What must not be done
 * twice takes `exclusiveMap`. Nor that work stops which an item has begun when its key moves: `whileOwner` does that.
 * **Source** OpenStack Ironic, Nova and Ceilometer over tooz `HashRing`: each polls what it owns.
 *
 * @example
 * const ring$ = hashRing(members(backend, 'workers'));
 * invoices$.pipe(ownedBy(ring$, 'worker-1', (invoice) => invoice.id)).subscribe(({ id }) => console.log(`${id} is mine`));
 */
export function ownedBy<T>(
  ring$: Observable<Ring>,
  id: string,
  keyOf: (item: T) => RingKey,
): MonoTypeOperatorFunction<T> {
  check({ ring$, id, keyOf }, { ring$: objectWith('subscribe'), id: TEXT, keyOf: FUNCTION }, ['ring$', 'id', 'keyOf']);
  return (source) =>
    defer(() => {
      let ring: Ring | undefined;
      const isKnown$ = ring$.pipe(
        map((told) => {
          checkGiven('ring$', RINGS, told);
          ring = told;
          return true;
        }),
      );
      return source.pipe(
        filter((item) => ring?.ownerOf(keyOf(item)) === id),
        whileTrue(isKnown$),
      );
    });
}
