import { isRight } from 'fp-ts/lib/Either.js';
import { describe, expect, test } from 'vitest';
import { timingOf } from '../../../src/backends/shared/options.js';
import { followerPlan, Proof } from '../../../src/backends/zookeeper/proof.js';

const tickTimeMs = 1_000; // beats of a chain are 550 ms apart

/** What each write proves that is sent then and acknowledged 10 ms later. */
function proved(proof: Proof, ...sentMs: readonly number[]): (number | undefined)[] {
  return sentMs.map((sent) => proof.acked({ sentMs: sent, ackedMs: sent + 10 }));
}

describe('what an acknowledgement proves', () => {
  test('on a leader is its own sending', () => {
    const proof = new Proof(0, tickTimeMs);
    proof.roleIs('leader');
    expect(proved(proof, 100, 200)).toEqual([100, 200]);
  });

  test('the first time on whatever connection is that it was made', () => {
    expect(proved(new Proof(7, tickTimeMs), 100, 200)).toEqual([7, undefined]);
  });

  test('on a follower is the last but one, if they are far enough apart', () => {
    expect(proved(new Proof(0, tickTimeMs), 1_000, 2_000, 3_000, 4_000)).toEqual([0, undefined, 1_000, 2_000]);
  });

  test('on a follower is one before that, if they are not', () => {
    expect(proved(new Proof(0, tickTimeMs), 1_000, 1_400, 1_800, 2_200)).toEqual([0, undefined, undefined, 1_000]);
  });

  test('is nothing for writes that were pipelined', () => {
    const proof = new Proof(0, tickTimeMs);
    const acked = [1_000, 2_000, 3_000].map((sentMs) => proof.acked({ sentMs, ackedMs: 3_500 }));
    expect(acked).toEqual([0, undefined, undefined]);
  });

  test('where it is not known what the server is, is as on a follower', () => {
    const proof = new Proof(0, tickTimeMs);
    proof.roleIs('undisclosed');
    expect(proved(proof, 1_000, 2_000, 3_000)).toEqual([0, undefined, 1_000]);
  });
});

describe('the times through a follower', () => {
  const plan = (ttlMs: number): unknown => {
    const timing = timingOf({ ttlMs });
    return isRight(timing) ? followerPlan(timing.right, ttlMs, 2_000) : timing.left;
  };

  test('take one write where there is room, two where it is tight, and are refused where none will do', () => {
    expect(plan(10_000)).toEqual({ twice: false });
    expect(plan(3_000)).toEqual({ twice: true });
    expect(plan(2_000)).toMatch(/renewEveryMs \(400\).*must be less than ttlMs \* \(1 - drift\) - guardMs \(1880\)/);
  });
});
