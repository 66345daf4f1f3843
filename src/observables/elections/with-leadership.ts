import {
  concat,
  concatMap,
  defer,
  EMPTY,
  ignoreElements,
  type Observable,
  type ObservableInput,
  of,
  retry,
  takeUntil,
  takeWhile,
  throwError,
} from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { type BackendClosed, LeadershipLost } from '../../backends/errors.js';
import { isError } from '../../backends/shared/is-error.js';
import { type Contention, contending } from '../holding/contending.js';
import type { Grant, Loss } from '../holding/grant.js';
import { guarded } from '../holding/guarded.js';
import { type CampaignOptions, checkCampaign, payloadOf } from './campaign.js';

/**
 * Does `work` while this candidate leads `election`: work first, then the lead is given up.
 *
 *     place    w---a------x   w--a----------
 *     work         --a--b-       --a--b--|       ended by the loss, and begun again with the next lead
 *     output   ------a--b----------a--b--|
 *
 * Cold: each subscription is a candidate of its own.
 *
 * **Emits** what the work emits, unless a loss is due by then.
 * **Errors** what the work errors with; `InvalidName`, `InvalidOptions` (thrown at the call), `InvalidPayload`,
 * `AuthenticationFailed`, `PermissionDenied`. Never on a lost connection, nor on a lost lead: then the work is torn down,
 * no later than the local deadline of the session, and begun again with a new grant when the candidate is elected again.
 * It stands again when nothing of the work runs any more, so it never runs twice at once here; a promise that never settles
 * keeps it from standing.
 * **Completes** when the work does, which steps down; when the backend is closed. A drain waits for work that has begun: it leads
 * on, in a session that is renewed, until the work has come to its end; `grant.draining` says that it should. Work that has not
 * begun is not begun.
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
  work: (grant: Grant) => ObservableInput<T>,
  options: CampaignOptions = {},
): Observable<T> {
  checkCampaign(election, options);
  return defer(() => {
    /** Completes when nothing runs any more of the work that was begun last. */
    let settled$: Observable<never> = EMPTY;
    let loss: Loss | undefined;
    let isAgain = false;
    const stand = (beforeLeave: () => ObservableInput<unknown>): Observable<Contention> =>
      contending(
        backend,
        { kind: 'election', name: election },
        { payload: payloadOf(backend, election, options), beforeLeave },
        (token, { reason, cause }) => {
          loss = new LeadershipLost(election, token, reason, cause);
          return loss;
        },
      );
    const lead$ = guarded(work, {
      acquire: (beforeLeave) => stand(beforeLeave).pipe(concatMap(({ grant }) => (grant === undefined ? [] : [grant]))),
      begun: (rest$) => {
        isAgain = false;
        settled$ = rest$;
      },
    });
    return lead$.pipe(
      retry({
        delay: (error) => {
          if (isAgain && isError<BackendClosed>(error, 'BackendClosed')) return EMPTY;
          if (error !== loss) return throwError(() => error);
          isAgain = true;
          return concat(settled$, of(loss)).pipe(takeUntil(ending(backend)));
        },
      }),
    );
  });
}

/** Emits when nobody can stand any more: the backend drains, or is closed. Errors with what waiting does not heal. */
function ending(backend: Backend): Observable<number> {
  return concat(
    backend.session$.pipe(
      takeWhile(({ state }) => state !== 'draining'),
      ignoreElements(),
    ),
    of(0),
  );
}
