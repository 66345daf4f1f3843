import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { explore, InvariantBroken } from 'conclave/testing';
import { filter, switchMap, take } from 'rxjs';
import { describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backends/backend.js';
import type { Cluster } from '../../src/testing/simulate.js';
import { ghostsKept, notReadAgainAfterWaiting, releasedBeforeTeardown, standsOnce } from './broken-recipes.js';
import { dividers, whatIsDividedWrongly } from './dividers.js';
import { identities, type Manners, whatIsConfused } from './identities.js';
import {
  allRecipes,
  type Doings,
  exclusion,
  ghosts,
  idleness,
  leaderless,
  leaders,
  OVER_MS,
  preferred,
  unsettled,
  whatIsWrong,
} from './recipes.js';
import { carelessly, isBegunTwice, ledByAll, schedules, whatIsMistimed } from './schedules.js';
import { sharers, type TakePermit, whatIsSharedWrongly } from './sharers.js';

const timeout = 120_000;
const root = fileURLToPath(new URL('../..', import.meta.url));

async function brokenBy(scenario: (cluster: Cluster) => Doings): Promise<InvariantBroken> {
  const outcome = await explore({ seeds: 1_000, steps: 100 }, scenario, (doings, { cluster }) =>
    exclusion(doings, cluster),
  ).catch((error) => error);
  expect(outcome).toBeInstanceOf(InvariantBroken);
  return outcome;
}

/** Looked for once: two tests look at what was found. */
let found: Promise<InvariantBroken> | undefined;
const notReadAgain = (): Promise<InvariantBroken> => {
  found ??= brokenBy(notReadAgainAfterWaiting);
  return found;
};

describe('explore', () => {
  it("finds nothing wrong with conclave's own recipes: exclusion, tokens, ghosts, liveness", { timeout }, async () => {
    const { seeds, faults } = await explore({ seeds: 100, steps: 60, calmMs: OVER_MS }, allRecipes, whatIsWrong);
    expect(seeds).toBe(100);
    expect(faults).toBeGreaterThan(100);
  });

  it('the work of a leader runs nowhere twice at once, and again after each fault', { timeout }, async () => {
    const explored = await explore({ seeds: 100, steps: 60, calmMs: OVER_MS }, leaders, (doings, moment) => {
      return doings.wrong ?? exclusion(doings, moment.cluster) ?? idleness(doings, moment);
    });
    expect(explored.faults).toBeGreaterThan(100);
  });

  it('finds nothing wrong with semaphores, readers and writers, and several locks at once', { timeout }, async () => {
    const options = { seeds: 60, steps: 60, calmMs: OVER_MS };
    const explored = await explore(options, (cluster) => sharers(cluster), whatIsSharedWrongly);
    expect(explored.faults).toBeGreaterThan(60);
  });

  it.each(['sticky', 'round-robin', 'hash'] as const)(
    'finds no item with two owners, nor one without for long, nor work that was not torn down: %s',
    { timeout },
    async (strategy) => {
      const options = { seeds: 20, steps: 50, calmMs: 2 * OVER_MS };
      // Shares by the ring are not even.
      const explored = await explore(
        options,
        (cluster) => dividers(cluster, strategy),
        (divided, moment) => whatIsDividedWrongly(divided, moment, strategy !== 'hash'),
      );
      expect(explored.faults).toBeGreaterThan(20);
    },
  );

  it('catches items that are divided by the plan alone, with a lock that excludes nobody', { timeout }, async () => {
    const unlocked = (backend: Backend, name: string): Backend => ({
      ...backend,
      enter: (roster, wish) =>
        backend.enter(roster.kind === 'lock' ? { ...roster, name: `${roster.name} of ${name}` } : roster, wish),
    });
    const outcome = await explore(
      { seeds: 100, steps: 50 },
      (cluster) => dividers(cluster, 'sticky', unlocked),
      whatIsDividedWrongly,
    ).catch((error) => error);
    expect(outcome).toBeInstanceOf(InvariantBroken);
    expect(outcome.reason).toMatch(/each of . and . owns i/);
  });

  it('catches a permit that is taken by another number than the others go by', { timeout }, async () => {
    const mixed: TakePermit = (backend, work) => {
      const request = { mode: 'exclusive', permits: 3, payload: new Uint8Array(), onDrain: 'work' } as const;
      return backend.enter({ kind: 'lock', name: 'permits' }, request).pipe(
        filter(({ admitted }) => admitted),
        switchMap((place) => work({ ...place, name: 'permits', token: 1n, id: '', release: () => place.leave() })),
        take(1),
      );
    };
    const outcome = await explore(
      { seeds: 100, steps: 60 },
      (cluster) => sharers(cluster, mixed),
      whatIsSharedWrongly,
    ).catch((error) => error);
    expect(outcome).toBeInstanceOf(InvariantBroken);
    expect(outcome.reason).toMatch(/has one of two permits/);
  });

  it('each tick of a schedule is begun once, or again with a greater token, and none is lost that should be kept', {
    timeout,
  }, async () => {
    const options = { seeds: 30, steps: 50, calmMs: OVER_MS + 1_000 };
    const explored = await explore(options, (cluster) => schedules(cluster), whatIsMistimed);
    expect(explored.faults).toBeGreaterThan(30);
  });

  it('ticks are begun once also where all lead, since they are claimed, and a claim that is not compared is caught', {
    timeout,
  }, async () => {
    const options = { seeds: 20, steps: 50 };
    await explore(options, (cluster) => schedules(cluster, ledByAll), isBegunTwice);
    const outcome = await explore(options, (cluster) => schedules(cluster, carelessly), isBegunTwice).catch(
      (error) => error,
    );
    expect(outcome).toBeInstanceOf(InvariantBroken);
    expect(outcome.reason).toMatch(/^tick \d+ was begun by/);
  });

  it('preferred candidates: never two lead, and when all is in order the best one does', { timeout }, async () => {
    const explored = await explore({ seeds: 100, steps: 60, calmMs: OVER_MS }, preferred, (doings, moment) => {
      const { wrong } = doings;
      return wrong ?? exclusion(doings, moment.cluster) ?? idleness(doings, moment) ?? unsettled(doings, moment);
    });
    expect(explored.faults).toBeGreaterThan(100);
  });

  it('of those who stand under one identity the last one stays, and only who was replaced may lead beside another', {
    timeout,
  }, async () => {
    const options = { seeds: 60, steps: 60, calmMs: OVER_MS };
    const explored = await explore(options, (cluster) => identities(cluster), whatIsConfused);
    expect(explored.faults).toBeGreaterThan(60);
  });

  it('catches two who stand under one identity', { timeout }, async () => {
    const neverTakingOver: Manners = (id) => ({ id });
    const outcome = await explore(
      { seeds: 100, steps: 60, calmMs: OVER_MS },
      (cluster) => identities(cluster, neverTakingOver),
      whatIsConfused,
    ).catch((error) => error);
    expect(outcome).toBeInstanceOf(InvariantBroken);
    expect(outcome.reason).toMatch(/still stands as pod-0/);
  });

  it('catches a lock that is released before the work under it has stopped', { timeout }, async () => {
    const { faults, reason, message } = await brokenBy(releasedBeforeTeardown);
    expect(reason).toMatch(/works under the lock/);
    // No fault is needed: each handover, also one in good order, lets the next one in while the last one still works.
    expect(faults).toEqual([]);
    expect(message).toMatch(/without any fault.*\n\n {2}faults {2}-\n {2}broken {2}.*#\n\n/);
  });

  it('catches a lock whose own entry is not read again after waiting', { timeout }, async () => {
    const { faults, reason, message } = await notReadAgain();
    expect(reason).toMatch(/works under the lock/);
    expect(faults.length).toBeGreaterThan(0);
    expect(faults.length).toBeLessThanOrEqual(10);
    for (const { fault } of faults) expect(message).toContain(` = ${fault.kind}(`);
  });

  it('catches members that are seen long after they are gone, and who does not stand again', { timeout }, async () => {
    const options = { seeds: 100, steps: 60, calmMs: OVER_MS };
    const haunted = await explore(options, ghostsKept, (doings, { cluster }) => ghosts(doings, cluster)).catch(
      (error) => error,
    );
    expect(haunted).toBeInstanceOf(InvariantBroken);
    expect(haunted.reason).toMatch(/sees ., which crashed at \d+ ms/);
    expect(haunted.faults).toMatchObject([{ fault: { kind: 'crash' } }]);
    // Found while the run was under way, and no sooner than the guarantee says.
    expect(haunted.atMs).toBeGreaterThan(haunted.faults[0].atMs + OVER_MS);
    const unled = await explore(options, standsOnce, (doings, { cluster }) =>
      cluster.now() > doings.troubles.last() + OVER_MS ? leaderless(doings, cluster) : undefined,
    ).catch((error) => error);
    expect(unled).toBeInstanceOf(InvariantBroken);
    expect(unled.reason).toBe('leaders: none');
    expect(unled.faults.length).toBeGreaterThan(0);
  });

  it.each([
    ['deadline-from-reply', 'exclusion', /leads|works under the lock/],
    ['suspensions-forgotten', 'suspension', /leads|works under the lock/],
    ['releases-counted-twice', 'reopening', /lead on one store/],
    ['work-begun-after-its-end', 'work that has ended is begun', /begins it/],
    ['writes-forgotten', 'a write is repeated and undoes what came since', /come back|has counted/],
    ['writes-forgotten', 'an act is said not to have been done, or done twice', /was made|nobody has evicted/],
    [
      'completed-before-settled',
      'a promise that outlives close() is not told of the loss',
      /at the same time|waits still/,
    ],
    ['gate-opens-unasked', 'a gate opens although the loss is due', /is not valid/],
    ['rejoining-shown-as-absence', 'a set of members is without somebody who is there', /without/],
  ])('catches %s: %s', { timeout }, async (weakening, hazard, reason) => {
    // In a process of its own: the library is weakened as it is loaded.
    const explored = await promisify(execFile)(
      process.execPath,
      ['--import', './test/faults/weakened/register.mjs', '--import', 'tsx', 'test/testing/explore-process.ts', hazard],
      { cwd: root, timeout, env: { ...process.env, CONCLAVE_WEAKENED: weakening } },
    );
    const broken = JSON.parse(explored.stdout);
    expect(broken.seed).toBeLessThanOrEqual(1_000);
    expect(broken.reason).toMatch(reason);
    expect(broken.faults.length).toBeLessThanOrEqual(10);
  });

  it('draws the faults as marbles, and plays the same again from the seed', { timeout }, async () => {
    const broken = await notReadAgain();
    expect(broken.message).toMatch(/^ {2}faults {2}.*\n {2}broken {2}.*#$/m);
    const again = await explore(
      { seeds: 1, seed: broken.seed, steps: 100 },
      notReadAgainAfterWaiting,
      (doings, moment) => exclusion(doings, moment.cluster),
    ).catch((error) => error);
    expect(again.message).toBe(broken.message);
    expect(again.history).toEqual(broken.history);
  });

  it('says what an invariant threw', async () => {
    const outcome = explore({ seeds: 1, steps: 1 }, allRecipes, () => {
      throw new TypeError('no such thing');
    });
    await expect(outcome).rejects.toMatchObject({ reason: 'TypeError: no such thing', faults: [], seed: 1 });
    await expect(outcome).rejects.toHaveProperty('cause.message', 'no such thing');
  });

  it('names each option that cannot be', async () => {
    const bad = { seeds: 0, steps: 1.5, faults: ['earthquake'] as never };
    await expect(explore(bad, allRecipes, () => true)).rejects.toThrow(/seeds.*steps.*faults/s);
    const refused: [object, RegExp][] = [
      [{}, /seeds .* undefined; steps .* undefined/],
      [{ steps: 5 }, /seeds .* undefined/],
      [{ seeds: 1, steps: 5, seed: Number.NaN }, /seed .* NaN/],
      [{ seeds: 1, steps: 5, latencyMs: -1 }, /latencyMs .* -1/],
      [{ seeds: 1, steps: 5, ttlMs: 1 }, /renewEveryMs/],
      [{ seeds: 1, steps: 5, faults: [] }, /faults must not be empty/],
    ];
    for (const [options, words] of refused) {
      const outcome = await explore(options as never, allRecipes, () => true).catch((error) => error);
      expect(outcome).toMatchObject({ name: 'InvalidOptions', message: expect.stringMatching(words) });
    }
    const none = await explore(
      { seeds: 1, steps: 5, maxFaults: 0, stepMs: undefined as never },
      allRecipes,
      () => true,
    );
    expect(none).toMatchObject({ seeds: 1, faults: 0 });
    await expect(explore({ seeds: 1, steps: 5 }, undefined as never, () => true)).rejects.toThrow(/scenario/);
  });

  it('refuses what is async, of which it would never hear', async () => {
    const options = { seeds: 1, steps: 5 };
    await expect(explore(options, allRecipes, (async () => false) as never)).rejects.toThrow(
      /invariant must not be async/,
    );
    await expect(
      explore(
        options,
        async (cluster) => void cluster.backend('a'),
        () => true,
      ),
    ).rejects.toThrow(/scenario must not be async/);
  });
});
