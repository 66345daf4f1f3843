import { blockingCases } from './blocking.js';
import { cellCases } from './cells.js';
import { closingCases } from './closing.js';
import { crashCases } from './crashes.js';
import { declarationCases } from './declarations.js';
import { dividingCases } from './dividing.js';
import { drainingCases } from './draining.js';
import { durabilityCases } from './durability.js';
import { electionCases } from './elections.js';
import { groupCases } from './groups.js';
import { lateRequestCases, posthumousCases } from './late-requests.js';
import { lockCases } from './locks.js';
import { lostReplyCases } from './lost-replies.js';
import { nameCases } from './names.js';
import { payloadCases } from './payloads.js';
import { portCases } from './port.js';
import { proofCases } from './proofs.js';
import type { Quirks } from './quirks.js';
import { repeatedCases } from './repeats.js';
import { rosterCases } from './rosters.js';
import { schedulingCases } from './scheduling.js';
import { sessionCases } from './sessions.js';
import { sharingCases } from './sharing.js';
import type { Suite } from './stage.js';
import { tokenCases } from './tokens.js';

/** Cases that run in one way. */
export interface Part {
  readonly name: string;
  readonly runs: 'concurrent' | 'sequential';
  /** Lifetimes of its sessions, as a multiple of the one in the quirks. */
  readonly lifetimes: number;
  readonly groups: Readonly<Record<string, (suite: Suite) => void>>;
}

/** Where no session is meant to expire, a machine that has other things to do must not make it. */
const patient = 3;
const timely = 1;

/**
 * All cases, in the order in which they run. What needs the processor to itself stands between what asks much of it and
 * what depends on the clock.
 */
export const parts: readonly Part[] = [
  {
    name: 'together',
    runs: 'concurrent',
    lifetimes: patient,
    groups: {
      groups: groupCases,
      elections: electionCases,
      locks: lockCases,
      sharing: sharingCases,
      scheduling: schedulingCases,
      tokens: tokenCases,
      rosters: rosterCases,
      cells: cellCases,
      names: nameCases,
      payloads: payloadCases,
      'lost replies': lostReplyCases,
      'repeated writes': repeatedCases,
      'late requests': lateRequestCases,
      'the port': portCases,
      durability: durabilityCases,
    },
  },
  { name: 'alone', runs: 'sequential', lifetimes: timely, groups: { 'a blocked event loop': blockingCases } },
  {
    name: 'in time',
    runs: 'concurrent',
    lifetimes: timely,
    groups: {
      sessions: sessionCases,
      proofs: proofCases,
      'requests of sessions that have ended': posthumousCases,
      closing: closingCases,
      draining: drainingCases,
      dividing: dividingCases,
      crashes: crashCases,
    },
  },
  { name: 'in the end', runs: 'sequential', lifetimes: timely, groups: { declarations: declarationCases } },
];

/** One case, to be played by itself. */
export interface Case {
  readonly name: string;
  readonly ttlMs: number;
  readonly play: Parameters<Suite['hazard']>[1];
}

/** Those of one group. */
export function casesOf(quirks: Quirks, { lifetimes }: Part, group: (suite: Suite) => void): readonly Case[] {
  const ttlMs = lifetimes * quirks.ttlMs;
  const cases: Case[] = [];
  group({ quirks, hazard: (name, play) => cases.push({ name, ttlMs, play }) });
  return cases;
}
