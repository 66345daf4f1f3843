import type { Observable, ObservableInput } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { checkWork } from '../../backends/shared/expectations.js';
import type { Grant } from '../holding/grant.js';
import { checkPartition, type PartitionOptions, type SharedItems } from './partition-options.js';
import { sharing } from './sharing.js';

/**
 * Divides `items` among the members of `group`, and does `work` for each that this member owns, as long as it does.
 *
 * Cold: each subscription joins the group, and is a member of its own.
 *
 *     owned    0--12------1--------12---
 *     work(1)     --a---b---a---b---a---
 *     work(2)     ----c---|         ----c-      2 moves: torn down, settled, released; then another has it
 *     output   -----a-c-b---a---b---a---c-
 *
 * `partition` in all else.
 *
 * **Emits** what the work of all items emits, as it comes; of each, nothing after the loss of its item.
 * **Errors** what the work of any item errors with, which ends that of all others; and what `partition` errors with.
 * **Completes** when the backend is closed. When it drains, the member leaves the group, and nothing is begun any more; what has
 * begun goes on to its end, under its lock and in a session that is renewed, and then its item is released. `grant.draining` says
 * that it should come to one. It completes when all has ended.
 * **Teardown** unsubscribes from all work, gives up the items, 32 at a time, and leaves the group. A promise cannot be unsubscribed from, nor
 * the step of an async iterable that is under way: `grant.signal` aborts, and its item is released when it has settled, or the
 * session ends.
 * **Guarantee** that of `partition`. And: when an item moves, the work of its old owner is torn down, and has settled, before the
 * new owner begins; a promise that never settles keeps it. Work that is over lets go of its item; it is not begun again before the
 * item has moved, or the session was lost. Not: that a promise stops when the item moves or is lost: heed `grant.signal`, ask
 * `grant.isValid()` before each step, and give `grant.token` to what is written to.
 * **Source** Kafka consumer groups with cooperative rebalancing, Akka Cluster Sharding's hand-off.
 *
 * @example
 * withPartition(backend, 'workers', ['tenant-1', 'tenant-2', 'tenant-3'], (tenant, { token }) =>
 *   interval(1_000).pipe(concatMap(() => settle({ id: tenant }, token))),
 * ).subscribe();
 */
export function withPartition<T>(
  backend: Backend,
  group: string,
  items: SharedItems,
  work: (item: string, grant: Grant) => ObservableInput<T>,
  options: PartitionOptions = {},
): Observable<T> {
  checkPartition(group, items, options);
  checkWork(work);
  return sharing(backend, group, items, options, { work });
}
