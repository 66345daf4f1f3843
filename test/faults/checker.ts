import { checkExclusion, checkTokenOrder, checkWork } from './checks/exclusion.js';
import { checkFencing } from './checks/fencing.js';
import { checkKept, type Kept } from './checks/keeping.js';
import { checkLiveness, type Gap } from './checks/liveness.js';
import { checkMembership } from './checks/membership.js';
import { read, type Violation } from './checks/reading.js';
import { checkTicks, type Ticking } from './checks/ticks.js';
import type { HistoryEvent } from './history.js';

export type { Violation };

export interface Limits {
  /** How long a dead member may be seen, and how long a member that has joined may not be. */
  readonly membershipMs: number;
  /** From the end of a holder to the next. */
  readonly nextHolderMs: number;
  /** Default: nothing. */
  readonly kept?: Kept;
}

/** What a history shows. */
export interface Verdict {
  readonly violations: readonly Violation[];
  readonly acquisitions: number;
  readonly workItems: number;
  readonly overlaps: number;
  readonly excusedOverlaps: number;
  readonly longestOverlapMs: number;
  readonly writesAccepted: number;
  readonly writesRefused: number;
  readonly staleWritesAccepted: number;
  readonly viewsSeen: number;
  readonly gaps: readonly Gap[];
  readonly ticking: readonly Ticking[];
}

/** Compares a merged history with the claims. */
export function check(history: readonly HistoryEvent[], limits: Limits): Verdict {
  const reading = read(history);
  const exclusion = checkExclusion(reading);
  const fencing = checkFencing(reading);
  const liveness = checkLiveness(reading, limits.nextHolderMs);
  const ticks = checkTicks(reading, limits.nextHolderMs);
  const violations = [
    ...exclusion.violations,
    ...checkWork(reading),
    ...checkTokenOrder(reading),
    ...fencing.violations,
    ...checkMembership(reading, limits.membershipMs),
    ...liveness.violations,
    ...ticks.violations,
    ...(limits.kept === undefined ? [] : checkKept(reading, limits.kept)),
  ];
  return {
    violations: violations.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0)),
    acquisitions: count(history, 'acquired'),
    workItems: count(history, 'worked'),
    overlaps: exclusion.overlaps,
    excusedOverlaps: exclusion.excusedOverlaps,
    longestOverlapMs: exclusion.longestOverlapMs,
    writesAccepted: fencing.accepted,
    writesRefused: fencing.refused,
    staleWritesAccepted: fencing.staleAccepted,
    viewsSeen: count(history, 'saw'),
    gaps: liveness.gaps,
    ticking: ticks.ticking,
  };
}

function count(history: readonly HistoryEvent[], kind: HistoryEvent['kind']): number {
  return history.reduce((sum, event) => sum + (event.kind === kind ? 1 : 0), 0);
}
