import type { Observable } from 'rxjs';
import type { Grant } from '../holding/grant.js';

/** The grant of a leader. */
export interface Lead extends Grant {
  /**
   * Hands the lead over, at the call, and stands again at the end of the line: whoever is next leads, and who stands alone leads
   * again, with a greater token. `signal` aborts with `Released`.
   *
   * What is returned tells whether one led until then, once the store has it, and completes; nobody needs to subscribe to it.
   * Under `withLeadership` the work is torn down first, and the lead is given up when it has settled. Work that has not settled
   * at the call, such as a promise, may be who waits for what is returned: so it is told at once then, and the store has it
   * later.
   */
  standDown(): Observable<boolean>;
}
