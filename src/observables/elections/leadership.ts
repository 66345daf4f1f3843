import { map, type Observable } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { isSome } from '../../backends/shared/option.js';
import { type CampaignOptions, campaign } from './campaign.js';

/**
 * Emits whether this candidate leads `election`.
 *
 * Cold: each subscription is a candidate of its own. To use one candidacy in several places, share it with
 * `share({ connector: () => new ReplaySubject(1), resetOnRefCountZero: true })`; never with bare `shareReplay(1)`, which
 * keeps standing after the last subscriber has gone.
 *
 *     place    w---a------x  w--a--
 *     output   f---t------f-----t--
 *
 * **Emits** `false` on subscribe, `true` when elected, `false` no later than the local deadline of the session: before
 * anybody else can be elected. Also `false` when the lead is handed over to a better one. Then it stands again by itself. Never the
 * same value twice in a row.
 * **Errors** as `campaign`, after a `false`. Never on a lost connection.
 * **Completes** when the backend is closed, or drains; after a `false`. A drain does not wait for what is done because of a value,
 * since nobody can tell what that is. It waits for the work of `withLeadership`.
 * **Teardown** steps down; `backend.close()` waits for it.
 * **Guarantee** not: that a paused or blocked process has run this far; gate its work with `whileLeader`, which asks the
 * clock before each item, and give the token of `campaign` to the resource. But: at most one leader while clock rates
 * differ by less than `drift`.
 * **Source** etcd `concurrency.Election`, Curator `LeaderLatch`, tooz `watch_elected_as_leader`.
 *
 * @example
 * leadership(backend, 'scheduler').subscribe((leads) => console.log(leads ? 'leading' : 'following'));
 */
export function leadership(backend: Backend, election: string, options: CampaignOptions = {}): Observable<boolean> {
  return campaign(backend, election, options).pipe(map(isSome));
}
