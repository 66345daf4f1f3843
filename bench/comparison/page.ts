import { type Machine, packageVersion } from './machine.js';
import { CONTENDERS, type Figures, type Findings, WAITED_MS, WAITERS } from './rounds.js';
import { medianOf, type Spread, spreadOf } from './statistics.js';

/** What a whole run tells. */
export interface Run {
  readonly date: Date;
  readonly machine: Machine;
  /** Before, when whatever ran was not this. */
  readonly loadBefore: number;
  readonly rounds: number;
  readonly findings: readonly Findings[];
}

interface Column {
  readonly title: string;
  readonly cell: (figures: Figures) => string;
}

const RATIOS: readonly Column[] = [
  { title: 'acquire + release, one client, × floor', cell: ({ pairs }) => spread(pairs) },
  { title: `${CONTENDERS} contenders: sections per floor`, cell: ({ sections }) => spread(sections) },
  { title: 'least / most per contender', cell: ({ leastOfMost }) => spread(leastOfMost) },
  ...WAITED_MS.map((waitedMs) => ({
    title: `hand-off after ${waitedMs} ms, × read`,
    cell: ({ handOvers }: Figures) => spread(handOvers[waitedMs] ?? []),
  })),
  {
    title: 'requests per hand-off',
    cell: ({ requestsPerHandOver, innerPerHandOver }) =>
      withInner(medianOf(requestsPerHandOver), medianOf(innerPerHandOver)),
  },
  {
    title: `${WAITERS} waiters: requests/s`,
    cell: ({ idle }) => withInner(idle?.requestsPerS, idle?.innerPerS),
  },
  {
    title: 'two at a time',
    cell: ({ overlaps, sections }) => (sections.length === 0 ? '' : overlaps === 0 ? 'never' : `${overlaps} times`),
  },
];

const TIMES: readonly Column[] = [
  { title: 'acquire + release, ms', cell: ({ pairMs }) => spread(pairMs) },
  { title: `${CONTENDERS} contenders: sections/s`, cell: ({ sectionsPerS }) => spread(sectionsPerS) },
  ...WAITED_MS.map((waitedMs) => ({
    title: `hand-off after ${waitedMs} ms, ms`,
    cell: ({ handOverMs }: Figures) => spread(handOverMs[waitedMs] ?? []),
  })),
];

/** The tables, without what explains them. */
export function tables({ findings }: Pick<Run, 'findings'>): string {
  return findings.map(ofStore).join('\n\n');
}

export function page(run: Run): string {
  const { machine, date, findings, rounds } = run;
  const packages = ['rxjs', ...findings.flatMap(({ store }) => [store.floor, ...store.participants].map(npmPackage))];
  const versions = [
    ...findings.map(({ version }) => version),
    `Node ${process.versions.node}`,
    ...[...new Set(packages)].filter((name) => name !== '').map(packageVersion),
    ...findings.flatMap(({ figures }) => figures.flatMap(({ version }) => version ?? [])),
  ];
  const { loadBefore } = run;
  // The build, which comes just before, is a part of it.
  const isShared = loadBefore > machine.cores / 2;
  const circumstances = isShared
    ? `
- **The machine was shared with other work**: its load was ${loadBefore.toFixed(1)} before the run, which had the priority ${machine.niceness} (0 is
  usual, 19 comes last). Much of each time was spent waiting for a core, so times are far longer than those of a quiet machine,
  spreads are wide, and who needs many turns of the processor looks worse. What is counted holds as it stands.`
    : ` Its load was ${loadBefore.toFixed(1)} before the run.`;
  return `# How fast it is

conclave, a floor, and other packages, in one run on servers of this machine; written by \`npm run bench -- --write\`.
Times are never asserted. What is counted, and held to limits, is in [cost.md](cost.md).

- **When** ${date.toISOString().slice(0, 10)}, ${rounds} rounds.
- **Where** ${machine.processor}, ${machine.cores} cores, ${machine.system}. Clients and servers share it.${circumstances}
- **What** ${versions.join(', ')}.

## How to read it

Compare ratios, within one table. A figure is the median of all rounds, with the lower and the upper quartile in brackets. Within a
round participants take turns, in another order each time, so that what else the machine does falls on all alike.

- **Acquire + release, × floor:** one client, a lock that is free, one pair after the other, as a multiple of what the floor took in
  the same round. The *floor* is what a bare client needs at least, one request after the other: two scripts on Redis; on etcd
  a put in a transaction, under a lease that is there already, and a delete; on ZooKeeper creating a node, listing, and removing it. It
  waits for nobody, renews nothing, and tells nobody of a loss. conclave gives up a lock at the call, and its next request
  follows at once, in the order of the connection; the line *release awaited* waits for the store in between, as the others
  do. *Floor, release not awaited* is the bare client that does not wait either.
- **Sections per floor:** ${CONTENDERS} clients contend for one lock, each with a connection of its own, all in one process on one
  thread (kazoo: in one process of its own, with threads). So many got in in the time of one floor pair. Each holds it for
  one turn of the event loop. Who lets the same client in again and again, without asking who waits, has many sections.
- **Least / most** is how often that contender was in that had the least, divided by the one that had the most, in a round. 1 is fair; with
  few sections in a round, one more or less shows: 9 of 10 is 0.9.
- **Hand-off, × read:** one client holds, another waits. It is timed from the call that releases until the other is admitted, as a
  multiple of one read of a bare client. It has waited for 20 to 30 ms, or for 200 to 300 ms.
- **Requests per hand-off:** what clients send from the release on, counted by the server; calls from within scripts of Redis in
  brackets, with \`+\`. ZooKeeper's include pings.
- **${WAITERS} waiters:** requests per second while one client holds a lock and ${WAITERS} wait for it, in ${CONTENDERS} clients.
- **Two at a time:** how often somebody was let in while another was inside. If it is conclave, the run fails.

Each uses its defaults. conclave, redis-semaphore and kazoo hold with a ttl of 10 s, which they renew, as etcd3 does its own of
10 s; redlock holds with 60 s, which \`acquire\` does not renew. redlock asks again every 100 to 300 ms, redis-semaphore every
10 ms; etcd3's lock does not wait, so the script asks again. None of these three is fair, or gives a fencing token.

${tables(run)}

## What was slow, how that was found, and what changed

- **Scripts on Redis** (\`INFO commandstats\`): acquiring and releasing a free lock was 37 calls within two scripts, and is 23. The
  leases that end first are read once instead of twice, the least ttl is kept with the data, an entry that stands alone is taken out
  without looking for followers, and functions that a script does not use are not defined. Of the time that a script takes, half
  goes into what each of them begins with: whose data it is, and what time it is. The line *limit* is a bare client with the same scripts.
- **Hand-off on Redis** (requests per hand-off): a script woke the next, which then asked for its place. The script that frees the place
  tells it now that it is admitted. With \`waitReplicas\` it asks, as before.
- **Renewal on Redis** (calls in one period): with 100 waiters in a session one took 212 calls, and takes 23 at most.
- **First use of a connection to Redis** (requests by kind): 1,000 locks at once were 1,000 scripts with their text. The text is sent once.
- **A free lock on ZooKeeper** (\`mntr\`): acquiring and releasing was four requests, two round trips before the lock was there. The list of
  who stands there is asked for along with the creation now: three requests, one round trip. Who waits behind one asks nothing.
- **Readers in one process on etcd** (\`grpc_server_started_total\`): twenty who followed the same had twenty watches and twenty reads.
  They share one of each.
- **The client on Redis** (\`--cpu-prof\`): writing to the socket was a fifth of a pair's processor time. With ioredis a release and
  the next request are one write.
- **The kernel** (heap profile of a loop): layers of operators around each request, signals that nobody asked for, and the drawing of
  random ids. What happens at each acquisition and release is told by calls instead, and streams are where users see them. A pair
  leaves 34 KB to the garbage collector over memory, in place of 130, and 40 KB over Redis, in place of 88 and more; most of the latter is the client's.
- **What is held** (heap snapshots): closures that were needed only to enter were kept along. A lock that is held
  takes 6.3 KB in place of 18, one that is waited for 5.2. Of 10,000 asked for at once none is lost, and the loop is blocked for 30 ms at
  most (\`npm run bench:many -- --only heap,burst\`).
- **In one process with others** the client is slower than by itself: alone it takes 1.3 to 1.4 times what the line *limit* takes alone,
  and in the table above, with five other clients in the same process, more than three times that.
- **The gate** (\`npm run bench:many -- --only gate\`): \`whileLeader\` passes 0.2 of the items that a bare \`filter\` does, in place of 0.06. It reads two
  clocks for each item, since only one of them shows that the machine was suspended. A bare \`filter\` that reads the two is the limit:
  the gate passes 0.86 to 0.99 of that.
`;
}

function npmPackage({ npmPackage: name = '' }: { readonly npmPackage?: string }): string {
  return name;
}

function ofStore({ store, version, readMs, figures }: Findings): string {
  return `## ${store.name}

${version}; one read takes ${spread(readMs)} ms.

${table(RATIOS, figures)}

The same in times:

${table(TIMES, figures)}`;
}

function table(columns: readonly Column[], all: readonly Figures[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    line(['', ...columns.map(({ title }) => title)]),
    `|---|${columns.map(() => '---|').join('')}`,
    ...all.map((figures) => {
      const [first = columns[0], ...others] = columns;
      const { name, mustExclude } = figures.participant;
      const cells = figures.isInstalled
        ? columns.map(({ cell }) => cell(figures))
        : [first === undefined ? '' : 'not installed', ...others.map(() => '')];
      return line([mustExclude ? `**${name}**` : name, ...cells]);
    }),
  ].join('\n');
}

function spread(values: readonly number[]): string {
  const found: Spread | undefined = spreadOf(values);
  if (found === undefined) return '';
  return `${figure(found.median)} (${figure(found.low)}–${figure(found.high)})`;
}

function withInner(requests: number | undefined, inner: number | undefined): string {
  if (requests === undefined) return '';
  return inner === undefined || inner === 0 ? figure(requests) : `${figure(requests)} (+${figure(inner)})`;
}

/** Three digits, and no more than there are. */
function figure(value: number): string {
  if (value >= 100) return String(Math.round(value));
  return String(Number(value.toFixed(value >= 10 ? 1 : 2)));
}
