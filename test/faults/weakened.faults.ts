import { expect, test } from 'vitest';
import { type Cell, playCell, seedOf } from './cell.js';
import type { Violation } from './checker.js';
import { followerCutOffQuietly, leaderDiskStalledQuietly } from './clusters.js';
import { dividedItems } from './dividing.js';
import { deposedForGood, promotedAfterwards, warmStandby } from './endpoint.js';
import { Laboratory } from './laboratory.js';
import { blockedEventLoop, delayedThenCut } from './matrix.js';
import { flushed, rolledBackOnce } from './redis-history.js';
import { writeWeakened } from './results.js';
import { isChosenWeakening } from './selection.js';
import { type StoreUnderTest, startBehindEndpoint, startSingle, startThree } from './stores.js';
import { suspendedOften } from './suspension.js';
import { weakenings } from './weakened/weakenings.mjs';

const seed = seedOf();
const limitMs = 180_000;

const redis = () => startSingle('redis');
const twoHolders = ['exclusion', 'stale work'] as const;

interface Case {
  readonly weakening: string;
  readonly cell: Cell;
  readonly start: () => Promise<StoreUnderTest>;
  /** What is broken then. Default: two hold. */
  readonly claims?: readonly Violation['claim'][];
}

const cases: readonly Case[] = [
  { weakening: 'deadline-from-reply', cell: delayedThenCut, start: redis },
  { weakening: 'validity-by-timer', cell: blockedEventLoop, start: redis },
  { weakening: 'plain-read-as-heartbeat', cell: followerCutOffQuietly, start: () => startThree('zookeeper') },
  { weakening: 'suspensions-uncounted', cell: suspendedOften, start: redis },
  { weakening: 'keepalive-as-proof', cell: leaderDiskStalledQuietly, start: () => startThree('etcd') },
  { weakening: 'history-by-run-id', cell: flushed, start: redis },
  { weakening: 'history-by-run-id', cell: rolledBackOnce, start: redis },
  { weakening: 'history-by-run-id', cell: promotedAfterwards, start: startBehindEndpoint },
  { weakening: 'history-by-run-id', cell: warmStandby, start: startBehindEndpoint },
  { weakening: 'deposed-server-kept', cell: deposedForGood, start: startBehindEndpoint, claims: ['kept'] },
  { weakening: 'items-owned-by-plan', cell: dividedItems, start: redis },
  { weakening: 'items-moved-unsettled', cell: dividedItems, start: redis },
];

test.each(
  cases
    .filter(({ weakening }) => isChosenWeakening(weakening))
    .map((one) => [`${one.weakening}, ${one.cell.name}`, one] as const),
)(
  'without it, the laboratory finds what it prevents: %s',
  async (_, { weakening, cell, start, claims = twoHolders }) => {
    const laboratory = new Laboratory(await start());
    try {
      laboratory.environment = {
        CONCLAVE_WEAKENED: weakening,
        NODE_OPTIONS: `--import ${new URL('./weakened/register.mjs', import.meta.url)}`,
      };
      const command = `CONCLAVE_FAULTS_SEED=${seed} npm run test:faults -- weakened -t '${weakening}, ${cell.name}'`;
      const { result, violations } = await playCell(laboratory, cell, seed, command);
      const found = violations.filter(({ claim }) => claims.includes(claim));
      expect(found.length, `${weakening} should have been found by '${cell.name}'`).toBeGreaterThan(0);
      const first = found[0]?.message ?? '';
      writeWeakened({ weakening, what: weakenings[weakening]?.what ?? weakening, result, first });
    } finally {
      await laboratory[Symbol.asyncDispose]();
    }
  },
  limitMs,
);
