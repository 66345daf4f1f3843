import type { Observable } from 'rxjs';
import type { Place } from '../../backends/backend.js';
import type { LeadershipLost, LockLost, MembershipLost, PlaceLost } from '../../backends/errors.js';
import { isError } from '../../backends/shared/is-error.js';

/**
 * What one holds: a lock, a leadership. It lasts as long as the subscription that it came from, and no longer: what
 * `await firstValueFrom(lock(…))` gives is released already.
 */
export interface Grant {
  /** The lock's or the election's name. */
  readonly name: string;
  /** Fencing token: grows with every grant of this name. A resource that refuses smaller ones is safe from past holders. */
  readonly token: bigint;
  /** This holder's id, as `holders`, `leader` and `candidates` show it. */
  readonly id: string;
  /**
   * Whether work under it may go on, asked of the clock at this moment: it is held, and `signal` has not aborted. Ask before each
   * step that matters. It is `false` as soon as it is given up, also while it is held on until the work has settled.
   */
  isValid(): boolean;
  /**
   * Aborts when it is lost or released. Its `reason` says which: the error that tells the loss (`LockLost`,
   * `LeadershipLost`); `Released`, when the subscription has ended; `BackendClosed`, when the backend is closed.
   */
  readonly signal: AbortSignal;
  /**
   * Aborts when the backend drains or closes: begin no further step, and come to an end. While it drains, what is held
   * stays held, and `signal` does not abort.
   */
  readonly draining: AbortSignal;
  /**
   * Gives it up, at the call: the stream that it came from completes. What is returned tells whether it was held until then,
   * once the store has it, and completes; nobody needs to subscribe to it. Work under it is not waited for.
   */
  release(): Observable<boolean>;
}

/** The loss of what was held, in the word of what it was. */
export type Loss = LockLost | LeadershipLost | MembershipLost;

/** Whether this is how a loss is told, and no end of one's own will. */
export function isLoss(reason: unknown): reason is Loss {
  return ['LockLost', 'LeadershipLost', 'MembershipLost'].some((name) => isError(reason, name));
}

/** Tells the end of a place in a word of its primitive's own, where it is a loss. May be told another end before. */
export function toldBy({ signal }: Place, lossOf: (lost: PlaceLost) => Loss): AbortController {
  const told = new AbortController();
  const tell = (): void => {
    const { reason } = signal;
    told.abort(isError<PlaceLost>(reason, 'PlaceLost') ? lossOf(reason) : reason);
  };
  if (signal.aborted) tell();
  else signal.addEventListener('abort', tell);
  return told;
}
