/*
 * Churn for as long as wanted: npm run soak -- --minutes 10 --seed 7 --store redis --processes 50 [--nodes 3]
 *
 * Each minute is a run of its own, with a seed of its own, so that one that went wrong can be repeated by itself with
 * --seed and --minutes 1. Ends with code 1 after the first run that breaks a claim, and keeps its history.
 */
import { parseArgs } from 'node:util';
import { runCell } from '../test/faults/cell.js';
import { churn } from '../test/faults/churn.js';
import { Laboratory } from '../test/faults/laboratory.js';
import { startSingle, startThree, storeNames } from '../test/faults/stores.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: `${Date.now()}` },
    store: { type: 'string', default: 'redis' },
    processes: { type: 'string', default: '50' },
    nodes: { type: 'string', default: '1' },
  },
});

const name = storeNames.find((known) => known === values.store);
if (name === undefined) throw new Error(`--store must be one of ${storeNames.join(', ')}, and is ${values.store}`);
if (values.nodes !== '1' && name === 'redis') throw new Error('--nodes 3 is for etcd and zookeeper');
const minutes = Number(values.minutes);
const processes = Number(values.processes);
if (!(minutes > 0 && processes >= 2)) throw new Error('--minutes must be over 0, and --processes at least 2');

const store = values.nodes === '1' || name === 'redis' ? await startSingle(name) : await startThree(name);
const laboratory = new Laboratory(store);
const until = performance.now() + minutes * 60_000;
const forMs = Math.min(60_000, minutes * 60_000);
let failed = false;
for (let run = 0; !failed && performance.now() < until; run += 1) {
  const seed = run === 0 ? values.seed : `${values.seed}.${run}`;
  const command = `npm run soak -- --store ${name} --nodes ${values.nodes} --processes ${processes} --minutes 1 --seed ${seed}`;
  console.log(command);
  try {
    const result = await runCell(laboratory, churn(processes, forMs), seed, command);
    console.log(JSON.stringify(result));
  } catch (error) {
    failed = true;
    console.error(error);
  }
}
await laboratory[Symbol.asyncDispose]();
process.exit(failed ? 1 : 0);
