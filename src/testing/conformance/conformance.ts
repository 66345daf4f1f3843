import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { blockingCases } from './blocking.js';
import { cellCases } from './cells.js';
import { closingCases } from './closing.js';
import { crashCases } from './crashes.js';
import { electionCases } from './elections.js';
import { groupCases } from './groups.js';
import { lockCases } from './locks.js';
import { lostReplyCases } from './lost-replies.js';
import { nameCases } from './names.js';
import { payloadCases } from './payloads.js';
import type { MakeBackend, Quirks } from './quirks.js';
import { rosterCases } from './rosters.js';
import { sessionCases } from './sessions.js';
import { Stage, type Suite } from './stage.js';
import { tokenCases } from './tokens.js';

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
  const note = (reason: unknown): void => {
    escaped.push(reason);
  };
  const suiteWith = (ttlMs: number): Suite => ({
    quirks,
    hazard: (name, play) => {
      cases++;
      test(name, { timeout: caseLimitMs }, async () => {
        await using stage = new Stage({ ...quirks, ttlMs }, makeBackend);
        await play(stage);
        passed++;
      });
    },
  });
  // Where no session is meant to expire, a machine that has other things to do must not make it.
  const patient = suiteWith(3 * quirks.ttlMs);
  const timely = suiteWith(quirks.ttlMs);

  describe(`conformance of ${quirks.name}`, () => {
    beforeAll(() => {
      process.on('unhandledRejection', note);
    });
    afterAll(() => {
      process.off('unhandledRejection', note);
      console.log(`conformance ${quirks.name}: ${cases} cases, ${passed} passed`);
    });

    // What needs the processor to itself stands between what asks much of it and what depends on the clock.
    describe.concurrent('together', () => {
      describe('groups', () => groupCases(patient));
      describe('elections', () => electionCases(patient));
      describe('locks', () => lockCases(patient));
      describe('tokens', () => tokenCases(patient));
      describe('rosters', () => rosterCases(patient));
      describe('cells', () => cellCases(patient));
      describe('names', () => nameCases(patient));
      describe('payloads', () => payloadCases(patient));
      describe('lost replies', () => lostReplyCases(patient));
    });

    describe.sequential('alone', () => blockingCases(timely));

    describe.concurrent('in time', () => {
      describe('sessions', () => sessionCases(timely));
      describe('closing', () => closingCases(timely));
      describe('crashes', () => crashCases(timely));
    });

    describe.sequential('in the end', () => {
      timely.hazard('it declares what this suite has shown', async (stage) => {
        const { caveats, ...declared } = stage.backend().characteristics;
        expect(isDeepStrictEqual(declared, quirks.declares), JSON.stringify(declared)).toBe(true);
        for (const caveat of caveats) expect(caveat).toMatch(/\.$/);
        const promisesAll = Object.values(declared).every((promise) => promise);
        expect(promisesAll || caveats.length > 0).toBe(true);
      });

      timely.hazard('no rejection has gone unhandled in all of this', async () => {
        await new Promise((settled) => setImmediate(settled));
        expect(escaped).toEqual([]);
      });
    });
  });
}
