import type { Backend, Grant } from 'conclave';
import {
  asReadable,
  type Cluster,
  type Exploration,
  explore,
  grantOf,
  leadershipOf,
  type MarbleHelpers,
  marbles,
  membersOf,
  partition,
  pause,
  type Recording,
  record,
  simulate,
} from 'conclave/testing';
import type { Observable } from 'rxjs';
import { expectTypeOf, test } from 'vitest';
import 'conclave/testing/vitest';
import { expect } from 'vitest';

test('simulate', () => {
  const cluster = simulate({ seed: 1, latencyMs: [1, 5], ttlMs: 1_000 });
  expectTypeOf(cluster).toEqualTypeOf<Cluster>();
  expectTypeOf(cluster.backend('a')).toEqualTypeOf<Backend>();
  expectTypeOf(cluster.run('a', () => 7)).toEqualTypeOf<number>();
  // @ts-expect-error only the replies of some requests can be lost
  cluster.loseReply('a', 'open');
  // @ts-expect-error a pause ends
  pause('a');
  partition('a');
  // @ts-expect-error time is the simulation's
  cluster.backend('a', { scheduler: cluster.scheduler });
});

test('marbles', () => {
  expectTypeOf(marbles).returns.toEqualTypeOf<void>();
  expectTypeOf<MarbleHelpers['cluster']>().not.toHaveProperty('pass');
});

test('scripted primitives have the types of what they stand for', () => {
  expectTypeOf(leadershipOf('f-t')).toEqualTypeOf<Observable<boolean>>();
  expectTypeOf(membersOf('a', { a: ['w1'] })).toEqualTypeOf<Observable<ReadonlySet<string>>>();
  expectTypeOf(membersOf('a', { a: ['w1'] }).pipe(asReadable())).toEqualTypeOf<Observable<string>>();
  expectTypeOf(grantOf('--g')).toEqualTypeOf<Observable<Grant>>();
});

test('explore hands the scenario to the invariant', () => {
  const explored = explore(
    { seeds: 1, steps: 1 },
    () => new Set<string>(),
    (state, moment) => {
      expectTypeOf(state).toEqualTypeOf<Set<string>>();
      expectTypeOf(moment.isCalm).toEqualTypeOf<boolean>();
      return state.size === 0;
    },
  );
  expectTypeOf(explored).toEqualTypeOf<Promise<Exploration>>();
});

test('the matcher', () => {
  const seen: Recording = record(leadershipOf('f'), simulate());
  expect(seen).toShowMarbles('f', { f: false });
  // @ts-expect-error marbles are a string
  expect(seen).toShowMarbles(7);
});
