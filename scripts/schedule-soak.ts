/*
 * Three processes and two schedules of a tick each second on each store, while runners are killed, stopped, blocked and cut off,
 * and the store is restarted: npm run test:schedule -- [--minutes 5] [--seed 7] [--store redis]
 *
 * Prints a table, and ends with code 1 where a tick was begun twice that may be begun once, or one was lost that may not be.
 */
import { parseArgs } from 'node:util';
import { type Outcome, playCell } from '../test/faults/cell.js';
import { Laboratory } from '../test/faults/laboratory.js';
import { tickingFor } from '../test/faults/schedules.js';
import { startSingle, storeNames } from '../test/faults/stores.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string', default: `${Date.now()}` },
    store: { type: 'string' },
  },
});
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new Error(`--minutes must be over 0, and is ${values.minutes}`);
const stores = storeNames.filter((name) => values.store === undefined || name === values.store);
if (stores.length === 0) throw new Error(`--store must be one of ${storeNames.join(', ')}, and is ${values.store}`);

const command = `npm run test:schedule -- --minutes ${minutes} --seed ${values.seed}`;
console.log(command);
const outcomes = await Promise.all(
  stores.map(async (name): Promise<Outcome> => {
    const laboratory = new Laboratory(await startSingle(name));
    try {
      return await playCell(laboratory, tickingFor(minutes * 60_000), values.seed, command);
    } finally {
      await laboratory[Symbol.asyncDispose]();
    }
  }),
);

const rows = outcomes.flatMap(({ result: { store, seconds, rounds, ticking = [] } }) =>
  ticking.map(({ schedule, ticks, begunTwice, neverDone, longestGapMs }) => ({
    ...{ store, seconds, faults: rounds, delivery: schedule === 'once' ? 'at-most-once' : 'at-least-once' },
    ...{ ticks, 'begun twice': begunTwice, 'not done': neverDone, 'longest gap, ms': longestGapMs },
  })),
);
console.table(rows);
for (const { violations, problems } of outcomes) {
  for (const { claim, message } of violations.slice(0, 20)) console.error(`${claim}: ${message}`);
  for (const problem of problems) console.error(problem);
}
process.exit(outcomes.every(({ violations, problems }) => violations.length + problems.length === 0) ? 0 : 1);
