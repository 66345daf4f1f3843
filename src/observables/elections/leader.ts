import { distinctUntilChanged, map, type Observable } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { fromNullable, type Option } from '../../backends/shared/option.js';
import type { Contender } from '../holding/contender.js';
import { candidates } from './candidates.js';

/**
 * Emits who leads `election`.
 *
 * Looking never takes part.
 *
 *     output   N--S(a)------S(b)--
 *
 * **Emits** the leader on subscribe (as soon as the store has answered), `none` where nobody stands, then after each
 * change of leader. Never the same leader twice in a row. Silent while disconnected. `toUndefined` makes it the leader
 * itself, or `undefined`; `isSome` asks whether there is one.
 * **Errors** `InvalidName` (thrown at the call), `AuthenticationFailed`, `PermissionDenied`. Never on a lost
 * connection.
 * **Completes** when the backend is closed.
 * **Teardown** stops looking.
 * **Guarantee** not: that it leads at this instant; it did when the store answered. To act as the leader, `campaign`.
 * **Source** tooz `get_leader`, etcd `Election.Observe`.
 *
 * @example
 * leader(backend, 'scheduler').pipe(map(toUndefined)).subscribe((who) => console.log(who?.id ?? 'nobody'));
 */
export function leader(backend: Backend, election: string): Observable<Option<Contender>> {
  return candidates(backend, election).pipe(
    map(([first]) => fromNullable(first)),
    distinctUntilChanged(sameLeader),
  );
}

function sameLeader(a: Option<Contender>, b: Option<Contender>): boolean {
  return a._tag === 'None'
    ? b._tag === 'None'
    : b._tag === 'Some' && a.value.id === b.value.id && a.value.token === b.value.token;
}
