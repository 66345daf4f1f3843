import {
  type Backend,
  type CampaignOptions,
  type Contender,
  campaign,
  candidates,
  handOver,
  leader,
  leadership,
  leadershipState,
} from 'conclave';
import { isSome, none } from 'fp-ts/lib/Option.js';
import { expect } from 'vitest';
import type { Suite } from './stage.js';

const leads = (value: boolean): boolean => value;

export function electionCases({ hazard }: Suite): void {
  hazard('two candidates of one process are two: one leads, and the other follows it', async (stage) => {
    const backend = stage.backend();
    const first = stage.probe(leadership(backend, 'chief'));
    await first.now(leads, 'the first leads');
    const second = stage.probe(leadership(backend, 'chief'));
    await stage.inLine('chief', 2, 'election');
    expect(second.values).toEqual([false]);
    first.unsubscribe();
    await second.now(leads, 'the second leads');
    expect(first.values).toEqual([false, true]);
    expect(second.values).toEqual([false, true]);
  });

  hazard('candidates of several backends lead in the order in which they stood', async (stage) => {
    const backends = [stage.backend(), stage.backend(), stage.backend()];
    const probes = [];
    for (const [i, backend] of backends.entries()) {
      probes.push(stage.probe(campaign(backend, 'chief', { data: i })));
      await stage.inLine('chief', i + 1, 'election');
    }
    const tokens: bigint[] = [];
    for (const [i, probe] of probes.entries()) {
      const grant = await probe.now(isSome, `candidate ${i} leads`);
      if (isSome(grant)) tokens.push(grant.value.token);
      for (const later of probes.slice(i + 1)) expect(later.values).toEqual([none]);
      probe.unsubscribe();
    }
    expect(tokens).toEqual([...tokens].sort((a, b) => Number(a - b)));
    expect(new Set(tokens).size).toBe(3);
  });

  hazard('looking at an election takes no part in it, and tells who leads and who is next', async (stage) => {
    const leaders = stage.probe(leader(stage.watcher, 'chief'));
    const line = stage.probe(candidates(stage.watcher, 'chief'));
    expect(await leaders.first('no leader')).toEqual(none);
    const one = stage.probe(campaign(stage.backend(), 'chief', { data: { host: 'one' } }));
    const grant = await one.now(isSome, 'the first leads');
    stage.probe(campaign(stage.backend(), 'chief'));
    const both = await line.now(({ length }) => length === 2, 'two candidates');
    expect(both.map(({ data }) => data)).toEqual([{ _tag: 'Some', value: { host: 'one' } }, none]);
    expect(isSome(grant) && grant.value.id === both[0]?.id && grant.value.token === both[0]?.token).toBe(true);
    one.unsubscribe();
    await leaders.now((now) => isSome(now) && now.value.id === both[1]?.id, 'the second as leader');
    expect(leaders.values).toHaveLength(3);
  });

  hazard('a leader who stands down and stands again is behind those who waited', async (stage) => {
    const [here, there] = [stage.backend(), stage.backend()];
    const first = stage.probe(leadership(here, 'chief'));
    await first.now(leads, 'the first leads');
    const second = stage.probe(leadership(there, 'chief'));
    await stage.inLine('chief', 2, 'election');
    first.unsubscribe();
    const again = stage.probe(leadership(here, 'chief'));
    await second.now(leads, 'the second leads');
    await stage.inLine('chief', 2, 'election');
    expect(again.values).toEqual([false]);
    second.unsubscribe();
    await again.now(leads, 'the first leads again');
  });

  hazard('a candidate who gives up while waiting leaves nobody behind who would be elected', async (stage) => {
    const [here, there] = [stage.backend(), stage.backend()];
    const first = stage.probe(leadership(here, 'chief'));
    await first.now(leads, 'the first leads');
    const second = stage.probe(leadership(there, 'chief'));
    await stage.inLine('chief', 2, 'election');
    const third = stage.probe(leadership(here, 'chief'));
    await stage.inLine('chief', 3, 'election');
    second.unsubscribe();
    await stage.inLine('chief', 2, 'election');
    expect(third.values).toEqual([false]);
    first.unsubscribe();
    await third.now(leads, 'the third leads', stage.promptMs);
    expect(second.values).toEqual([false]);
  });

  hazard(
    'a leader who stands down is behind those who waited, and what it is told comes when the store has it',
    async (stage) => {
      const first = stage.probe(campaign(stage.backend(), 'chief'));
      const grant = await first.now(isSome, 'the first leads');
      const second = stage.probe(campaign(stage.backend(), 'chief'));
      await stage.inLine('chief', 2, 'election');
      if (!isSome(grant)) throw new Error('nobody leads');
      const told = stage.probe(grant.value.standDown());
      expect(first.last).toEqual(none);
      expect(await told.first('the end of the stand-down')).toBe(true);
      await told.completion('the stand-down');
      const next = await second.now(isSome, 'the second leads', stage.promptMs);
      const line = await stage.inLine('chief', 2, 'election');
      expect(isSome(next) && next.value.id === line[0]?.id).toBe(true);
      expect(isSome(next) && next.value.token > grant.value.token).toBe(true);
      if (isSome(next)) next.value.release();
      await second.completion('the second gives up for good');
      await first.now(isSome, 'the first leads again', stage.promptMs);
    },
  );

  hazard('a preferred candidate comes, leads, goes, and comes back: nobody else leads in between', async (stage) => {
    const leaders = stage.probe(leader(stage.watcher, 'chief'));
    const stand = (backend: Backend, data: string, priority: number) =>
      stage.probe(campaign(backend, 'chief', { data, priority }));
    const [here, there] = [stage.backend(), stage.backend()];
    const spare = stand(here, 'spare', 1);
    await spare.now(isSome, 'the spare one leads');
    stand(here, 'waiting', 1);
    await stage.inLine('chief', 2, 'election');
    for (let round = 0; round < 2; round++) {
      const preferred = stand(there, 'preferred', 2);
      await preferred.now(isSome, `the preferred one leads, round ${round}`, stage.promptMs);
      await stage.inLine('chief', 3, 'election');
      expect(preferred.values).toHaveLength(2);
      preferred.unsubscribe();
      await leaders.now((now) => isSome(now) && dataOf(now.value) !== 'preferred', 'one of the others leads');
    }
    // Who leads changes by its comings and goings only. That nobody stands there may be told in between.
    const told = leaders.values.flatMap((now) => (isSome(now) ? [dataOf(now.value)] : []));
    const other = /^(spare|waiting)$/;
    expect(told).toHaveLength(5);
    for (const [i, who] of told.entries()) expect(who).toMatch(i % 2 === 0 ? other : /^preferred$/);
  });

  hazard('the one that is named leads, though another is preferred, until it goes', async (stage) => {
    const backend = stage.backend();
    const preferred = stage.probe(campaign(backend, 'chief', { data: 'preferred', priority: 2 }));
    await preferred.now(isSome, 'the preferred one leads');
    const named = stage.probe(campaign(stage.backend(), 'chief', { data: 'named', priority: 1, id: 'pod-1' }));
    await stage.inLine('chief', 2, 'election');
    const handing = stage.probe(handOver(stage.watcher, 'chief', 'pod-1'));
    expect(await handing.first('the lead of the named one')).toMatchObject({ identity: 'pod-1', priority: 1 });
    await named.now(isSome, 'the named one is told', stage.promptMs);
    await stage.inLine('chief', 2, 'election');
    named.unsubscribe();
    await preferred.now(isSome, 'the preferred one leads again', stage.promptMs);
    const failing = stage.probe(handOver(stage.watcher, 'chief', 'pod-1'));
    expect(await failing.failure('nobody of that name')).toMatchObject({ _tag: 'CandidateNotFound' });
  });

  hazard('one that takes over leads at once, and its earlier self does not come back', async (stage) => {
    const options: CampaignOptions = { id: 'pod-0', takeOver: true };
    const earlier = stage.probe(campaign(stage.backend(), 'chief', options));
    await earlier.now(isSome, 'the earlier one leads');
    const other = stage.probe(leadership(stage.backend(), 'chief'));
    await stage.inLine('chief', 2, 'election');
    other.unsubscribe();
    await stage.inLine('chief', 1, 'election');
    const later = stage.probe(campaign(stage.backend(), 'chief', options));
    await later.now(isSome, 'the later one leads', stage.promptMs);
    expect(await earlier.failure('it was replaced')).toMatchObject({ _tag: 'CandidateReplaced', candidateId: 'pod-0' });
    expect(earlier.last).toEqual(none);
    expect(later.values).toHaveLength(2);
  });

  hazard('a candidate is told where it stands, and who is before it', async (stage) => {
    const first = stage.probe(leadershipState(stage.backend(), 'chief', { data: 'first' }));
    const leading = await first.now(({ state }) => state === 'leader', 'the first leads');
    const second = stage.probe(leadershipState(stage.backend(), 'chief'));
    const following = await second.now(({ state }) => state === 'follower', 'the second follows');
    if (leading.state !== 'leader' || following.state !== 'follower') throw new Error('neither leads nor follows');
    expect(following).toMatchObject({
      ahead: 1,
      leader: { _tag: 'Some', value: { id: leading.id, token: leading.token } },
    });
    expect(leading.remainingMs()).toBeGreaterThan(0);
    first.unsubscribe();
    await second.now(({ state }) => state === 'leader', 'the second leads', stage.promptMs);
    expect(second.values.map(({ state }) => state)).toEqual(['unknown', 'follower', 'leader']);
  });
}

function dataOf({ data }: Contender): unknown {
  return isSome(data) ? data.value : undefined;
}
