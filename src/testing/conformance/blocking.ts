import { campaign, LockLost, leadership, whileLeader } from 'conclave';
import { Subject } from 'rxjs';
import { expect } from 'vitest';
import type { Stage, Suite } from './stage.js';

/** These block the event loop, and run alone. */
export function blockingCases({ hazard }: Suite): void {
  hazard('after a blocked event loop a grant is invalid before any timer has run', async (stage) => {
    const { grant, held } = await stage.hold(stage.backend(), 'ledger');
    expect(grant.isValid()).toBe(true);
    block(stage);
    expect(grant.isValid()).toBe(false);
    expect([grant.signal.aborted, held.hasEnded]).toEqual([true, true]);
    expect(await held.failure('the lock is lost')).toBeInstanceOf(LockLost);
  });

  hazard('after a blocked event loop whileLeader drops what it would have let through', async (stage) => {
    const backend = stage.backend();
    const items = new Subject<string>();
    const grants = stage.probe(campaign(backend, 'chief'));
    const passed = stage.probe(items.pipe(whileLeader(leadership(backend, 'errand'))));
    const leaders = stage.line('errand', 'election');
    await grants.now(({ _tag }) => _tag === 'Some', 'the leadership');
    await leaders.now(({ length }) => length === 1, 'the candidate');
    const sending = setInterval(() => items.next('tick'), 20);
    try {
      await passed.first('an item while leading');
      const before = passed.values.length;
      block(stage);
      items.next('stale');
      expect(passed.values).toHaveLength(before);
      expect(grants.last?._tag).toBe('None');
      await passed.now((_) => passed.values.length > before, 'items again, when it leads again');
      expect(passed.values).not.toContain('stale');
    } finally {
      clearInterval(sending);
    }
  });
}

function block({ options: { ttlMs } }: Stage): void {
  const end = performance.now() + ttlMs * 1.1;
  while (performance.now() < end);
}
