import { none, type Option, some } from 'fp-ts/lib/Option.js';
import { concat, defer, distinctUntilChanged, map, type Observable, startWith } from 'rxjs';
import type { Backend, Place } from '../../backends/backend.js';
import { LeadershipLost } from '../../backends/errors.js';
import { encodePayload } from '../../backends/shared/codec.js';
import { ANYTHING, checkAll } from '../../backends/shared/expectations.js';
import { checkName } from '../../backends/shared/keys.js';
import { type Grant, toldBy } from '../holding/grant.js';
import { reentering } from './reentering.js';

/** Options of `campaign`, `leadership` and `withLeadership`. */
export interface CampaignOptions {
  /** Shown to everybody by `leader` and `candidates`; encoded by the backend's codec, at most 64 KiB. */
  readonly data?: unknown;
}

/**
 * Stands in `election` and emits the grant while elected.
 *
 * Cold: each subscription is a candidate of its own, at the end of the line.
 *
 *     place    w---a------x  w--a--
 *     output   N---S------N-----S--
 *
 * **Emits** `none` on subscribe, `some(grant)` when elected, `none` no later than the local deadline of the session;
 * then it stands again by itself, and the next grant has a greater token. `isSome` tells them apart: `{ _tag: 'Some', value }`
 * and `{ _tag: 'None' }`.
 * **Errors** `InvalidName` (thrown at the call), `InvalidPayload`, `AuthenticationFailed`, `PermissionDenied`; after a
 * `none`. Never on a lost connection.
 * **Completes** when the backend is closed or drains, after a `none`: a drain waits for the work of `withLeadership`, since nobody
 * can tell what is done because of a value.
 * **Teardown** steps down; `backend.close()` waits for it.
 * **Guarantee** not: that a paused process knows; give `grant.token` to the resource for that. But: at most one valid grant
 * while clock rates differ by less than `drift`.
 * **Source** etcd `concurrency.Election`, Curator `LeaderLatch`.
 *
 * @example
 * campaign(backend, 'scheduler', { data: hostname() }).subscribe((now) => {
 *   if (isSome(now)) console.log('leads, with token', now.value.token);
 *   else console.log('leads no longer, or not yet');
 * });
 */
export function campaign(backend: Backend, election: string, options: CampaignOptions = {}): Observable<Option<Grant>> {
  checkCampaign(election, options);
  const place$ = defer(() =>
    backend.enter(
      { kind: 'election', name: election },
      {
        mode: 'exclusive',
        permits: 1,
        payload: payloadOf(backend, election, options),
      },
    ),
  );
  const grant$ = place$.pipe(map((place): Option<Grant> => (place.admitted ? some(leadOf(election, place)) : none)));
  return concat(reentering(grant$, none), [none]).pipe(startWith(none), distinctUntilChanged(sameGrant));
}

/** Throws `InvalidName` or `InvalidOptions`. */
export function checkCampaign(election: string, options: CampaignOptions): void {
  checkName(election);
  checkAll(options, { data: ANYTHING });
}

/** What a candidate stands with. */
export function payloadOf(backend: Backend, election: string, { data }: CampaignOptions): Uint8Array {
  return encodePayload(backend.codec, `election ${JSON.stringify(election)}`, data);
}

/** The grant of a leader. */
function leadOf(election: string, place: Place): Grant {
  const { token, id } = place.entry;
  return {
    name: election,
    token,
    id,
    isValid: () => place.isValid(),
    signal: toldBy(place, ({ reason, cause }) => new LeadershipLost(election, token, reason, cause)).signal,
    draining: place.draining,
    release: () => place.leave(),
  };
}

function sameGrant(a: Option<Grant>, b: Option<Grant>): boolean {
  return a._tag === 'None' ? b._tag === 'None' : b._tag === 'Some' && a.value.token === b.value.token;
}
