/*
 * Churn for as long as wanted: npm run soak -- --minutes 10 --seed 7 --store redis --processes 50 [--nodes 3]
 *
 * Three minutes at a time are a run of their own, with a seed of its own, so that one that went wrong can be repeated by
 * itself. Ends with code 1 after the first run that breaks a claim, and keeps its history. Fifty processes of etcd's
 * client are more than two processors carry with a ttl of two seconds: CONCLAVE_FAULTS_TTL_MS=6000 gives them six.
 */
import { parseArgs } from 'node:util';
import { runCell } from '../test/faults/cell.js';
import { churn } from '../test/faults/churn.js';
import { Laboratory } from '../test/faults/laboratory.js';
import { startSingle, startThree, storeNames, ttlSetting } from '../test/faults/stores.js';

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
const runMinutes = Math.min(3, minutes);
let failed = false;
for (let run = 0; !failed && performance.now() < until; run += 1) {
  const seed = run === 0 ? values.seed : `${values.seed}.${run}`;
  const settings = `--store ${name} --nodes ${values.nodes} --processes ${processes} --minutes ${runMinutes} --seed ${seed}`;
  const command = `${ttlSetting}npm run soak -- ${settings}`;
  console.log(command);
  try {
    const result = await runCell(laboratory, churn(processes, runMinutes * 60_000), seed, command);
    console.log(JSON.stringify(result));
  } catch (error) {
    failed = true;
    console.error(error);
  }
}
await laboratory[Symbol.asyncDispose]();
process.exit(failed ? 1 : 0);
