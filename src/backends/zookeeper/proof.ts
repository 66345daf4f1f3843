import { reliableMs, type Timing } from '../shared/options.js';
import type { Role } from './role.js';

/** More than a round trip to a healthy server: what one beat may come later than the one before it in a chain. */
const ROUND_TRIP_MS = 20;

/** How a follower's acknowledgements come to prove something in time. */
export interface FollowerPlan {
  /** Send a second write after each first: the proof is then younger by one renewal. */
  readonly twice: boolean;
}

/** The leader's ping must have run once between two beats, for the first of them to be known to the leader. */
function apartMs(tickTimeMs: number): number {
  return tickTimeMs / 2 + 50;
}

/**
 * How to renew through a follower, where the chain of three writes makes each proof older than its acknowledgement; or
 * a sentence that says which relation does not hold.
 */
export function followerPlan(timing: Timing, ttlMs: number, tickTimeMs: number): FollowerPlan | string {
  const { renewEveryMs, requestTimeoutMs } = timing;
  const beats = Math.ceil((apartMs(tickTimeMs) + ROUND_TRIP_MS) / renewEveryMs);
  const reliable = reliableMs(timing, ttlMs);
  const fits = (lag: number): boolean => (lag + 1) * renewEveryMs + requestTimeoutMs < reliable;
  if (fits(beats + 1)) return { twice: false };
  if (fits(beats)) return { twice: true };
  return (
    `through a follower, renewals are proved ${beats} renewals late, because they must be more than tickTimeMs / 2 + 50 ` +
    `(${apartMs(tickTimeMs)}) apart: ${beats + 1} * renewEveryMs (${renewEveryMs}) + requestTimeoutMs (${requestTimeoutMs}) ` +
    `must be less than ttlMs * (1 - drift) - guardMs (${reliable}). Raise ttlMs, or set tickTimeMs to the server's tickTime`
  );
}

/** Which relation does not hold for the lifetime that the server granted, where it is less than was asked for. */
export function tooShortFor(timing: Timing, grantedMs: number): string | undefined {
  const { ttlMs, renewEveryMs, requestTimeoutMs } = timing;
  const reliable = reliableMs(timing, grantedMs);
  if (grantedMs >= ttlMs || renewEveryMs + requestTimeoutMs < reliable) return undefined;
  return (
    `the server grants at most ${grantedMs} ms instead of ttlMs (${ttlMs}), and renewEveryMs (${renewEveryMs}) + ` +
    `requestTimeoutMs (${requestTimeoutMs}) must be less than that * (1 - drift) - guardMs (${reliable}). Lower ttlMs, ` +
    `or raise the server's maxSessionTimeout`
  );
}

interface Beat {
  readonly sentMs: number;
  readonly ackedMs: number;
}

/**
 * Turns acknowledged writes on one connection into the moment up to which they prove that the leader knows the session
 * to be alive. The leader touches a session when a connection is made or resumed, so one write acknowledged afterwards
 * proves the sending of the connect request. Later ones prove, on the leader itself, their own sending. A follower tells
 * the leader whom it has heard only with the next ping, and acknowledges meanwhile even if it is cut off; so there it
 * takes three, j, k and l: the leader's ping ran between the ack of j and the sending of k, and l, sent after the ack of
 * k, shows by being committed that the answer to that ping had arrived.
 */
export class Proof {
  #role: Role = 'unanswered';
  #beats: Beat[] = [];
  #connectMs: number | undefined;

  constructor(
    connectSentMs: number,
    private readonly tickTimeMs: number,
  ) {
    this.#connectMs = connectSentMs;
  }

  /** What the server at the other end has said of itself. Until then it may be a follower. */
  roleIs(role: Role): void {
    this.#role = role;
  }

  get isForwarded(): boolean {
    return this.#role !== 'leader' && this.#role !== 'standalone';
  }

  /** Takes an acknowledged write, later than those before; returns what is newly proved, if anything. */
  acked(last: Beat): number | undefined {
    let provedMs = this.#connectMs;
    this.#connectMs = undefined;
    if (!this.isForwarded) return last.sentMs;
    this.#beats.push(last);
    const confirmed = this.#beats.findLast((beat) => beat.ackedMs <= last.sentMs);
    const heard =
      confirmed && this.#beats.findLast((beat) => beat.ackedMs + apartMs(this.tickTimeMs) <= confirmed.sentMs);
    if (heard !== undefined) {
      // Whatever is older will prove nothing more.
      this.#beats = this.#beats.filter((beat) => beat.sentMs >= heard.sentMs);
      provedMs = Math.max(provedMs ?? heard.sentMs, heard.sentMs);
    }
    return provedMs;
  }
}
