import { afterAll, beforeAll, describe, test } from 'vitest';
import { runCell, seedOf } from './cell.js';
import { Laboratory } from './laboratory.js';
import { matrixOf } from './matrix.js';
import { type StoreName, startSingle } from './stores.js';

const cellLimitMs = 180_000;

/** A test for each cell of the fault matrix, on one store. */
export function describeMatrix(name: StoreName): void {
  const seed = seedOf();
  describe(`${name}, one server, seed ${seed}`, () => {
    let laboratory: Laboratory;
    beforeAll(async () => {
      laboratory = new Laboratory(await startSingle(name));
      await laboratory.warmUp(4);
    }, cellLimitMs);
    afterAll(() => laboratory[Symbol.asyncDispose]());
    for (const cell of matrixOf(name)) {
      const command = `CONCLAVE_FAULTS_SEED=${seed} npm run test:faults -- ${name} -t '${cell.name}'`;
      test(cell.name, () => runCell(laboratory, cell, seed, command).then(() => undefined), cellLimitMs);
    }
  });
}
