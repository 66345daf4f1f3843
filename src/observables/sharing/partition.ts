import { distinctUntilChanged, Observable, type Subscription } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import type { BackendClosed } from '../../backends/errors.js';
import { isError } from '../../backends/shared/is-error.js';
import { type Grant, isLoss } from '../holding/grant.js';
import { checkPartition, type PartitionOptions, type SharedItems } from './partition-options.js';
import { sharing } from './sharing.js';

/**
 * Divides `items` among the members of `group`, and emits those that this member owns.
 *
 * Cold: each subscription joins the group, and is a member of its own.
 *
 *     members  {a}---{a,b}-------{a}-----
 *     plan     --1,2,3---1,2-------1,2,3-      `settledMs` after each change; here for a
 *     output   0--123-----12--------123--
 *
 * One member, the one that has taken part longest, writes down who shall own what; an item is owned by who holds its lock. So a
 * plan that is late, or made of a wrong view, leaves an item waiting, and never with two owners. All members shall give the same
 * items and options: those count of the one who plans. Everybody in the group has a share, also who has joined it otherwise, and
 * takes nothing: `weights` may give such a one 0.
 *
 * **Emits** an empty map on subscribe, then a map from item to `Grant` for each change of what is owned; what comes at the same
 * moment comes as one. What is about to be given up is missing before its lock is released, and what is lost no later than at the
 * local deadline of the session. After a lost session it is empty, and fills again when the member is back.
 * **Errors** `InvalidOptions`, `InvalidName` (thrown at the call; `InvalidOptions` also where a later list of items is none, where
 * `weights` gives no weight, and where a plan of so many items and members is too large for a cell: 4 bytes for an item and 12 for a
 * member, of 64 KiB); what `join` errors with, `MembershipLost` when the member is removed among it; what `items` and `weights`
 * error with; `NotSupported` where the store has no cells. Never on a lost connection, nor when an item is lost.
 * **Completes** when the backend is closed. When it drains, the member leaves the group and takes nothing any more; who holds an
 * item is told by `grant.draining`, and unsubscribes, or releases each grant, when it is done: the backend waits for that, for
 * `drainMs`.
 * **Teardown** gives up all items, whose locks are released 32 at a time, and leaves the group; `backend.close()` waits for it.
 * **Guarantee** not: that an item always has an owner. It has none from when its owner gives it up until the next one has its lock;
 * and for up to `ttlMs` + `settledMs` + 1 s when its owner has died. Nor that what is done because of a map has come to its end
 * before another owns the item: `withPartition` sees to that. But: at most one owner with a valid grant while clock rates differ
 * by less than `drift`; the token of an item grows with each owner; an item is planned elsewhere only after `settledMs`.
 * **Source** kazoo `SetPartitioner`, tooz `PartitionCoordinator`, Kafka's sticky and cooperative assignors.
 *
 * @example
 * partition(backend, 'workers', ['tenant-1', 'tenant-2', 'tenant-3']).subscribe((mine) => console.log([...mine.keys()]));
 */
export function partition(
  backend: Backend,
  group: string,
  items: SharedItems,
  options: PartitionOptions = {},
): Observable<ReadonlyMap<string, Grant>> {
  checkPartition(group, items, options);
  return new Observable<ReadonlyMap<string, Grant>>((subscriber) => {
    const owned = new Map<string, Grant>();
    let telling: Subscription | undefined;
    const tell = (): void => {
      telling?.unsubscribe();
      telling = undefined;
      if (!subscriber.closed) subscriber.next(new Map(owned));
    };
    /** Where locks are granted by the thousand, not each has a map of its own. */
    const tellSoon = (): void => {
      telling ??= backend.scheduler.schedule(tell);
    };
    /** One is not held any longer. With a session all of it are lost, and when the backend closes all are given up: told as one. */
    const drop = (item: string, grant: Grant): void => {
      if (subscriber.closed || owned.get(item) !== grant) return;
      owned.delete(item);
      const { reason } = grant.signal;
      if (isError<BackendClosed>(reason, 'BackendClosed')) owned.clear();
      else if (!isLoss(reason)) {
        tellSoon();
        return;
      } else if (reason.reason === 'session lost')
        for (const [other, one] of owned) if (!one.isValid()) owned.delete(other);
      tell();
    };
    subscriber.add(() => telling?.unsubscribe());
    tell();
    if (subscriber.closed) return;
    subscriber.add(
      sharing<never>(backend, group, items, options, {
        work: (item, grant) =>
          new Observable<never>(() => {
            owned.set(item, grant);
            tellSoon();
            return () => drop(item, grant);
          }),
        leaving: (given) => {
          const before = owned.size;
          for (const item of given) owned.delete(item);
          if (owned.size < before) tell();
        },
      }).subscribe({
        error: (error) => subscriber.error(error),
        complete: () => {
          if (telling !== undefined) tell();
          subscriber.complete();
        },
      }),
    );
  }).pipe(distinctUntilChanged(sameShare));
}

function sameShare(a: ReadonlyMap<string, Grant>, b: ReadonlyMap<string, Grant>): boolean {
  return a.size === b.size && [...a].every(([item, grant]) => b.get(item) === grant);
}
