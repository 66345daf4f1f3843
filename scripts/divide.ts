/*
 * 100 items, and ten members that come and go under faults. No item may have two owners at any moment. Each is owned again within
 * a ttl and the time to settle, reckoned from when it lost its owner, or from the last fault of a member it depended on meanwhile:
 * of the one who was to have it next, or of the one who plans. How often items move, and how often they need not have, is printed.
 *
 *     npm run divide                      an hour in virtual time, for each strategy
 *     npm run divide -- redis etcd        on real stores (redis, etcd, zookeeper) side by side, for DIVIDE_MINUTES, 20 by default
 */
import { setTimeout as pause } from 'node:timers/promises';
import {
  type Backend,
  connect,
  type Grant,
  type Member,
  memberMap,
  type PartitionOptions,
  withPartition,
} from 'conclave';
import { startEtcd, startProxy, startRedis, startZooKeeper } from 'conclave/testing/servers';
import { combineLatest, Observable, type Subscription } from 'rxjs';
import { checkItems } from '../src/observables/sharing/items.js';
import { nextPlan } from '../src/observables/sharing/next-plan.js';
import { decodePlan, type MemberKey, memberKeyOf, NO_PLAN, type Plan } from '../src/observables/sharing/plan.js';
import { STRATEGIES } from '../src/observables/sharing/strategies.js';
import { delay, loseReply, partition, pause as stop } from '../src/testing/faults.js';
import { Simulation } from '../src/testing/simulate.js';
import { ensureServers } from '../test/support/install.js';

const GROUP = 'fleet';
const ITEMS = Array.from({ length: 100 }, (_, i) => `item-${String(i).padStart(3, '0')}`);
const NAMES = Array.from({ length: 10 }, (_, i) => `m${i}`);
const CHECKED = checkItems(GROUP, ITEMS);
const SETTLED_MS = 1_000;
const LOOK_MS = 200;
/** For noticing, planning, moving and looking; a real store may also be late in ending a session. */
const SLACK_MS = 1_500;
type Strategy = NonNullable<PartitionOptions['strategy']>;

/** What becomes of the items. */
class Ledger {
  readonly #owners = new Map<string, Map<string, Grant>>(ITEMS.map((item) => [item, new Map()]));
  readonly #tokens = new Map<string, bigint>();
  readonly #freeMs = new Map<string, number>();
  /** For each item without an owner: since when it should have had one again. */
  readonly #dueMs = new Map<string, number>();
  /** When something last happened to each member. */
  readonly #faultMs = new Map<string, number>();
  #planner: string | undefined;
  readonly doubles: string[] = [];
  readonly late: string[] = [];
  begun = 0;
  longestMs = 0;
  longestDueMs = 0;
  plans = 0;
  moves = 0;
  needless = 0;
  #plan: Plan = NO_PLAN;

  constructor(
    private readonly now: () => number,
    /** A process that is stopped does nothing, whatever it was told last. */
    private readonly isRunning: (name: string) => boolean,
    private readonly mostMs: number,
  ) {}

  /** Work that lasts as long as the item is owned. */
  readonly workOf =
    (name: string) =>
    (item: string, grant: Grant): Observable<never> =>
      new Observable(() => {
        const mine = this.#owners.get(item) as Map<string, Grant>;
        const others = [...mine].filter(([other, held]) => this.isRunning(other) && held.isValid());
        if (others.length > 0) this.doubles.push(`${item} of ${others.map(([other]) => other).join()} and ${name}`);
        if (grant.token <= (this.#tokens.get(item) ?? 0n)) this.doubles.push(`${item}: token ${grant.token} again`);
        this.#tokens.set(item, grant.token);
        this.begun += 1;
        mine.set(name, grant);
        return () => {
          if (mine.get(name) === grant) mine.delete(name);
        };
      });

  /** Nothing is torn down in a process that was killed. */
  died(name: string): void {
    this.broke(name);
    for (const mine of this.#owners.values()) mine.delete(name);
  }

  /** Something happens to a member now. */
  broke(name: string): void {
    this.#faultMs.set(name, this.now());
  }

  /** Looks which items nobody works for who could. */
  look(): void {
    const nowMs = this.now();
    for (const [item, mine] of this.#owners) {
      if ([...mine.keys()].some((name) => this.isRunning(name))) {
        this.#dueMs.delete(item);
        this.#freeMs.delete(item);
        continue;
      }
      const freeMs = this.#freeMs.get(item) ?? nowMs;
      const next = this.#plan.get(CHECKED.keys.get(item) as number);
      const broken = [NAMES.find((name) => memberKeyOf(name) === next), this.#planner].map(
        (name) => this.#faultMs.get(name ?? '') ?? 0,
      );
      const dueMs = Math.max(this.#dueMs.get(item) ?? freeMs, ...broken);
      this.#freeMs.set(item, freeMs);
      this.#dueMs.set(item, dueMs);
      this.longestMs = Math.max(this.longestMs, nowMs - freeMs);
      this.longestDueMs = Math.max(this.longestDueMs, nowMs - dueMs);
      if (nowMs - dueMs > this.mostMs) {
        this.late.push(`${item} had no owner for ${Math.round(nowMs - freeMs)} ms at ${Math.round(nowMs)} ms`);
        this.#dueMs.set(item, nowMs);
      }
    }
  }

  /** Reads each plan: what has moved in it, and what of that had to, because its owner was gone or had more than its due. */
  follow(backend: Backend): Subscription {
    return combineLatest([backend.cell(`partitions/${GROUP}`), memberMap(backend, GROUP)]).subscribe(
      ([cell, present]) => {
        this.#planner = longestIn(present);
        if (cell === undefined) return;
        const plan = decodePlan(cell.value);
        const owners = new Set<MemberKey>([...plan.values()]);
        const weights = new Map([...present.keys()].filter((id) => owners.has(memberKeyOf(id))).map((id) => [id, 1]));
        const keys = new Set<MemberKey | undefined>([...weights.keys()].map(memberKeyOf));
        const moved = (to: Plan): number =>
          [...to].filter(([item, owner]) => this.#plan.has(item) && this.#plan.get(item) !== owner).length;
        const moves = moved(plan);
        if (moves === 0 && this.#plan.size > 0) return;
        const orphaned = [...plan].filter(([item, owner]) => {
          const before = this.#plan.get(item);
          return before !== undefined && before !== owner && !keys.has(before);
        }).length;
        const least = moved(nextPlan(STRATEGIES.sticky, this.#plan, weights, CHECKED));
        this.plans += 1;
        this.moves += moves;
        this.needless += Math.max(0, moves - Math.max(least, orphaned));
        this.#plan = plan;
      },
    );
  }

  line(what: string): string {
    const { plans, moves, needless, begun, longestMs, longestDueMs, mostMs, late, doubles } = this;
    const [longest, due, most] = [longestMs, longestDueMs, mostMs].map((ms) => (ms / 1_000).toFixed(1));
    const counts = [plans, moves, needless, begun].join(' | ');
    return `| ${what} | ${counts} | ${longest} s | ${due} s of ${most} s | ${late.length} | ${doubles.length} |`;
  }
}

const HEADER =
  '| | plans | moves in them | beyond the least | taken up | longest without an owner | since the last fault that mattered | too late | two owners |\n|---|---|---|---|---|---|---|---|---|';

/** An hour of ten processes: each comes and goes; now and then one is cut off, stopped, slow, killed, or loses a reply. */
function simulatedHour(strategy: Strategy, hourMs: number): Ledger {
  const ttlMs = 10_000;
  const cluster = new Simulation({ seed: 7, ttlMs, latencyMs: [1, 5] });
  const ledger = new Ledger(
    () => cluster.now(),
    (name) => cluster.isRunning(name),
    ttlMs + SETTLED_MS + SLACK_MS,
  );
  const between = (least: number, most: number): number => least + Math.floor(cluster.random() * (most - least));
  const come = (name: string): void => {
    const backend = cluster.backend(name, { maxBackoffMs: 2_000 });
    cluster.run(name, () => {
      const stay = withPartition(backend, GROUP, ITEMS, ledger.workOf(name), {
        strategy,
        settledMs: SETTLED_MS,
        id: name,
        ifTaken: 'wait',
      }).subscribe();
      cluster.at(between(60_000, 900_000), () => {
        if (cluster.random() < 0.5) {
          cluster.crash(name);
          ledger.died(name);
        } else stay.unsubscribe();
        cluster.at(between(1_000, 60_000), () => come(name));
      });
    });
  };
  for (const name of NAMES) come(name);
  for (let atMs = 30_000; atMs < hourMs; atMs += between(20_000, 60_000)) {
    const faults = [
      (name: string) => partition(name, between(500, 25_000)),
      (name: string) => stop(name, between(500, 20_000)),
      (name: string) => delay(name, between(50, 500), between(1_000, 20_000)),
      (name: string) => loseReply(name, cluster.random() < 0.5 ? 'enter' : 'write a cell'),
    ];
    cluster.at(atMs, () => {
      const alive = cluster.processes.filter((name) => NAMES.includes(name));
      const [name, fault] = [alive[between(0, alive.length)], faults[between(0, faults.length)]];
      if (name === undefined || fault === undefined) return;
      ledger.broke(name);
      cluster.apply(fault(name));
    });
  }
  ledger.follow(cluster.backend('looker'));
  let told = 0;
  const look = (): void => {
    // A reply is lost some time after that was ordered.
    for (const line of cluster.history.slice(told))
      if (line.endsWith('reply lost')) ledger.broke(line.split(' ')[1] ?? '');
    told = cluster.history.length;
    ledger.look();
    cluster.at(LOOK_MS, look);
  };
  look();
  cluster.pass(hourMs);
  return ledger;
}

function longestIn(present: ReadonlyMap<string, Member>): string | undefined {
  return [...present.values()].sort((a, b) => (a.token < b.token ? -1 : 1))[0]?.id;
}

const STARTS = {
  redis: () => startRedis({ appendonly: true }),
  etcd: () => startEtcd(),
  zookeeper: () => startZooKeeper(),
};

/** Ten members, each with a link of its own: it closes and comes again, unsubscribes, or is cut off for longer than its ttl. */
async function realMinutes(store: keyof typeof STARTS, minutes: number): Promise<Ledger> {
  await using server = await STARTS[store]();
  const options = { ttlMs: 4_000 };
  const ledger = new Ledger(
    () => performance.now(),
    () => true,
    options.ttlMs + SETTLED_MS + SLACK_MS,
  );
  const endMs = performance.now() + minutes * 60_000;
  const looker = connect(server.url, options);
  looker.faults$.subscribe();
  ledger.follow(looker);
  const looking = setInterval(() => ledger.look(), LOOK_MS);
  const member = async (name: string): Promise<void> => {
    await using link = await startProxy({ host: server.host, port: server.port });
    const url = server.url.replace(`${server.host}:${server.port}`, `${link.host}:${link.port}`);
    while (performance.now() < endMs) {
      const backend = connect(url, options);
      const stay = withPartition(backend, GROUP, ITEMS, ledger.workOf(name), {
        id: name,
        ifTaken: 'wait',
        settledMs: SETTLED_MS,
      }).subscribe({ error: (error) => ledger.doubles.push(`${name}: ${error}`) });
      await pause(Math.min(20_000 + Math.random() * 60_000, Math.max(0, endMs - performance.now())));
      if (Math.random() < 0.5) {
        ledger.broke(name);
        link.blackhole();
        await pause(Math.random() * 8_000);
        await link.heal();
        await pause(Math.random() * 10_000);
      }
      if (Math.random() < 0.3) stay.unsubscribe();
      await backend.close();
      await pause(Math.random() * 5_000);
    }
  };
  await Promise.all(NAMES.map(member));
  clearInterval(looking);
  await looker.close();
  return ledger;
}

const stores = process.argv.slice(2);
const failures: string[] = [];
console.log(HEADER);
if (stores.length === 0)
  for (const strategy of ['sticky', 'round-robin', 'hash'] as const) {
    const ledger = simulatedHour(strategy, Number(process.env['DIVIDE_SIMULATED_MS'] ?? 3_600_000));
    console.log(ledger.line(strategy));
    failures.push(...ledger.doubles, ...ledger.late);
  }
else {
  await ensureServers();
  const ledgers = stores.map(async (store) => {
    if (store !== 'redis' && store !== 'etcd' && store !== 'zookeeper') throw new Error(`no store ${store}`);
    const ledger = await realMinutes(store, Number(process.env['DIVIDE_MINUTES'] ?? 20));
    console.log(ledger.line(store));
    failures.push(...ledger.doubles, ...ledger.late);
  });
  await Promise.all(ledgers);
}
for (const failure of failures) console.error(failure);
if (failures.length > 0) process.exitCode = 1;
