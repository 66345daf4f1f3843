import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { medianOf } from './comparison/statistics.js';

const ROUNDS = 15;
const ENTRIES = [
  'conclave',
  ...['memory', 'redis', 'etcd', 'zookeeper', 'backend', 'testing'].map((name) => `conclave/${name}`),
];
const FORMS = {
  import: { type: 'module', code: (entry: string) => `await import('${entry}')` },
  require: { type: 'commonjs', code: (entry: string) => `require('${entry}')` },
} as const;

/** Fresh processes, rxjs and all entries in turn, so that what else the machine does falls on all alike. */
export async function importing(): Promise<void> {
  for (const [form, { type, code }] of Object.entries(FORMS)) {
    const taken = new Map(['rxjs', ...ENTRIES].map((entry): [string, number[]] => [entry, []]));
    // The first round brings the files into the memory of the machine.
    for (let round = 0; round <= ROUNDS; round++)
      for (const [entry, times] of taken) {
        const tookMs = await millisecondsOf(type, code(entry));
        if (round > 0) times.push(tookMs);
      }
    const ofRxjs = medianOf(taken.get('rxjs') ?? []) ?? Number.NaN;
    console.log(`${form} of rxjs: ${ofRxjs.toFixed(1)} ms, the median of ${ROUNDS} fresh processes`);
    for (const entry of ENTRIES) {
      const tookMs = medianOf(taken.get(entry) ?? []) ?? Number.NaN;
      const ratio = (tookMs / ofRxjs).toFixed(2);
      console.log(`${form} of ${entry}: ${ratio} times that of rxjs, ${(tookMs - ofRxjs).toFixed(1)} ms more`);
    }
  }
}

/** Within the process: how long one takes to start is no part of it. */
async function millisecondsOf(type: string, code: string): Promise<number> {
  const timed = `const begun = performance.now(); ${code}; console.log(performance.now() - begun)`;
  const { stdout } = await promisify(execFile)(process.execPath, [`--input-type=${type}`, '--eval', timed]);
  return Number(stdout);
}
