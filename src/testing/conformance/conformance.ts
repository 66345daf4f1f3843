import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Case, casesOf, parts } from './parts.js';
import type { MakeBackend, Quirks } from './quirks.js';
import { Stage } from './stage.js';

const caseLimitMs = 60_000;

/**
 * Registers, in vitest, what every backend must do: over a hundred cases, each named after a hazard.
 *
 * `makeBackend` connects to the store that all cases share, `quirks` says in what it differs from other stores: made by
 * `remote` for a store that is reached over TCP, by `withinProcess` for one in this process. A characteristic that a
 * store does not have is asserted as declared; nothing is skipped, so each backend runs the same number of cases.
 *
 * It blocks the event loop in some cases and measures time in others: give it a processor of its own.
 *
 * @example
 * const redis = await startRedis({ appendonly: true, appendfsync: 'always' });
 *
 * backendConformance(
 *   (options) => connect(redis.url, options),
 *   remote({
 *     name: 'redis',
 *     url: redis.url,
 *     ttlMs: 2_000,
 *     connect,
 *     start: () => startRedis({ appendonly: true, appendfsync: 'always' }),
 *     declares: {
 *       distributed: true,
 *       fair: true,
 *       tokensSurviveRestart: true,
 *       tokensSurviveDataLoss: true,
 *       consistentFailover: false,
 *       cells: true,
 *     },
 *   }),
 * );
 */
export function backendConformance(makeBackend: MakeBackend, quirks: Quirks): void {
  let cases = 0;
  let passed = 0;
  const escaped: unknown[] = [];
  const notShown = new Set<string>();
  const note = (reason: unknown): void => {
    escaped.push(reason);
  };
  const register = ({ name, ttlMs, play }: Case): void => {
    cases++;
    test(name, { timeout: caseLimitMs }, async () => {
      await using stage = new Stage({ ...quirks, ttlMs }, makeBackend, (what) => notShown.add(what));
      await play(stage);
      passed++;
    });
  };

  describe(`conformance of ${quirks.name}`, () => {
    beforeAll(() => {
      process.on('unhandledRejection', note);
    });
    afterAll(() => {
      process.off('unhandledRejection', note);
      console.log(`conformance ${quirks.name}: ${cases} cases, ${passed} passed`);
      for (const what of notShown) console.log(`conformance ${quirks.name}: NOT SHOWN ${what}`);
    });

    for (const part of parts) {
      describe[part.runs](part.name, () => {
        for (const [name, group] of Object.entries(part.groups))
          describe(name, () => casesOf(quirks, part, group).forEach(register));
      });
    }

    register({
      name: 'no rejection has gone unhandled in all of this',
      ttlMs: quirks.ttlMs,
      play: async () => {
        await new Promise((settled) => setImmediate(settled));
        expect(escaped).toEqual([]);
      },
    });
  });
}
