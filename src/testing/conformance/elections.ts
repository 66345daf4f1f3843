import { campaign, candidates, leader, leadership } from 'conclave';
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
}
