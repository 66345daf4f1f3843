import { concat, type Observable } from 'rxjs';
import type { Backend, Session } from '../../backends/backend.js';

/** How the backend stands with its store. */
export type Status = Session | { readonly state: 'closed' };

/**
 * Emits how the backend stands with its store.
 *
 *     output   connecting--live---suspended--live----lost-connecting--live---draining--(closed|)
 *
 * **Emits** the current state on subscribe, then each change: `connecting` (with the number of the attempt and why the
 * last one failed), `live` (with `barredMs`: the store was started or lost data just now, and admits nobody for so many
 * milliseconds yet, counted from when that is told), `suspended` (the connection is in doubt; what is held stays held until the
 * deadline), `lost` (everything held was given up; a new session opens by itself), `draining` (`close({ drainMs })`: nothing new
 * starts, and work in progress goes on; a process in this state is not ready for more), `closed`.
 * **Errors** what waiting cannot heal: `AuthenticationFailed`, `PermissionDenied`, `MissingPackage`,
 * `ConnectionRefused` with `failFastMs`.
 * **Completes** after `closed`.
 * **Teardown** stops looking; the session stays.
 * **Guarantee** `lost` comes after all who held something were told.
 * **Source** kazoo `KazooState`, Curator `ConnectionState`.
 *
 * @example
 * status(backend).subscribe(({ state }) => console.log(state));
 */
export function status(backend: Backend): Observable<Status> {
  return concat(backend.session$, [{ state: 'closed' } as const]);
}
