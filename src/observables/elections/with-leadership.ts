import {
  concat,
  defer,
  EMPTY,
  filter,
  map,
  type Observable,
  type ObservableInput,
  of,
  retry,
  takeUntil,
  tap,
  throwError,
} from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { type BackendClosed, LeadershipLost, type PlaceLost } from '../../backends/errors.js';
import { checkWork } from '../../backends/shared/expectations.js';
import { isError } from '../../backends/shared/is-error.js';
import type { Loss } from '../holding/grant.js';
import { guarded } from '../holding/guarded.js';
import { ending, StandAgain, standsAgain, untilAgain } from './again.js';
import { asCandidate, type CampaignOptions, checkCampaign } from './campaign.js';
import type { Lead } from './lead.js';
import type { Position } from './standing.js';

/**
 * Does `work` while this candidate leads `election`: work first, then the lead is given up.
 *
 * Cold: each subscription is a candidate of its own.
 *
 *     place    w---a------x   w--a----------
 *     work         --a--b-       --a--b--|       ended by the loss, and begun again with the next lead
 *     output   ------a--b----------a--b--|
 *
 * **Emits** what the work emits, unless a loss is due by then.
 * **Errors** what the work errors with; else as `campaign`. Never on a lost connection, nor when the lead is lost or handed over:
 * then the work is torn down, at a loss no later than the local deadline of the session, and begun again with a new grant when
 * the candidate is elected again. It stands again when nothing of the work runs any more, so the work never runs twice at once here;
 * a promise that never settles keeps it from standing.
 * **Completes** when the work does, which steps down; after `release()` of the grant; when the backend is closed. A drain waits for
 * work that has begun: the candidate goes on to lead, in a session that is renewed, until the work has come to its end;
 * `grant.draining` says that it should. Work that has not begun is not begun.
 * **Teardown** unsubscribes from the work, then steps down. A promise cannot be unsubscribed from, nor the step of an async
 * iterable that is under way: `grant.signal` aborts, and one steps down when it has settled, or its session ends.
 * **Guarantee** that of `campaign`. Not: that a promise stops when the lead is lost. Ask `grant.isValid()` or heed `grant.signal`, and
 * give `grant.token` to what is written to.
 * **Source** Curator `LeaderSelector` with `autoRequeue`, client-go `RunOrDie`.
 *
 * @example
 * withLeadership(backend, 'scheduler', ({ token, draining }) =>
 *   interval(1_000).pipe(
 *     takeUntil(fromEvent(draining, 'abort')),
 *     concatMap(() => settle(invoice, token)),
 *   ),
 * ).subscribe();
 */
export function withLeadership<T>(
  backend: Backend,
  election: string,
  work: (lead: Lead) => ObservableInput<T>,
  options: CampaignOptions = {},
): Observable<T> {
  checkCampaign(election, options);
  checkWork(work);
  return asCandidate(backend, election, options, (stand) => {
    /** Completes when nothing runs any more of the work that was begun last. */
    let settled$: Observable<never> = EMPTY;
    /** How the lead ended after which one stands again: it was lost, or handed over. */
    let end: Loss | StandAgain | undefined;
    let isAgain = false;
    const lead$ = guarded<T, Lead>(work, {
      acquire: (beforeLeave) => {
        let told: Loss | undefined;
        const lossOf = (token: bigint, { reason, cause }: PlaceLost): Loss => {
          told ??= new LeadershipLost(election, token, reason, cause);
          end = told;
          return told;
        };
        return acquiring(backend, stand({ onDrain: 'work', beforeLeave, lossOf }), ({ token }, error) => {
          end = error instanceof StandAgain ? error : lossOf(token, error);
          return end;
        });
      },
      begun: (rest$) => {
        isAgain = false;
        settled$ = rest$;
      },
    });
    return lead$.pipe(
      retry({
        delay: (error) => {
          if (isAgain && isError<BackendClosed>(error, 'BackendClosed')) return EMPTY;
          if (error !== end) return throwError(() => error);
          isAgain = true;
          const left$ = error instanceof StandAgain ? untilAgain(backend, error) : of(error);
          return concat(settled$, left$).pipe(takeUntil(ending(backend)));
        },
      }),
    );
  });
}

/** Waits for the lead, however often one has to stand again; errors when it ends. */
function acquiring(
  backend: Backend,
  position$: Observable<Position>,
  endOf: (lead: Lead, error: PlaceLost | StandAgain) => unknown,
): Observable<Lead> {
  return defer(() => {
    let held: Lead | undefined;
    return position$.pipe(
      map(({ lead }) => lead),
      filter((lead) => lead !== undefined),
      tap((lead) => {
        held = lead;
      }),
      retry({
        delay: (error) => {
          if (!standsAgain(error)) return throwError(() => error);
          const lead = held;
          return lead === undefined ? untilAgain(backend, error) : throwError(() => endOf(lead, error));
        },
      }),
    );
  });
}
