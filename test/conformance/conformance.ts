import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
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
import { blockingCases, sessionCases } from './sessions.js';
import { Stage, type Suite } from './stage.js';
import { tokenCases } from './tokens.js';

const caseLimitMs = 60_000;

/**
 * What every backend must do, on a real store. A characteristic that a store does not have is asserted as declared;
 * nothing is skipped, so each backend runs the same number of cases.
 */
export function backendConformance(makeBackend: MakeBackend, quirks: Quirks): void {
  let cases = 0;
  let passed = 0;
  const escaped: unknown[] = [];
  const note = (reason: unknown): void => {
    escaped.push(reason);
  };
  const suite: Suite = {
    quirks,
    hazard: (name, play) => {
      cases++;
      test(name, { timeout: caseLimitMs }, async () => {
        await using stage = new Stage(quirks, makeBackend);
        await play(stage);
        passed++;
      });
    },
  };

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
      describe('groups', () => groupCases(suite));
      describe('elections', () => electionCases(suite));
      describe('locks', () => lockCases(suite));
      describe('tokens', () => tokenCases(suite));
      describe('rosters', () => rosterCases(suite));
      describe('cells', () => cellCases(suite));
      describe('names', () => nameCases(suite));
      describe('payloads', () => payloadCases(suite));
    });

    describe.sequential('alone', () => blockingCases(suite));

    describe.concurrent('in time', () => {
      describe('sessions', () => sessionCases(suite));
      describe('closing', () => closingCases(suite));
      describe('crashes', () => crashCases(suite));
      describe('lost replies', () => lostReplyCases(suite));
    });

    describe.sequential('in the end', () => {
      suite.hazard('it declares what this suite has shown', async (stage) => {
        const { caveats, ...declared } = stage.backend().characteristics;
        expect(isDeepStrictEqual(declared, quirks.declares), JSON.stringify(declared)).toBe(true);
        for (const caveat of caveats) expect(caveat).toMatch(/\.$/);
        const promisesAll = Object.values(declared).every((promise) => promise);
        expect(promisesAll || caveats.length > 0).toBe(true);
      });

      suite.hazard('no rejection has gone unhandled in all of this', async () => {
        await new Promise((settled) => setImmediate(settled));
        expect(escaped).toEqual([]);
      });
    });
  });
}
