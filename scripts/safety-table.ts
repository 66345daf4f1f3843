/*
 * Writes docs/safety.md from the results of the fault matrix: npx tsx scripts/safety-table.ts
 * They are in reports/faults, where `npm run test:faults` and `npm run soak` put them.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { etcdCharacteristics } from '../src/backends/etcd/characteristics.js';
import { redisCharacteristics } from '../src/backends/redis/characteristics.js';
import { zookeeperCharacteristics } from '../src/backends/zookeeper/characteristics.js';
import { type Result, readResults, readWeakened } from '../test/faults/results.js';
import { ttlMs } from '../test/faults/stores.js';

const stores = [
  ['Redis', redisCharacteristics],
  ['etcd', etcdCharacteristics],
  ['ZooKeeper', zookeeperCharacteristics],
] as const;

const beginning = `# Safety

## What is not guaranteed

- **A process that does not run does not know that it has lost something.** One that is stopped, swapped out, or whose
  event loop is blocked learns of its loss when it runs again: before its next line of guarded work that asks
  \`grant.isValid()\`, and before the next item that \`whileLeader\` or \`whileLocked\` lets through. Work that it had begun before
  goes on. Only the resource can refuse that: give it \`grant.token\`, and let it refuse smaller tokens than it has seen.
- **Work is not interrupted.** \`grant.signal\` aborts and operators unsubscribe; a promise that heeds neither goes on.
- **Clocks must run at about the same rate**: that of the client and that of the store by no more than \`drift\` (1 % by default).
  They need not show the same time. The client's wall clock is not used, but for telling that the machine was suspended.
- **A store that loses what it has acknowledged** may admit somebody beside a holder that it has forgotten, and makes tokens
  anew from lower ones, unless it is said otherwise below.
- **Somebody who is admitted last is not somebody who holds now.** \`members\`, \`leader\`, \`holders\` and \`candidates\` tell what was
  so when the store answered.

What each store cannot promise:

${stores
  .map(([name, { caveats }]) => `**${name}**\n\n${caveats.map((caveat) => `- ${caveat}`).join('\n')}`)
  .join('\n\n')}

## What is shown

Real servers, real client processes, and a network between them that can be broken. Each process writes what it acquires,
loses, releases, sees, and each item of guarded work, with its token and the machine's monotonic clock, which all share. A checker
(\`test/faults/checker.ts\`) compares the merged histories with these claims:

1. **Exclusion**: at no instant two hold the same lock or lead the same election, except one that does not run; and no guarded
   work is done by anybody after somebody else was admitted, which nothing excuses.
2. **Fencing**: tokens strictly grow in the order of admission; a register that refuses smaller tokens never accepts a write of a
   past holder after one of a newer one. Past holders do send such writes, on purpose: those refused are counted.
3. **Liveness**: after the end of a holder the next one is admitted within the ttl and a second, if the store can be reached; everybody
   takes part again by itself. Where a server is deposed and the next master has its data, nobody loses what was held for long.
4. **Membership**: nobody is seen who has been gone for the ttl and a second, nobody is reported gone who is there, no false empty set.
5. **Nothing escapes**: a process from which an unhandled rejection, an uncaught exception or a leaked listener escapes ends with an error.

A machine is not really suspended: its client is stopped, and its monotonic clock has stood still when it goes on, while its wall clock
has not. The history is written by the machine's own clock all the same.

`;

function table(results: readonly Result[]): string {
  const head = [
    ...['fault', 'store', 'rounds', 'acquisitions', 'overlaps', 'stale writes accepted', 'refused'],
    ...['longest time to the next holder, ms', 'after a clean release, median / p99, ms', 'again'],
  ];
  const rows = results.map((result) => [
    result.cell,
    `${result.store}, ${result.topology}`,
    `${result.rounds}`,
    `${result.acquisitions}`,
    `${result.overlaps}`,
    `${result.staleWritesAccepted}`,
    `${result.writesRefused}`,
    result.longestNextHolderMs === 0 ? '–' : `${result.longestNextHolderMs}`,
    `${result.releaseMedianMs} / ${result.releaseP99Ms}`,
    `\`${result.command}\``,
  ]);
  return markdown(head, rows);
}

function totals(results: readonly Result[]): string {
  const names = [...new Set(results.map(({ store }) => store))];
  const sum = (store: string, figure: (result: Result) => number): number =>
    results.filter((result) => result.store === store).reduce((total, result) => total + figure(result), 0);
  return markdown(
    ['store', 'acquisitions', 'items of guarded work', 'overlaps', 'stale writes accepted', 'other claims broken'],
    names.map((store) => [
      store,
      ...[
        sum(store, ({ acquisitions }) => acquisitions),
        sum(store, ({ workItems }) => workItems),
        sum(store, ({ overlaps }) => overlaps),
        sum(store, ({ staleWritesAccepted }) => staleWritesAccepted),
        sum(store, ({ otherViolations }) => otherViolations),
      ].map(String),
    ]),
  );
}

/** Not to be overlooked in a long table. */
function broken(results: readonly Result[]): string {
  const found = results
    .filter(({ otherViolations }) => otherViolations > 0)
    .map(({ cell, store, topology, otherViolations }) => `${cell} on ${store}, ${topology} (${otherViolations} times)`);
  return found.length === 0 ? '' : `\n**Not live in time, or another claim broken:** ${found.join('; ')}.\n`;
}

function weakened(): string {
  const rows = readWeakened().map(({ weakening, what, result, first }) => [
    what,
    `${result.cell}, ${result.store}`,
    `${result.overlaps}`,
    `${Math.round(result.longestOverlapMs)}`,
    first.replaceAll('|', '\\|'),
    `\`${result.command}\` (${weakening})`,
  ]);
  if (rows.length === 0) return '';
  return `## What each part is for

The same laboratory, with one part taken out of the library at a time, finds what that part prevents.

${markdown(['without', 'found in', 'overlaps', 'longest, ms', 'the first of them', 'again'], rows)}
`;
}

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function version(program: string, args: readonly string[], pattern: RegExp): string {
  try {
    return pattern.exec(execFileSync(program, args, { encoding: 'utf8' }))?.[1] ?? 'unknown';
  } catch {
    return 'unknown';
  }
}

const order = (result: Result): string => `${result.cell}/${result.store}/${result.topology}`;
const results = readResults().sort((a, b) => (order(a) < order(b) ? -1 : 1));
if (results.length === 0) throw new Error('there are no results in reports/faults: run `npm run test:faults` first');
const redis = version('redis-server', ['--version'], /v=(\S+)/);
const etcd = version('etcd', ['--version'], /etcd Version: (\S+)/);
const zookeeper = version('dpkg', ['-s', 'zookeeper'], /^Version: ([\d.]+)/m);
const conditions =
  `Node ${process.versions.node}, Redis ${redis}, etcd ${etcd}, ZooKeeper ${zookeeper}, ${cpus().length} processors, ` +
  `ttl ${ttlMs} ms where the command sets no other. The time to the next holder begins, after an outage or an election, when the store can be reached ` +
  'again. It may be longer than the ttl and a second where the store itself takes longer: after an election etcd gives each lease an ' +
  'election timeout more, and whoever waits at a member that is cut off learns of it by its own renewal; and where only replies are ' +
  'lost or late, the store hears a holder up to its deadline and counts from there. This page is written by ' +
  '`npx tsx scripts/safety-table.ts`.';
const page = `${beginning}${conditions}\n\n${totals(results)}\n${broken(results)}\n${table(results)}\n\n${weakened()}`;
const docs = fileURLToPath(new URL('../docs', import.meta.url));
mkdirSync(docs, { recursive: true });
writeFileSync(process.argv[2] ?? `${docs}/safety.md`, `${page.trimEnd()}\n`);
