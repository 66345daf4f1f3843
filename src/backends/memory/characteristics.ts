import type { Characteristics } from '../backend.js';

/** What the memory backend promises. */
export const memoryCharacteristics: Characteristics = {
  distributed: false,
  fair: true,
  tokensSurviveRestart: true,
  tokensSurviveDataLoss: true,
  consistentFailover: true,
  cells: true,
  caveats: ['It coordinates within one process: other processes do not see it.'],
};
