import {
  catchError,
  combineLatest,
  concat,
  connect,
  distinctUntilChanged,
  endWith,
  filter,
  ignoreElements,
  map,
  type Observable,
  startWith,
  takeUntil,
  throwError,
} from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { fromNullable, none, type Option, toUndefined } from '../../backends/shared/option.js';
import { type Contender, sameContender } from '../holding/contender.js';
import { asCandidate, type CampaignOptions, checkCampaign } from './campaign.js';
import { candidates } from './candidates.js';
import type { Lead } from './lead.js';
import { reentering } from './reentering.js';
import type { Position } from './standing.js';

/** Where a candidate stands. */
export type LeadershipState =
  /** The store has not told yet where it stands, or its place was lost or given up just now. */
  | { readonly state: 'unknown' }
  /** It waits in line. */
  | {
      readonly state: 'follower';
      /** Its own, as `candidates` shows it. Changes whenever it stands again. */
      readonly id: string;
      readonly token: bigint;
      /** How many stand before it, the leader among them. */
      readonly ahead: number;
      readonly leader: Option<Contender>;
    }
  /** It leads. */
  | {
      readonly state: 'leader';
      readonly id: string;
      readonly token: bigint;
      readonly grant: Lead;
      /** For how many ms it leads, if the store does not answer meanwhile: asked of the clock, now. */
      remainingMs(): number;
    }
  /** It leads, and the store has not answered for a while: the lead is lost at `untilMs`, unless the store answers before. */
  | {
      readonly state: 'uncertain';
      readonly id: string;
      readonly token: bigint;
      readonly grant: Lead;
      /** By the clock of `backend.scheduler`. */
      readonly untilMs: number;
      /** For how many ms it leads, if the store does not answer meanwhile: asked of the clock, now. */
      remainingMs(): number;
    };

const UNKNOWN: LeadershipState = { state: 'unknown' };

/**
 * Stands in `election` and emits where this candidate stands.
 *
 * Cold: each subscription is a candidate of its own.
 *
 *     place    w----------a--------------x  w--
 *     session  l-----------------s-------x  l--
 *     output   u-f--------l------c-------u---f-     u: unknown   f: follower   l: leader   c: uncertain
 *
 * **Emits** `unknown` on subscribe; `follower`, with its place in line and who leads, and again when one of these changes;
 * `leader`, with the grant; `uncertain` while the store does not answer; `unknown` no later than the local deadline of the
 * session, before anything else is told. Then it stands again by itself. Never the same state twice in a row. While the store does
 * not answer, a follower is told nothing new.
 * **Errors** as `campaign`, after an `unknown`.
 * **Completes** as `campaign`, after an `unknown`.
 * **Teardown** steps down; `backend.close()` waits for it.
 * **Guarantee** that of `campaign`. Not: that those before it in line are there at this instant; they were when the store answered.
 * **Source** Curator `LeaderLatch.getLeader` with `ConnectionState`, client-go `LeaderElector.IsLeader`.
 *
 * @example
 * leadershipState(backend, 'scheduler').subscribe((now) => {
 *   if (now.state === 'follower') console.log(now.ahead, 'before', now.id);
 *   else console.log(now.state);
 * });
 */
export function leadershipState(
  backend: Backend,
  election: string,
  options: CampaignOptions = {},
): Observable<LeadershipState> {
  checkCampaign(election, options);
  const { scheduler } = backend;
  const position$ = asCandidate(backend, election, options, (stand) => reentering(backend, stand({}), undefined));
  const line$ = candidates(backend, election).pipe(startWith([]));
  const isSuspended$ = backend.session$.pipe(
    map(({ state }) => state === 'suspended'),
    startWith(false),
  );
  const state$ = position$.pipe(
    connect((shared$) =>
      combineLatest([shared$.pipe(startWith(undefined)), line$, isSuspended$]).pipe(
        takeUntil(shared$.pipe(ignoreElements(), endWith(0))),
      ),
    ),
    map(([position, line, isSuspended]) => stateOf(position, line, isSuspended, scheduler.now())),
    filter((state) => state !== undefined),
  );
  return concat(state$, [UNKNOWN]).pipe(
    catchError((error) =>
      concat(
        [UNKNOWN],
        throwError(() => error),
      ),
    ),
    distinctUntilChanged(sameState),
  );
}

/** Where it stands, as far as all three agree; `undefined` until they do. */
function stateOf(
  position: Position | undefined,
  line: readonly Contender[],
  isSuspended: boolean,
  nowMs: number,
): LeadershipState | undefined {
  if (position === undefined) return UNKNOWN;
  const { place, lead } = position;
  const { id, token } = place.entry;
  if (lead !== undefined) {
    const leading = { id, token, grant: lead, remainingMs: () => place.remainingMs() };
    return isSuspended
      ? { state: 'uncertain', ...leading, untilMs: nowMs + place.remainingMs() }
      : { state: 'leader', ...leading };
  }
  const ahead = line.findIndex((one) => one.id === id);
  if (ahead < 0) return undefined;
  // Nobody before it, and not admitted: either it will be told in a moment, or the store admits nobody yet.
  if (ahead === 0) return place.barred === true ? { state: 'follower', id, token, ahead, leader: none } : undefined;
  return { state: 'follower', id, token, ahead, leader: fromNullable(line[0]) };
}

function sameState(a: LeadershipState, b: LeadershipState): boolean {
  if (a.state === 'unknown' || b.state === 'unknown') return a.state === b.state;
  if (a.state !== b.state || a.token !== b.token) return false;
  if (a.state !== 'follower' || b.state !== 'follower') return true;
  const [one, other] = [a.leader, b.leader].map(toUndefined);
  // Where nobody leads, nobody is ahead of either.
  return a.ahead === b.ahead && (one === undefined || sameContender(one, other));
}
