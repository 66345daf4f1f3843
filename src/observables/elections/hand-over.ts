import { concat, concatMap, defer, EMPTY, map, type Observable, of, retry, take, throwError } from 'rxjs';
import type { Backend } from '../../backends/backend.js';
import { CandidateNotFound, NotSupported, type OutcomeUnknown } from '../../backends/errors.js';
import { isError } from '../../backends/shared/is-error.js';
import { checkName } from '../../backends/shared/keys.js';
import type { Contender } from '../holding/contender.js';
import { candidates } from './candidates.js';
import { designate } from './designation.js';

/**
 * Has the lead of `election` handed over to one who stands in its line.
 *
 * Whoever names takes no part. It is for elections whose candidates give a `priority`: for these, the one that is named counts as the
 * best of all while it stands in line, and a leader hands over to it after its `holdDownMs`. Candidates before it that give no
 * priority lead first, for as long as they like.
 *
 *     line     abc---ac---c--        c is named
 *     output   -----------(c|)
 *
 * **Emits** the one that was named, when it leads.
 * **Errors** `CandidateNotFound` when it does not stand in line, or leaves it before it leads; `InvalidName` (thrown at the
 * call), `NotSupported` by a store without cells, `AuthenticationFailed`, `PermissionDenied`. Never on a lost connection.
 * **Completes** after that; without a value when the backend is closed.
 * **Teardown** stops looking; it stays named.
 * **Guarantee** not: that it leads at this instant; it did when the store answered. Not: that it leads at all, where one before it
 * does not hand over. Only one is named at a time: the latest. An entry's id names it until it stands again; the `id` that it gave
 * to `campaign` names it anew then, while one is subscribed here. Who stands again at this moment may not be found:
 * `CandidateNotFound` heals.
 * **Source** etcd `MoveLeader`, Raft's leadership transfer.
 *
 * @example
 * handOver(backend, 'scheduler', 'pod-1').subscribe((leader) => console.log('leads, with token', leader.token));
 */
export function handOver(backend: Backend, election: string, candidateId: string): Observable<Contender> {
  checkName(election);
  checkName(candidateId);
  if (!backend.characteristics.cells)
    return throwError(() => new NotSupported(backend.name, 'handOver, which needs cells'));
  const name = ({ id, token }: Contender): Observable<never> =>
    designate(backend, election, { id, token }).pipe(
      // To name the same again changes nothing.
      retry({
        delay: (error) => (isError<OutcomeUnknown>(error, 'OutcomeUnknown') ? of(error) : throwError(() => error)),
      }),
    );
  return defer(() => {
    let namedId: string | undefined;
    return candidates(backend, election).pipe(
      map((line) => {
        // Of several under one identity the latest is the one that stays.
        const at = line.findLastIndex(({ id, identity }) => id === candidateId || identity === candidateId);
        const who = line[at];
        if (who === undefined) throw new CandidateNotFound(election, candidateId);
        return { who, leads: at === 0 };
      }),
      concatMap(({ who, leads }) => {
        const isNamed = who.id === namedId;
        namedId = who.id;
        return concat(isNamed ? EMPTY : name(who), leads ? of(who) : EMPTY);
      }),
      take(1),
    );
  });
}
