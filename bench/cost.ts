/**
 * Counts, on the servers, what coordinating costs; nothing here is timed. Writes docs/cost.md and fails where a figure is
 * over its budget, or has none.
 */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import {
  type Backend,
  type CampaignOptions,
  campaign,
  connect,
  isSome,
  lock,
  lockAll,
  readLock,
  schedule,
  semaphore,
  withPartition,
} from 'conclave';
import {
  EMPTY,
  filter,
  firstValueFrom,
  lastValueFrom,
  NEVER,
  type Observable,
  Subject,
  type Subscription,
  take,
} from 'rxjs';
import { startEtcd } from '../src/testing/servers/etcd.js';
import { startRedis } from '../src/testing/servers/redis.js';
import type { TestServer } from '../src/testing/servers/server.js';
import { startZooKeeper } from '../src/testing/servers/zookeeper.js';
import { type Counts, difference, etcdCounts, redisCounts, zooKeeperCounts } from '../test/support/counters.js';
import { ensureServers } from '../test/support/install.js';

interface Store {
  readonly name: string;
  readonly start: () => Promise<TestServer>;
  readonly read: (url: string) => Promise<Counts>;
  /** Which of the counts are requests of a client. */
  readonly isRequest: (count: string) => boolean;
}

const ROUNDS = 100;
const WAITERS = 100;
const LOCKS = 1_000;
const ITEMS = 10_000;
const PERIODS = 5;
const CALLS_OF_A_RENEWAL = 25;
const RENEW_EVERY_MS = 1_000;
/** Renews so seldom that no renewal falls into a measurement. */
const QUIET = { ttlMs: 20_000, renewEveryMs: 12_000, requestTimeoutMs: 5_000 };
const RENEWING = { ttlMs: 8_000, renewEveryMs: RENEW_EVERY_MS, requestTimeoutMs: 3_000 };

/** The most of what is counted, by store and by what it is for. */
type Limits = Readonly<Record<string, Readonly<Record<string, number>>>>;

const budget: { readonly requests: Limits; readonly callsInScripts: Limits } = JSON.parse(
  readFileSync(new URL('budget.json', import.meta.url), 'utf8'),
);

const subjects: readonly Store[] = [
  {
    name: 'Redis',
    start: () => startRedis(),
    read: redisCounts,
    isRequest: (count) => count === 'evalsha' || count === 'eval',
  },
  {
    name: 'etcd',
    start: () => startEtcd(),
    read: etcdCounts,
    isRequest: (count) => /^(KV|Lease|Watch)\/\w+$/.test(count),
  },
  {
    name: 'ZooKeeper',
    start: () => startZooKeeper(),
    read: zooKeeperCounts,
    isRequest: (count) => count === 'reads' || count === 'writes',
  },
];

/** One line of the table: figures by the name of the store. */
type Table = Map<string, Map<string, string>>;

async function main(): Promise<void> {
  await ensureServers();
  const table: Table = new Map();
  const failures: string[] = [];
  for (const subject of subjects) {
    await using server = await subject.start();
    const figures = await measure(subject, server.url);
    for (const { what, counted, detail } of figures) {
      console.log(`${subject.name}: ${what}: ${JSON.stringify(detail)}`);
      const cells = counted.map(({ unit, count, limit, slack }) => {
        if (limit === undefined || count > limit + slack)
          failures.push(`${subject.name}, ${what}: ${round(count)} ${unit}, and the budget is ${limit ?? 'not said'}`);
        return `${round(count)} (≤ ${limit})${unit === 'requests' ? '' : ` ${unit}`}`;
      });
      const row = table.get(what) ?? new Map<string, string>();
      table.set(what, row.set(subject.name, cells.join('; ')));
    }
  }
  if (failures.length === 0) await writeFile(new URL('../docs/cost.md', import.meta.url), page(table));
  console.log(`\n${page(table)}`);
  for (const failure of failures) console.error(failure);
  process.exitCode = failures.length === 0 ? 0 : 1;
}

interface Counted {
  readonly unit: 'requests' | 'calls';
  readonly count: number;
  readonly limit: number | undefined;
  /** What may come on top of the limit by chance. */
  readonly slack: number;
}

interface Figure {
  readonly what: string;
  readonly counted: readonly Counted[];
  readonly detail: Counts;
}

async function measure(subject: Store, url: string): Promise<readonly Figure[]> {
  const requestsOf = (counts: Counts): number =>
    Object.entries(counts).reduce((sum, [name, count]) => sum + (subject.isRequest(name) ? count : 0), 0);
  const counted = async (act: () => Promise<unknown>): Promise<Counts> => {
    const before = await subject.read(url);
    await act();
    return difference(before, await calm(() => subject.read(url), requestsOf));
  };
  const figures: Figure[] = [];
  /** `renewals`: how many may fall into it by chance. */
  const note = (what: string, detail: Counts, per: number, renewals = 0): void => {
    const requests = requestsOf(detail);
    const calls = budget.callsInScripts[subject.name];
    const units: Counted[] = [
      { unit: 'requests', count: requests / per, limit: budget.requests[subject.name]?.[what], slack: renewals / per },
    ];
    if (calls !== undefined && detail['total'] !== undefined)
      units.push({
        unit: 'calls',
        count: (detail['total'] - requests) / per,
        limit: calls[what],
        slack: (renewals * CALLS_OF_A_RENEWAL) / per,
      });
    figures.push({ what, counted: units, detail });
  };
  {
    await using backend = connect(url, QUIET);
    const again = async (what: string, take: () => Observable<unknown>): Promise<void> => {
      await firstValueFrom(take());
      await calm(() => subject.read(url), requestsOf);
      const all = await counted(async () => {
        for (let i = 0; i < ROUNDS; i++) await firstValueFrom(take());
      });
      // A renewal may fall into it, of two requests at most.
      note(what, all, ROUNDS, 2);
    };
    await again('acquire and release a lock that is free', () => lock(backend, 'free'));
    let unused = 0;
    await again('the same, the first time under a name', () => lock(backend, `unused ${unused++}`));
    await again('a lock to read', () => readLock(backend, 'read'));
    // Whoever stands there may go by another number of permits.
    await again('a permit of three', () => semaphore(backend, 'permits', 3));
    await again('three locks at once', () => lockAll(backend, ['x', 'y', 'z']));
    const elected = (options: CampaignOptions) => () => campaign(backend, 'election', options).pipe(filter(isSome));
    await again('lead and step down', elected({}));
    await again('the same, with a priority', elected({ priority: 1 }));
    await again('the same, taking over from an earlier self', elected({ id: 'pod-0', takeOver: true }));
    const ticks = await counted(() => tick(backend, ROUNDS));
    note('do a tick of a schedule', ticks, ROUNDS, TAKE_OVER);
  }
  {
    const backends = Array.from({ length: 10 }, () => connect(url, QUIET));
    const line = await standInLine(backends);
    // Whoever stands for more than a second watches its own entry from then on.
    await pause(1_500);
    await calm(() => subject.read(url), requestsOf);
    const handOff = await counted(async () => {
      line[0]?.subscription.unsubscribe();
      await line[1]?.admitted;
    });
    // The release, and what the one who is woken asks; 99 others ask nothing.
    note(`hand over to the next of ${WAITERS} waiters in 10 processes' sessions`, handOff, 1);
    await Promise.all(backends.map((backend) => backend.close()));
  }
  {
    const backends = Array.from({ length: 10 }, () => connect(url, QUIET));
    const grants: { release: () => Observable<boolean> }[] = [];
    const permits = 3;
    let admitted: () => void = () => undefined;
    for (let i = 0; i < WAITERS; i++)
      semaphore(backends[i % backends.length] as Backend, 'contended', permits).subscribe((grant) => {
        grants.push(grant);
        admitted();
      });
    await calm(() => subject.read(url), requestsOf);
    const passedOn = await counted(async () => {
      const next = new Promise<void>((resolve) => {
        admitted = resolve;
      });
      await firstValueFrom(grants[0]?.release() ?? EMPTY);
      await next;
    });
    note(`pass on one of ${permits} permits, ${WAITERS - permits} waiting`, passedOn, 1);
    await Promise.all(backends.map((backend) => backend.close()));
  }
  {
    // As many moves as there are items of the third member; what is written once for all of them counts, too.
    const { joining, leaving, moved } = await moves(() => connect(url, QUIET), counted);
    note(`an item that moves to a member that joins two, of ${ITEMS} items`, joining, moved);
    note('the same, when it leaves', leaving, moved);
  }
  const windowMs = PERIODS * RENEW_EVERY_MS;
  const renewals = async (prepare: (backend: Backend) => Promise<unknown>): Promise<Counts> => {
    await using backend = connect(url, RENEWING);
    await prepare(backend);
    // ZooKeeper keeps notes of writes for a while: after a thousand at once there are as many to remove.
    await pause(RENEWING.ttlMs + 3 * RENEW_EVERY_MS);
    const before = await subject.read(url);
    await pause(windowMs);
    return difference(before, await subject.read(url));
  };
  // A window may hold one renewal more than another.
  note('renewals, one lock held (a period)', await renewals(holdLocks(1)), PERIODS, 2);
  note(`renewals, ${LOCKS} locks held (a period)`, await renewals(holdLocks(LOCKS)), PERIODS, 2);
  const waiting = await renewals((backend) => standInLine([backend]));
  note(`renewals, one lock held and ${WAITERS} waiters (a period)`, waiting, PERIODS, 2);
  return figures;
}

function holdLocks(count: number): (backend: Backend) => Promise<unknown> {
  return (backend) =>
    Promise.all(
      Array.from({ length: count }, (_, i) => new Promise((held) => lock(backend, `held ${i}`).subscribe(held))),
    );
}

/** What it takes to be elected, to read what was done, and to step down. */
const TAKE_OVER = 20;

/** So many ticks, one after the other. */
async function tick(backend: Backend, count: number): Promise<void> {
  const dates = new Subject<Date>();
  const done = lastValueFrom(
    schedule(backend, 'report', dates, () => EMPTY, { overlap: 'queue', missed: 'all' }).pipe(
      filter(({ kind }) => kind === 'done'),
      take(count),
    ),
  );
  // Nothing is missed before the very first leader.
  await firstValueFrom(backend.cell('schedule report').pipe(filter((cell) => cell !== undefined)));
  const nowMs = Date.now();
  for (let i = 1; i <= count; i++) dates.next(new Date(nowMs + i));
  await done;
}

/** What it takes that a third member joins two among whom items are divided, and leaves them again. */
async function moves(
  backendOf: () => Backend,
  counted: (act: () => Promise<unknown>) => Promise<Counts>,
): Promise<{ readonly joining: Counts; readonly leaving: Counts; readonly moved: number }> {
  const items = Array.from({ length: ITEMS }, (_, i) => `item-${i}`);
  const backends = [backendOf(), backendOf(), backendOf()] as const;
  const begun$ = new Subject<string>();
  const work = (item: string): Observable<never> => {
    begun$.next(item);
    return NEVER;
  };
  const stay = (backend: Backend): Subscription => withPartition(backend, 'divided', items, work).subscribe();
  const begunSoon = (count: number): Promise<unknown> => lastValueFrom(begun$.pipe(take(count)));
  const moved = Math.floor(ITEMS / backends.length);
  const divided = begunSoon(ITEMS);
  stay(backends[0]);
  await divided;
  const halved = begunSoon(ITEMS / 2);
  stay(backends[1]);
  await halved;
  let third: Subscription | undefined;
  const joining = await counted(async () => {
    const begun = begunSoon(moved);
    third = stay(backends[2]);
    await begun;
  });
  const leaving = await counted(async () => {
    const begun = begunSoon(moved);
    third?.unsubscribe();
    await begun;
  });
  await Promise.all(backends.map((backend) => backend.close()));
  return { joining, leaving, moved };
}

interface InLine {
  readonly subscription: Subscription;
  readonly admitted: Promise<unknown>;
}

/** One holder and 100 waiters, one after the other. */
async function standInLine(backends: readonly Backend[]): Promise<readonly InLine[]> {
  const line: InLine[] = [];
  for (let i = 0; i <= WAITERS; i++) {
    const backend = backends[i % backends.length];
    if (backend === undefined) throw new RangeError('there is no backend to stand in line with');
    line.push(await stand(backend));
  }
  return line;
}

function stand(backend: Backend): Promise<InLine> {
  return new Promise((standing, failed) => {
    let admit: (value: unknown) => void = () => undefined;
    const admitted = new Promise((resolve) => {
      admit = resolve;
    });
    const place$ = backend.enter(
      { kind: 'lock', name: 'line' },
      { mode: 'exclusive', permits: 1, payload: new Uint8Array() },
    );
    const subscription = place$.subscribe({
      next: (place) => {
        if (place.admitted) admit(place);
        standing({ subscription, admitted });
      },
      error: failed,
    });
  });
}

/** Waits until the requests stay the same for a while: releases are sent, not awaited. */
async function calm(read: () => Promise<Counts>, requestsOf: (counts: Counts) => number): Promise<Counts> {
  for (let before = await read(); ; ) {
    await pause(300);
    const after = await read();
    if (requestsOf(difference(before, after)) === 0) return after;
    before = after;
  }
}

function page(table: Table): string {
  const names = subjects.map(({ name }) => name);
  const lines = [...table].map(
    ([what, row]) => `| ${what} | ${names.map((name) => row.get(name) ?? '').join(' | ')} |`,
  );
  return `# What it costs

Requests as the servers count them, written by \`npm run cost\`; in brackets the budget that the script holds them to
(\`bench/budget.json\`). A renewal or an election that falls into a count may add some hundredths.

| | ${names.join(' | ')} |
|---|${names.map(() => '---|').join('')}
${lines.join('\n')}

Redis: scripts run by clients, and the calls within them. etcd: unary calls, and messages on the keep-alive and watch streams. ZooKeeper: requests
that the server answered, with the client library's own pings.
`;
}

function round(figure: number): string {
  return String(Math.round(figure * 100) / 100);
}

await main();
