import { lock } from 'conclave';
import { firstValueFrom } from 'rxjs';
import { expect } from 'vitest';
import { churn } from './peer-calls.js';
import type { Stage, Suite } from './stage.js';

export function tokenCases({ hazard, quirks }: Suite): void {
  hazard('tokens grow although nobody was in line meanwhile', async (stage) => {
    const tokens: bigint[] = [];
    for (const backend of [stage.backend(), stage.backend(), stage.backend()]) {
      const { grant, held } = await stage.hold(backend, 'ledger');
      tokens.push(grant.token);
      held.unsubscribe();
      await stage.inLine('ledger', 0);
    }
    expectGrowing(tokens);
  });

  hazard('tokens grow across restarts of the client', async (stage) => {
    const tokens: bigint[] = [];
    for (let life = 0; life < 3; life++) {
      const backend = stage.backend();
      tokens.push((await stage.hold(backend, 'ledger')).grant.token);
      await backend.close();
    }
    expectGrowing(tokens);
  });

  hazard('tokens grow across a restart of the store with its data, if so declared', async (stage) => {
    const tokens = await tokensAcross(stage, { keepData: true });
    if (quirks.declares.tokensSurviveRestart) expectGrowing(tokens);
    else expect(tokens).toHaveLength(4);
  });

  hazard('tokens grow across the loss of the data of the store, if so declared', async (stage) => {
    const tokens = await tokensAcross(stage, { keepData: false });
    if (quirks.declares.tokensSurviveDataLoss) expectGrowing(tokens);
    else expect(tokens).toHaveLength(4);
  });

  hazard('under contention one holds at a time, and tokens grow in the order of admission', async (stage) => {
    const backends = [stage.backend(), stage.backend(), stage.backend()];
    const all = (await Promise.all(backends.map((backend) => churn(backend, 'ledger', 10)))).flat();
    all.sort((a, b) => Number(a.fromNs - b.fromNs));
    expect(all).toHaveLength(30);
    expectGrowing(all.map(({ token }) => token));
    for (const [i, { untilNs }] of all.slice(0, -1).entries()) expect(untilNs).toBeLessThan(all[i + 1]?.fromNs ?? 0n);
  });

  hazard('first come is first served: ten waiters of several backends', async (stage) => {
    const backends = [stage.backend(), stage.backend(), stage.backend()];
    const { held } = await stage.hold(stage.backend(), 'ledger');
    const served: number[] = [];
    const turns = [];
    for (let i = 0; i < 10; i++) {
      const backend = backends[i % 3] as (typeof backends)[0];
      turns.push(firstValueFrom(lock(backend, 'ledger')).then(() => served.push(i)));
      await stage.inLine('ledger', i + 2);
    }
    held.unsubscribe();
    await Promise.all(turns);
    const inTurn = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
    expect(quirks.declares.fair ? served : [...served].sort()).toEqual(inTurn);
  });

  hazard('who stand in line in the same moment stand in the order in which they subscribed', async (stage) => {
    const backend = stage.backend();
    const turns = Array.from({ length: 10 }, () => stage.probe(lock(backend, 'ledger')));
    const tokens: bigint[] = [];
    for (const [i, turn] of turns.entries()) {
      tokens.push((await turn.first(`the turn of number ${i}`, 20_000)).token);
      turn.unsubscribe();
    }
    if (quirks.declares.fair) expectGrowing(tokens);
    else expect(new Set(tokens).size).toBe(10);
  });

  hazard('a hundred waiters are admitted one after the other, in the order of their tokens', async (stage) => {
    const backends = [stage.backend(), stage.backend(), stage.backend()];
    const { held } = await stage.hold(stage.backend(), 'ledger');
    const tokens: bigint[] = [];
    let holding = 0;
    const turns = Array.from({ length: 100 }, (_, i) => {
      const backend = backends[i % 3] as (typeof backends)[0];
      const waiter = stage.probe(lock(backend, 'ledger'));
      return waiter.first(`the turn of waiter ${i}`, 40_000).then(({ token, isValid }) => {
        expect([++holding, isValid()]).toEqual([1, true]);
        tokens.push(token);
        holding--;
        waiter.unsubscribe();
      });
    });
    const line = await stage.inLine('ledger', 101);
    expectGrowing(line.map(({ token }) => token));
    held.unsubscribe();
    await Promise.all(turns);
    expect(tokens).toEqual(line.slice(1).map(({ token }) => token));
    await stage.inLine('ledger', 0);
  });
}

/** Two on a store before it is restarted, two on it afterwards. */
async function tokensAcross(stage: Stage, restart: { readonly keepData: boolean }): Promise<readonly bigint[]> {
  const server = await stage.server();
  const tokens: bigint[] = [];
  const holdTwice = async (): Promise<void> => {
    const backend = stage.over(server);
    for (let round = 0; round < 2; round++) {
      const held = stage.probe(lock(backend, 'ledger'));
      tokens.push((await held.first('the lock', 3 * stage.soonMs)).token);
      held.unsubscribe();
    }
    await backend.close();
  };
  await holdTwice();
  await server.stop();
  await server.start(restart);
  await holdTwice();
  return tokens;
}

function expectGrowing(tokens: readonly bigint[]): void {
  for (const [i, token] of tokens.slice(1).entries()) expect(token).toBeGreaterThan(tokens[i] ?? token);
}
