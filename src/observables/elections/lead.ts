import type { Observable } from 'rxjs';
import type { Grant } from '../holding/grant.js';

/** The grant of a leader. */
export interface Lead extends Grant {
  /**
   * Hands the lead over, at the call, and stands again at the end of the line. Whoever is next leads; a candidate that stands
   * alone leads again, with a greater token. `signal` aborts with `Released`.
   *
   * What is returned emits whether one led until then, once the store has it, and completes; nobody needs to subscribe to it.
   * Under `withLeadership` the work is torn down first, and the lead is given up when the work has settled. Work that has not
   * settled at the call, such as a promise, may itself wait for what is returned: so that emits at once then, before the store
   * has it.
   */
  standDown(): Observable<boolean>;
}
