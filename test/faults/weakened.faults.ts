import { expect, test } from 'vitest';
import { type Cell, playCell, seedOf } from './cell.js';
import { followerCutOffQuietly, leaderDiskStalledQuietly } from './clusters.js';
import { Laboratory } from './laboratory.js';
import { blockedEventLoop, delayedThenCut } from './matrix.js';
import { writeWeakened } from './results.js';
import { type StoreUnderTest, startSingle, startThree } from './stores.js';
import { suspendedOften } from './suspension.js';
import { weakenings } from './weakened/weakenings.mjs';

const seed = seedOf();
const limitMs = 180_000;

const cases: readonly [weakening: string, cell: Cell, start: () => Promise<StoreUnderTest>][] = [
  ['deadline-from-reply', delayedThenCut, () => startSingle('redis')],
  ['validity-by-timer', blockedEventLoop, () => startSingle('redis')],
  ['plain-read-as-heartbeat', followerCutOffQuietly, () => startThree('zookeeper')],
  ['suspensions-uncounted', suspendedOften, () => startSingle('redis')],
  ['keepalive-as-proof', leaderDiskStalledQuietly, () => startThree('etcd')],
];

test.each(cases)(
  'without it, the laboratory finds two holders: %s',
  async (weakening, cell, start) => {
    const laboratory = new Laboratory(await start());
    try {
      laboratory.environment = {
        CONCLAVE_WEAKENED: weakening,
        NODE_OPTIONS: `--import ${new URL('./weakened/register.mjs', import.meta.url)}`,
      };
      const command = `CONCLAVE_FAULTS_SEED=${seed} npm run test:faults -- weakened -t ${weakening}`;
      const { result, violations } = await playCell(laboratory, cell, seed, command);
      const found = violations.filter(({ claim }) => claim === 'exclusion' || claim === 'stale work');
      expect(found.length, `${weakening} should have been found by '${cell.name}'`).toBeGreaterThan(0);
      const first = found[0]?.message ?? '';
      writeWeakened({ weakening, what: weakenings[weakening]?.what ?? weakening, result, first });
    } finally {
      await laboratory[Symbol.asyncDispose]();
    }
  },
  limitMs,
);
