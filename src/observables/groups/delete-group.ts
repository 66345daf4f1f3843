import {
  concat,
  concatMap,
  defer,
  EMPTY,
  expand,
  from,
  ignoreElements,
  map,
  mergeMap,
  type Observable,
  of,
} from 'rxjs';
import type { Backend, RosterKey } from '../../backends/backend.js';
import { GroupNotEmpty, GroupNotFound } from '../../backends/errors.js';
import { checkAll, FLAG } from '../../backends/shared/expectations.js';
import { checkName } from '../../backends/shared/keys.js';

/** Options of `deleteGroup`. */
export interface DeleteGroupOptions {
  /**
   * Removes the members first, and whoever else stands in the group: they are told, error with `MembershipLost`, and do not
   * join again by themselves. Default `false`: a group that has members is not deleted.
   */
  readonly force?: boolean;
}

/**
 * Deletes `group`, which must be empty, unless `force` empties it. Cold: each subscription tries once.
 *
 * **Emits** `undefined`, once, when the group is deleted.
 * **Errors** `GroupNotFound`, `GroupNotEmpty`; `InvalidName`, `InvalidOptions` (thrown at the call), `AuthenticationFailed`,
 * `PermissionDenied`, `BackendClosed`; `OutcomeUnknown` where the session is lost while the answer is awaited, or a
 * repeat is refused. Never on a lost connection: then it waits.
 * **Completes** after that.
 * **Teardown** a request under way may still take effect; with `force` members may have been removed by then.
 * **Guarantee** nobody is in a group that is deleted: joining and deleting exclude each other. With `force` it begins anew
 * each time that others have joined before it could delete the group, for as long as that goes on; `GroupNotEmpty` then only
 * where it stays occupied though nobody is seen in it, by what other clients have put there. Not: that the group stays deleted,
 * for whoever joins with `create` creates it again; nor that those removed have been told when this emits.
 * **Source** tooz `delete_group`.
 *
 * @example
 * deleteGroup(backend, 'workers', { force: true }).subscribe({ complete: () => console.log('deleted') });
 */
export function deleteGroup(backend: Backend, group: string, options: DeleteGroupOptions = {}): Observable<void> {
  const roster: RosterKey = { kind: 'group', name: checkName(group) };
  checkAll(options, { force: FLAG });
  const outcome$ = backend.unregister(roster);
  return (options.force === true ? forced(backend, roster, outcome$) : outcome$).pipe(
    map((outcome) => {
      if (outcome === 'absent') throw new GroupNotFound(group);
      if (outcome === 'occupied') throw new GroupNotEmpty(group);
    }),
  );
}

/** More are not asked for at the same time. */
const MOST_AT_ONCE = 64;

type Outcome = 'removed' | 'absent' | 'occupied';

/** Emits how it has come out in the end. */
function forced(backend: Backend, roster: RosterKey, unregistered$: Observable<Outcome>): Observable<Outcome> {
  /** Who joins and leaves between two looks is not seen in either: once that is no sign of anything. */
  let hasSeenNobody = false;
  const round$ = defer(() =>
    backend.look(roster).pipe(
      concatMap((entries) => {
        const isOver = entries.length === 0 && hasSeenNobody;
        hasSeenNobody = entries.length === 0;
        const evicted$ = from(entries).pipe(
          mergeMap(({ id }) => backend.evict(roster, id), MOST_AT_ONCE),
          ignoreElements(),
        );
        return concat(evicted$, unregistered$).pipe(
          map((outcome) => ({ outcome, isOver: isOver || outcome !== 'occupied' })),
        );
      }),
    ),
  );
  return defer(() => {
    hasSeenNobody = false;
    return round$.pipe(
      expand(({ isOver }) => (isOver ? EMPTY : round$)),
      concatMap(({ outcome, isOver }) => (isOver ? of(outcome) : EMPTY)),
    );
  });
}
