import { type Observable, takeUntil } from 'rxjs';
import type { Place } from '../../backends/backend.js';
import { MembershipLost, type PlaceLost } from '../../backends/errors.js';
import { aborted } from '../holding/aborted.js';
import { toldBy } from '../holding/grant.js';

/** One's stay in a group. */
export interface Membership {
  readonly group: string;
  readonly id: string;
  /** Grows with each joining. */
  readonly token: bigint;
  /** Whether one is still a member, asked of the clock at this moment. */
  isValid(): boolean;
  /**
   * Aborts when the membership is lost or left. Its `reason` says which: `MembershipLost`; `Released`, when the subscription
   * has ended; `BackendClosed`, when the backend is closed.
   */
  readonly signal: AbortSignal;
  /**
   * Emits the capabilities that the store has: those joined with, then each further value once it is there for everybody. Those
   * overtaken by the next before they were sent are left out. Completes with the membership.
   */
  readonly stored$: Observable<unknown>;
  /**
   * Leaves the group, at the call: the stream completes. What is returned tells whether one was a member until then, once the
   * store has it, and completes; nobody needs to subscribe to it.
   */
  leave(): Observable<boolean>;
}

/** The loss of a membership, in its own word. */
export type LossOf = (lost: PlaceLost) => MembershipLost;

/** The stream errors with what the signal aborts with. */
export function lossFrom(group: string, { entry: { token } }: Place): LossOf {
  let loss: MembershipLost | undefined;
  return ({ reason, cause }) => {
    loss ??= new MembershipLost(group, token, reason, cause);
    return loss;
  };
}

/** The stay that goes with a place. */
export function membershipOf(
  group: string,
  id: string,
  place: Place,
  lossOf: LossOf,
  stored$: Observable<unknown>,
): Membership {
  const { signal } = toldBy(place, lossOf);
  return {
    group,
    id,
    token: place.entry.token,
    isValid: () => place.isValid(),
    signal,
    stored$: stored$.pipe(takeUntil(aborted(signal))),
    leave: () => place.leave(),
  };
}
