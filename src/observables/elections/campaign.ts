import { concat, defer, distinctUntilChanged, map, type Observable, startWith } from 'rxjs';
import type { Backend, EntryRequest } from '../../backends/backend.js';
import { InvalidOptions } from '../../backends/errors.js';
import { encodePayload } from '../../backends/shared/codec.js';
import { ANYTHING, checkAll, FLAG, integer, number } from '../../backends/shared/expectations.js';
import { checkName } from '../../backends/shared/keys.js';
import { none, type Option, some } from '../../backends/shared/option.js';
import { withData } from '../holding/with-data.js';
import type { Incarnation } from './incarnation.js';
import type { Lead } from './lead.js';
import { reentering } from './reentering.js';
import { type Position, standing } from './standing.js';

/** Options of everything that stands in an election. */
export interface CampaignOptions {
  /**
   * Shown to everybody by `leader` and `candidates`; encoded by the backend's codec, at most 64 KiB. An Observable's values
   * replace each other.
   */
  readonly data?: unknown;
  /**
   * How well this candidate suits, an integer: of those who give one, the greatest is to lead. Whoever waits lets a better one
   * by. A leader hands over to a better one; under `withLeadership`, when its work has come to its end. Equals never change places.
   * Candidates without a priority, and those of other clients, keep their places and lead when their turn comes. Only who gives
   * one follows the line. Default: none.
   */
  readonly priority?: number;
  /**
   * For how long a better one must have been next in line before this leader hands over to it: so a candidate that comes and goes
   * changes nothing. Needs `priority`. Default 0.
   */
  readonly holdDownMs?: number;
  /** A name that stays the same after each start: shown as `identity`, and what `handOver` takes. Default: none. */
  readonly id?: string;
  /**
   * Removes whoever stands under the same `id`, so that a process that was killed and started again does not wait for its earlier
   * self until the ttl has passed. It stands at the end of the line itself: others who wait lead first. Not guaranteed: that the
   * earlier self leads no longer. If it is not dead, but paused or cut off, both may lead until it hears of it, and only tokens
   * guard what it writes. When it hears, it errors with `CandidateReplaced`. Needs `id`. Default `false`.
   */
  readonly takeOver?: boolean;
}

/**
 * Stands in `election` and emits the grant while elected.
 *
 * Cold: each subscription is a candidate of its own, at the end of the line.
 *
 *     place    w---a------x  w--a--
 *     output   N---S------N-----S--
 *
 * **Emits** `none` on subscribe, `some(grant)` when elected, `none` no later than the local deadline of the session, and when the
 * lead is handed over. Then it stands again by itself, and the next grant has a greater token. `isSome` tells them apart:
 * `{ _tag: 'Some', value }` and `{ _tag: 'None' }`.
 * **Errors** `InvalidName`, `InvalidOptions` (thrown at the call); after a `none`: `InvalidPayload`, `AuthenticationFailed`,
 * `PermissionDenied`, `CandidateReplaced` when a later one of the same `id` takes over, and what `data` errors with. Never on a
 * lost connection.
 * **Completes** after `release()` of the grant; when the backend is closed, or drains; after a `none`. A drain does not wait for what is
 * done because of a value, since nobody can tell what that is. It waits for the work of `withLeadership`.
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
export function campaign(backend: Backend, election: string, options: CampaignOptions = {}): Observable<Option<Lead>> {
  checkCampaign(election, options);
  return asCandidate(backend, election, options, (stand) => {
    const lead$ = stand({}).pipe(map(({ lead }): Option<Lead> => (lead === undefined ? none : some(lead))));
    return concat(reentering(backend, lead$, none), [none]);
  }).pipe(startWith(none), distinctUntilChanged(sameLead));
}

const MAX = 2 ** 31 - 1;

/** Throws `InvalidName` or `InvalidOptions`. */
export function checkCampaign(election: string, options: CampaignOptions): void {
  checkName(election);
  checkAll(options, {
    data: ANYTHING,
    priority: integer(-MAX, MAX),
    holdDownMs: number(0, MAX),
    id: ANYTHING,
    takeOver: FLAG,
  });
  const { priority, holdDownMs, id, takeOver } = options;
  if (id !== undefined) checkName(id);
  if (holdDownMs !== undefined && priority === undefined)
    throw new InvalidOptions(['holdDownMs needs priority: who gives none hands over to nobody']);
  if (takeOver === true && id === undefined)
    throw new InvalidOptions(['takeOver needs id: it takes the place of who stands under the same']);
}

/** One entry after the other, each of the same candidate. */
type StandOnce = (how: Omit<Parameters<typeof standing>[3], 'payload' | 'payload$'>) => Observable<Position>;

/** What a candidate does with its data, and who it is, stays the same through all of its entries. */
export function asCandidate<T>(
  backend: Backend,
  election: string,
  { data, priority, id: identity, ...manners }: CampaignOptions,
  campaigning: (stand: StandOnce) => Observable<T>,
): Observable<T> {
  const encode = (value: unknown): Uint8Array =>
    encodePayload(backend.codec, `election ${JSON.stringify(election)}`, value);
  return withData(backend, data, encode, (payloads: Pick<EntryRequest, 'payload' | 'payload$'>) =>
    defer(() => {
      const header = { priority, ...(identity !== undefined && { identity, owner: backend.newId() }) };
      const incarnation: Incarnation = { header, since: undefined, wasLost: false };
      return campaigning((how) =>
        defer(() => standing(backend, election, incarnation, { ...payloads, ...how }, { ...manners, priority })),
      );
    }),
  );
}

function sameLead(a: Option<Lead>, b: Option<Lead>): boolean {
  return a._tag === 'None' ? b._tag === 'None' : b._tag === 'Some' && a.value.token === b.value.token;
}
