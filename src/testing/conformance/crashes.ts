import { leadership, lock, members } from 'conclave';
import { expect } from 'vitest';
import { churn } from './peer-calls.js';
import { spawnPeer } from './remote.js';
import { consistsOf, type Suite } from './stage.js';

export function crashCases({ hazard, quirks }: Suite): void {
  hazard('the lock of a crashed holder passes on within its lifetime and a second', async (stage) => {
    const peer = await stage.peer();
    const token = await peer.request('hold', 'ledger');
    const next = stage.probe(lock(stage.backend(), 'ledger'));
    await stage.inLine('ledger', 2);
    await peer.kill();
    const grant = await next.first('the lock', stage.expiryMs);
    expect(grant.token).toBeGreaterThan(token);
    await stage.inLine('ledger', 1);
  });

  hazard(
    'a crashed leader is replaced, and a crashed member gone, within their lifetime and a second',
    async (stage) => {
      const peer = await stage.peer();
      await peer.request('lead', 'chief');
      await peer.request('joinGroup', 'crew', 'peer');
      await stage.join(stage.backend(), 'crew', { id: 'keeper' });
      const sets = stage.probe(members(stage.watcher, 'crew'));
      await sets.now(consistsOf('peer', 'keeper'), 'both members');
      const next = stage.probe(leadership(stage.backend(), 'chief'));
      await stage.inLine('chief', 2, 'election');
      await peer.kill();
      await Promise.all([
        next.now((leads) => leads, 'the next leader', stage.expiryMs),
        sets.now(consistsOf('keeper'), 'the set without the crashed member', stage.expiryMs),
      ]);
      expect(sets.values.every((set) => set.has('keeper'))).toBe(true);
    },
  );

  hazard('one who crashed while waiting does not block those behind', async (stage) => {
    const peer = await stage.peer();
    const { held } = await stage.hold(stage.backend(), 'ledger');
    await peer.request('standInLine', 'ledger');
    await stage.inLine('ledger', 2);
    const last = stage.probe(lock(stage.backend(), 'ledger'));
    await stage.inLine('ledger', 3);
    await peer.kill();
    held.unsubscribe();
    await last.first('the lock', stage.expiryMs);
  });

  hazard(
    'two processes never hold at once; a store within one process does not claim to see another',
    async (stage) => {
      const [one, two] = [await spawnPeer(quirks, stage.options), await spawnPeer(quirks, stage.options)];
      const here = stage.backend();
      await using _peers = { [Symbol.asyncDispose]: () => Promise.all([one.kill(), two.kill()]).then(() => undefined) };
      expect(here.characteristics.distributed).toBe(quirks.declares.distributed);
      if (!quirks.declares.distributed) {
        await stage.hold(here, 'ledger');
        await one.request('hold', 'ledger');
        await two.request('hold', 'ledger');
        expect(here.characteristics.caveats.join()).toMatch(/one process/);
        return;
      }
      const rounds = await Promise.all([
        one.request('churn', 'ledger', 15),
        two.request('churn', 'ledger', 15),
        churn(here, 'ledger', 15),
      ]);
      const all = rounds.flat().sort((a, b) => Number(a.fromNs - b.fromNs));
      expect(all).toHaveLength(45);
      for (const [i, { untilNs, token }] of all.slice(0, -1).entries()) {
        expect(untilNs).toBeLessThan(all[i + 1]?.fromNs ?? 0n);
        expect(token).toBeLessThan(all[i + 1]?.token ?? 0n);
      }
    },
  );
}
