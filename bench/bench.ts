/**
 * How fast conclave is, beside the least that its store allows and beside other packages, in one run. Prints tables, and says so
 * and fails where conclave let in two at a time. No time is asserted.
 *
 *     npm run bench -- [--only redis,etcd,zookeeper] [--quick] [--write]
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { etcd } from './comparison/etcd.js';
import { load, machine } from './comparison/machine.js';
import { page, tables } from './comparison/page.js';
import { redis } from './comparison/redis.js';
import { type Amounts, compare, type Findings } from './comparison/rounds.js';
import type { Store } from './comparison/store.js';
import { zooKeeper } from './comparison/zookeeper.js';

const stores: readonly Store[] = [redis, etcd, zooKeeper];

const WHOLE: Amounts = {
  rounds: 7,
  turns: 10,
  turnMs: 50,
  contendMs: 2_000,
  handOvers: 3,
  countedHandOvers: 9,
  idleMs: 10_000,
};
const QUICK: Amounts = {
  rounds: 2,
  turns: 4,
  turnMs: 50,
  contendMs: 500,
  handOvers: 2,
  countedHandOvers: 3,
  idleMs: 3_000,
};

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', default: '' },
      quick: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
    },
  });
  const chosen = storesNamed(values.only);
  if (values.write && chosen.length < stores.length)
    throw new Error('--write writes the whole document, of all stores: leave out --only');
  const amounts = values.quick ? QUICK : WHOLE;
  const run = { date: new Date(), machine: machine(), loadBefore: load(), rounds: amounts.rounds };
  const findings: Findings[] = [];
  for (const store of chosen) {
    await using server = await store.start();
    findings.push(await compare(store, server, amounts));
  }
  console.log(tables({ findings }));
  const broken = findings.flatMap(({ store, figures }) =>
    figures
      .filter(({ participant, overlaps }) => participant.mustExclude && overlaps > 0)
      .map(({ participant, overlaps }) => `${store.name}: ${participant.name} let in two at a time, ${overlaps} times`),
  );
  for (const each of broken) console.error(each);
  if (broken.length > 0) process.exitCode = 1;
  else if (values.write)
    await writeFile(new URL('../docs/performance.md', import.meta.url), page({ ...run, findings }));
}

/** All of them, or those that are named with commas between them. */
function storesNamed(only: string): readonly Store[] {
  const names = only.split(',').filter((name) => name !== '');
  const known = stores.map(({ name }) => name.toLowerCase());
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`--only does not know ${unknown.join(', ')}: it knows ${known.join(', ')}`);
  return stores.filter(({ name }) => names.length === 0 || names.includes(name.toLowerCase()));
}

await main();
