import {
  createGroup,
  deleteGroup,
  evictMember,
  GroupAlreadyExists,
  GroupNotEmpty,
  GroupNotFound,
  groups,
  join,
  MemberAlreadyExists,
  MembershipLost,
  memberMap,
  members,
  membershipChanges,
} from 'conclave';
import { BehaviorSubject, firstValueFrom, lastValueFrom } from 'rxjs';
import { expect } from 'vitest';
import { consistsOf, type Suite } from './stage.js';

export function groupCases({ hazard }: Suite): void {
  hazard(
    'members come complete at once, then one set for each change, none twice, none falsely empty',
    async (stage) => {
      const [here, there] = [stage.backend(), stage.backend()];
      const { joined: a } = await stage.join(here, 'crew', { id: 'a', create: true });
      await stage.join(here, 'crew', { id: 'b' });
      const sets = stage.probe(members(there, 'crew'));
      await sets.first('the first set');
      await stage.join(there, 'crew', { id: 'c' });
      await sets.now(consistsOf('a', 'b', 'c'), 'the set with c');
      a.unsubscribe();
      await sets.now(consistsOf('b', 'c'), 'the set without a');
      expect(sets.values.map((set) => [...set].sort().join(''))).toEqual(['ab', 'abc', 'bc']);
    },
  );

  hazard('under churn the last set is the truth, and one who stays is never reported gone', async (stage) => {
    const backends = [stage.backend(), stage.backend()];
    await stage.join(stage.backend(), 'crew', { id: 'keeper', create: true });
    const sets = stage.probe(members(stage.watcher, 'crew'));
    await sets.first('the first set');
    const leavers = [];
    for (let i = 0; i < 30; i++) {
      const backend = backends[i % 2] as (typeof backends)[0];
      const joined = stage.probe(join(backend, 'crew', { id: `m${i}` }));
      if (i >= 27) await joined.first(`the membership of m${i}`);
      else leavers.push(joined);
      if (i % 3 === 0) leavers.shift()?.unsubscribe();
    }
    for (const one of leavers) one.unsubscribe();
    await sets.now(consistsOf('keeper', 'm27', 'm28', 'm29'), 'the last set');
    expect(sets.values.every((set) => set.has('keeper'))).toBe(true);
    const told = sets.values.map((set) => [...set].sort().join());
    expect(told.filter((set, i) => set === told[i - 1])).toEqual([]);
  });

  hazard('who leaves and joins again at once is seen to leave and to join', async (stage) => {
    const backend = stage.backend();
    const { joined, membership } = await stage.join(backend, 'crew', { id: 'a', create: true });
    const changes = stage.probe(members(stage.watcher, 'crew').pipe(membershipChanges()));
    await changes.first('the first change');
    joined.unsubscribe();
    const again = await stage.join(backend, 'crew', { id: 'a' });
    expect(again.membership.token).toBeGreaterThan(membership.token);
    await changes.ever(({ left }) => left.has('a'), 'the leave');
    await changes.now((change) => change.joined.has('a'), 'the joining after it');
    expect(changes.values.map((change) => [[...change.joined], [...change.left]])).toEqual([
      [['a'], []],
      [[], ['a']],
      [['a'], []],
    ]);
  });

  hazard(
    'who leaves and joins again while the watcher is cut off is still seen to leave and to join, and no set is without it',
    async (stage) => {
      const link = await stage.link();
      const backend = stage.backend();
      const { joined } = await stage.join(backend, 'crew', { id: 'a', create: true });
      await stage.join(backend, 'crew', { id: 'keeper' });
      const watcher = stage.over(link);
      const sets = stage.probe(members(watcher, 'crew'));
      const changes = stage.probe(members(watcher, 'crew').pipe(membershipChanges()));
      await sets.now(consistsOf('a', 'keeper'), 'both members');
      await changes.first('both members, as a change');
      link.cut();
      joined.unsubscribe();
      await stage.join(backend, 'crew', { id: 'a' });
      await link.reset();
      await changes.ever(({ left }) => left.has('a'), 'the leave');
      await changes.now((change) => change.joined.has('a'), 'the joining after it');
      const later = changes.values.slice(changes.values.findIndex(({ left }) => left.has('a')));
      expect(later.map((change) => [[...change.joined], [...change.left]])).toEqual([
        [[], ['a']],
        [['a'], []],
      ]);
      // It reads for itself, and may do so a little later.
      await sets.ever(() => sets.values.length === 2, 'the same ids again');
      expect(sets.values.map((set) => [...set].sort().join())).toEqual(['a,keeper', 'a,keeper']);
    },
  );

  hazard(
    'new capabilities replace the old ones in place: the member does not leave, its token stays',
    async (stage) => {
      const capabilities = new BehaviorSubject<unknown>({ load: 0 });
      const { joined, membership } = await stage.join(stage.backend(), 'crew', { id: 'a', capabilities, create: true });
      const map = stage.probe(memberMap(stage.watcher, 'crew'));
      const sets = stage.probe(members(stage.watcher, 'crew'));
      await sets.first('the set');
      for (let load = 1; load <= 20; load++) capabilities.next({ load });
      const after = await map.now((all) => Object.is(loadOf(all.get('a')?.capabilities), 20), 'the last capabilities');
      expect(after.get('a')).toEqual({ id: 'a', capabilities: { load: 20 }, token: membership.token });
      expect(map.values.every((all) => all.size === 1)).toBe(true);
      expect(sets.values).toHaveLength(1);
      expect(joined.values).toHaveLength(1);
    },
  );

  hazard('a second member under the same id is refused, and the first one is not touched', async (stage) => {
    const { joined, membership } = await stage.join(stage.backend(), 'crew', {
      id: 'a',
      capabilities: 'first',
      create: true,
    });
    const map = stage.probe(memberMap(stage.watcher, 'crew'));
    await map.first('the members');
    const second = stage.probe(join(stage.backend(), 'crew', { id: 'a', capabilities: 'second' }));
    const error = await second.failure('the second is refused');
    expect(error).toBeInstanceOf(MemberAlreadyExists);
    expect(error).toMatchObject({ group: 'crew', memberId: 'a' });
    await stage.inLine('crew', 1, 'group');
    expect(map.values).toEqual([new Map([['a', { id: 'a', capabilities: 'first', token: membership.token }]])]);
    expect(membership.isValid()).toBe(true);
    expect(joined.hasEnded).toBe(false);
  });

  hazard('capabilities are told to be stored when everybody sees them', async (stage) => {
    const capabilities = new BehaviorSubject<unknown>('first');
    const { membership } = await stage.join(stage.backend(), 'crew', { id: 'a', capabilities, create: true });
    const stored = stage.probe(membership.stored$);
    expect(stored.values).toEqual(['first']);
    for (const next of ['second', 'third']) {
      capabilities.next(next);
      await stored.now((each) => each === next, 'what was stored');
      const all = await firstValueFrom(memberMap(stage.backend(), 'crew'));
      expect(all.get('a')?.capabilities).toBe(next);
    }
    expect(await lastValueFrom(membership.leave())).toBe(true);
    await stored.completion('the membership has ended');
    expect(stored.values).toEqual(['first', 'second', 'third']);
  });

  hazard('who leaves is told when nobody sees it any more, and whether it was a member until then', async (stage) => {
    const backend = stage.backend();
    for (let round = 0; round < 5; round++) {
      const { joined, membership } = await stage.join(backend, 'crew', { id: 'a', create: true });
      expect(await lastValueFrom(membership.leave())).toBe(true);
      expect(await firstValueFrom(members(stage.watcher, 'crew'))).toEqual(new Set());
      await joined.completion('it has left');
      expect([membership.isValid(), membership.signal.aborted]).toEqual([false, true]);
      expect(await lastValueFrom(membership.leave())).toBe(true);
    }
    const { joined, membership } = await stage.join(backend, 'crew', { id: 'a' });
    expect(await lastValueFrom(evictMember(stage.watcher, 'crew', 'a'))).toBe(true);
    await joined.failure('it was removed');
    expect(await lastValueFrom(membership.leave())).toBe(false);
  });

  hazard('a member that is removed is told, and does not come back; nobody else is touched', async (stage) => {
    const { joined, membership } = await stage.join(stage.backend(), 'crew', { id: 'a', create: true });
    const other = await stage.join(stage.backend(), 'crew', { id: 'b' });
    for (const [group, id] of [
      ['crew', 'nobody'],
      ['another', 'a'],
    ] as const)
      expect(await lastValueFrom(evictMember(stage.watcher, group, id))).toBe(false);
    expect(await lastValueFrom(evictMember(stage.watcher, 'crew', 'a'))).toBe(true);
    const error = await joined.failure('it was removed');
    expect(error).toBeInstanceOf(MembershipLost);
    expect(error).toMatchObject({ group: 'crew', token: membership.token, reason: 'evicted' });
    expect(membership.signal.reason).toBe(error);
    expect(membership.isValid()).toBe(false);
    expect(await lastValueFrom(evictMember(stage.watcher, 'crew', 'a'))).toBe(false);
    await stage.inLine('crew', 1, 'group');
    expect([joined.values.length, other.joined.hasEnded]).toEqual([1, false]);
    await stage.join(stage.backend(), 'crew', { id: 'a' });
  });

  hazard('who takes its id over is the member, and the earlier one is told and does not fight back', async (stage) => {
    const seen = stage.probe(memberMap(stage.watcher, 'crew'));
    const joining = (capabilities: number) =>
      stage.join(stage.backend(), 'crew', { id: 'a', capabilities, create: true, ifTaken: 'takeOver' });
    let earlier = await joining(0);
    for (const next of [1, 2, 3]) {
      const later = await joining(next);
      expect(later.membership.token).toBeGreaterThan(earlier.membership.token);
      const error = await earlier.joined.failure('its id was taken over');
      expect(error).toMatchObject({ _tag: 'MembershipLost', token: earlier.membership.token, reason: 'evicted' });
      expect([earlier.membership.isValid(), later.membership.isValid()]).toEqual([false, true]);
      earlier = later;
    }
    await stage.inLine('crew', 1, 'group');
    await seen.now((all) => all.get('a')?.capabilities === 3, 'the last one');
    expect(seen.values.every(({ size }) => size <= 1)).toBe(true);
    const told = seen.values.flatMap((all) => all.get('a')?.token ?? []);
    expect(told).toEqual([...told].sort((a, b) => Number(a - b)));
  });

  hazard('of many who take one id over at once, one stays', async (stage) => {
    const backends = [stage.backend(), stage.backend(), stage.backend()];
    await lastValueFrom(createGroup(stage.watcher, 'crew'));
    const joined = Array.from({ length: 9 }, (_, i) =>
      stage.probe(join(backends[i % 3] as (typeof backends)[0], 'crew', { id: 'a', ifTaken: 'takeOver' })),
    );
    const ends = joined.map((one) => one.failure('its id was taken over'));
    await new Promise<void>((resolve) => {
      let left = joined.length - 1;
      for (const end of ends)
        end.then(
          () => --left === 0 && resolve(),
          () => resolve(), // That one has not ended in time: what is expected next says so.
        );
    });
    const [stays, ...others] = joined.filter(({ hasEnded }) => !hasEnded);
    expect(others).toEqual([]);
    const { token, isValid } = (await stays?.first('the membership')) ?? {};
    expect((await stage.entries('crew', 'group')).map((entry) => entry.token)).toEqual([token]);
    expect(isValid?.()).toBe(true);
    for (const [i, end] of ends.entries())
      if (joined[i] !== stays) expect(await end).toMatchObject({ _tag: 'MembershipLost', reason: 'evicted' });
  });

  hazard('who waits for its id joins when the earlier one is gone, and is not seen before', async (stage) => {
    const { joined } = await stage.join(stage.backend(), 'crew', { id: 'a', capabilities: 'first', create: true });
    const seen = stage.probe(memberMap(stage.watcher, 'crew'));
    const waiting = stage.probe(join(stage.backend(), 'crew', { id: 'a', capabilities: 'second', ifTaken: 'wait' }));
    await stage.inLine('crew', 2, 'group');
    const refused = stage.probe(join(stage.backend(), 'crew', { id: 'a' }));
    expect(await refused.failure('the id is taken')).toBeInstanceOf(MemberAlreadyExists);
    await stage.inLine('crew', 2, 'group');
    expect(waiting.values).toEqual([]);
    joined.unsubscribe();
    const { token } = await waiting.first('the membership');
    await seen.now((all) => all.get('a')?.token === token, 'the second');
    expect(new Set(seen.values.map((all) => all.get('a')?.capabilities))).toEqual(new Set(['first', 'second']));
  });

  hazard('a group is deleted by force, with who is in it, and with who joins meanwhile', async (stage) => {
    const backends = [stage.backend(), stage.backend()];
    await stage.join(stage.backend(), 'crew', { id: 'other', create: true });
    const early = Array.from({ length: 6 }, (_, i) =>
      stage.probe(join(backends[i % 2] as (typeof backends)[0], 'crew', { id: `e${i}` })),
    );
    for (const one of early) await one.first('an early member');
    const deleting = stage.probe(deleteGroup(stage.watcher, 'crew', { force: true }));
    const late = Array.from({ length: 6 }, (_, i) =>
      stage.probe(join(backends[i % 2] as (typeof backends)[0], 'crew', { id: `l${i}` })),
    );
    await deleting.completion('the group is deleted');
    for (const one of early)
      expect(await one.failure('it was removed')).toMatchObject({ _tag: 'MembershipLost', reason: 'evicted' });
    for (const one of late)
      expect(await one.failure('it was removed, or found no group')).toMatchObject({
        _tag: expect.stringMatching(/^(MembershipLost|GroupNotFound)$/),
      });
    expect(await stage.entries('crew', 'group')).toEqual([]);
    expect(await firstValueFrom(groups(stage.watcher))).toEqual(new Set());
    const again = stage.probe(deleteGroup(stage.watcher, 'crew', { force: true }));
    expect(await again.failure('no such group')).toBeInstanceOf(GroupNotFound);
  });

  hazard('a group that is required is followed until it is deleted', async (stage) => {
    const backend = stage.backend();
    const missing = stage.probe(members(stage.watcher, 'crew', { required: true }));
    expect(await missing.failure('no such group')).toMatchObject({ _tag: 'GroupNotFound', group: 'crew' });
    await lastValueFrom(createGroup(backend, 'crew'));
    const sets = stage.probe(members(stage.watcher, 'crew', { required: true }));
    expect(await sets.first('the empty set')).toEqual(new Set());
    const { membership } = await stage.join(backend, 'crew', { id: 'a' });
    await sets.now(consistsOf('a'), 'the member');
    await lastValueFrom(membership.leave());
    await lastValueFrom(deleteGroup(backend, 'crew'));
    expect(await sets.failure('the group was deleted')).toBeInstanceOf(GroupNotFound);
    expect(sets.values.map(({ size }) => size).filter((size, i, all) => size !== all[i - 1])).toEqual(
      sets.values.length === 2 ? [0, 1] : [0, 1, 0],
    );
  });

  hazard('joining a group that nobody created fails, and creates nothing', async (stage) => {
    const error = await stage.probe(join(stage.backend(), 'nowhere', { id: 'a' })).failure('no such group');
    expect(error).toBeInstanceOf(GroupNotFound);
    expect(error).toMatchObject({ group: 'nowhere' });
    expect(await firstValueFrom(groups(stage.watcher))).toEqual(new Set());
    expect(await stage.entries('nowhere', 'group')).toEqual([]);
  });

  hazard('of ten who create a group at once, one succeeds', async (stage) => {
    const backends = [stage.backend(), stage.backend(), stage.backend()];
    const tries = Array.from({ length: 10 }, (_, i) =>
      lastValueFrom(createGroup(backends[i % 3] as (typeof backends)[0], 'crew')).then(
        () => 'created',
        (error: unknown) => error,
      ),
    );
    const outcomes = await Promise.all(tries);
    expect(outcomes.filter((outcome) => outcome === 'created')).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome instanceof GroupAlreadyExists)).toHaveLength(9);
  });

  hazard('of ten who join and create at once, all join', async (stage) => {
    const backends = [stage.backend(), stage.backend(), stage.backend()];
    const ids = Array.from({ length: 10 }, (_, i) => `m${i}`);
    await Promise.all(
      ids.map((id, i) => stage.join(backends[i % 3] as (typeof backends)[0], 'crew', { id, create: true })),
    );
    await stage.probe(members(stage.watcher, 'crew')).now(consistsOf(...ids), 'all ten');
  });

  hazard(
    'a group that has members, or does not exist, cannot be deleted; one that is deleted is gone',
    async (stage) => {
      const backend = stage.backend();
      const all = stage.probe(groups(stage.watcher));
      await all.now(consistsOf(), 'no group');
      const absent = await stage.probe(deleteGroup(backend, 'crew')).failure('no such group');
      expect(absent).toBeInstanceOf(GroupNotFound);
      await lastValueFrom(createGroup(backend, 'crew'));
      await all.now(consistsOf('crew'), 'the group');
      const { joined } = await stage.join(stage.backend(), 'crew', { id: 'a' });
      const occupied = await stage.probe(deleteGroup(backend, 'crew')).failure('it has members');
      expect(occupied).toBeInstanceOf(GroupNotEmpty);
      expect(occupied).toMatchObject({ group: 'crew' });
      joined.unsubscribe();
      await stage.inLine('crew', 0, 'group');
      await lastValueFrom(deleteGroup(backend, 'crew'));
      await all.now(consistsOf(), 'the end of the group');
      await lastValueFrom(createGroup(backend, 'crew'));
      await all.now(consistsOf('crew'), 'the group again');
      expect(all.values.map((set) => set.size)).toEqual([0, 1, 0, 1]);
    },
  );

  hazard('joining and deleting at once never leaves a member in a deleted group', async (stage) => {
    const [here, there] = [stage.backend(), stage.backend()];
    for (let round = 0; round < 12; round++) {
      const group = `crew${round}`;
      await lastValueFrom(createGroup(here, group));
      const early = round % 2 === 0 ? undefined : stage.probe(deleteGroup(there, group));
      const joining = stage.probe(join(here, group, { id: 'a' }));
      const deleting = early ?? stage.probe(deleteGroup(there, group));
      const [joined, deleted] = await Promise.all([
        joining.first('the membership').then(
          () => true,
          () => false,
        ),
        deleting.first('the deletion').then(
          () => true,
          () => false,
        ),
      ]);
      expect({ round, joined, deleted }).toEqual({ round, joined: !deleted, deleted });
      expect(await stage.entries(group, 'group')).toHaveLength(joined ? 1 : 0);
      expect((await firstValueFrom(groups(stage.watcher))).has(group)).toBe(joined);
    }
  });

  hazard('looking at a group takes no part in it and does not create it', async (stage) => {
    const sets = stage.probe(members(stage.backend(), 'crew'));
    expect(await sets.first('the empty set')).toEqual(new Set());
    expect(await firstValueFrom(groups(stage.watcher))).toEqual(new Set());
    await stage.join(stage.backend(), 'crew', { id: 'a', create: true });
    await sets.now(consistsOf('a'), 'the set with a');
    expect(sets.values).toHaveLength(2);
  });
}

function loadOf(capabilities: unknown): unknown {
  return typeof capabilities === 'object' && capabilities !== null && 'load' in capabilities
    ? capabilities.load
    : undefined;
}
