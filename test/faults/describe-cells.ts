import { afterAll, beforeAll, describe, test } from 'vitest';
import { type Cell, runCell, seedOf } from './cell.js';
import { Laboratory } from './laboratory.js';
import { isChosen } from './selection.js';
import { type StoreUnderTest, ttlSetting } from './stores.js';

const cellLimitMs = 180_000;

/** A test for each cell of the fault matrix, all on one store; `file` is the name of the store where that is one server. */
export function describeCells(file: string, start: () => Promise<StoreUnderTest>, cells: readonly Cell[]): void {
  const seed = seedOf();
  const chosen = cells.filter(({ name }) => isChosen(name, file));
  // A suite without a test would fail, after its servers were started for nothing.
  if (chosen.length === 0) return;
  const extent = chosen.length === cells.length ? '' : `, ${chosen.length} of ${cells.length} rows`;
  describe(`${file}, seed ${seed}${extent}`, () => {
    let laboratory: Laboratory;
    beforeAll(async () => {
      laboratory = new Laboratory(await start());
      await laboratory.warmUp(4);
    }, cellLimitMs);
    afterAll(() => laboratory[Symbol.asyncDispose]());
    for (const cell of chosen) {
      const command = `${ttlSetting}CONCLAVE_FAULTS_SEED=${seed} npm run test:faults -- ${file}.faults -t '${cell.name}'`;
      test(cell.name, () => runCell(laboratory, cell, seed, command).then(() => undefined), cellLimitMs);
    }
  });
}
