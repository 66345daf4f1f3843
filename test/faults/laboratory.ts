import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { filter, lastValueFrom, mergeMap, range, Subject, toArray } from 'rxjs';
import { type ClientProcess, spawnClient } from '../../src/testing/processes/client-process.js';
import { firstWithin } from '../../src/testing/processes/until.js';
import { watchdog } from '../../src/testing/processes/watchdog.js';
import { disposeAll, type TestServer } from '../../src/testing/servers/server.js';
import { startProxy, type TcpProxy } from '../../src/testing/servers/tcp-proxy.js';
import { ShiftedClock } from '../support/shifted-clock.js';
import type { ActorCalls, ActorMessage, Role } from './actor/main.js';
import type { Way } from './actor/turn.js';
import type { Fault } from './faults.js';
import { decodeLog, type HistoryEvent, merge, type Roster } from './history.js';
import { type Random, randomOf } from './random.js';
import { Recorder } from './recorder.js';
import type { ResourceCalls } from './resource.js';
import type { StoreUnderTest } from './stores.js';

const actorModule = new URL('./actor/main.ts', import.meta.url);
const resourceModule = new URL('./resource.ts', import.meta.url);

/** A client process, with a wall clock of its own. */
export type ActorProcess = ClientProcess<ActorCalls, ActorMessage> & { readonly clock: ShiftedClock };

/** One client process, with a network of its own between it and each node of the store. */
export interface Actor {
  readonly name: string;
  readonly process: ActorProcess;
  /** Those that it knows. */
  readonly nodes: readonly TestServer[];
  readonly proxies: readonly TcpProxy[];
}

/** Somebody has acquired something that the laboratory is told of. */
export interface Acquisition {
  readonly roster: Roster;
  readonly actor: Actor;
}

/** What is taken in a run. */
export interface Habits {
  /** Locks that are taken and released all the time. */
  readonly shortLocks: number;
  readonly shortHoldMs: readonly [number, number];
  readonly shortPauseMs: readonly [number, number];
  readonly workEveryMs: number;
  /** How the short locks are taken. Default: alone. */
  readonly shortWay?: Way;
  /** Those who stand in the election prefer each other, and each leads for a while only. */
  readonly isPreferring?: boolean;
  /** Each takes part in two schedules of this period: one at most once, one at least once. */
  readonly tickEveryMs?: number;
  /** Each is a member of a group among whom these are divided. */
  readonly divides?: { readonly items: readonly string[]; readonly settledMs: number };
}

/** What becomes of a run. */
export interface RunOptions {
  readonly actors: number;
  readonly habits: Habits;
  readonly seed: string;
  /** Which nodes the actor of this index knows. Default: all. */
  readonly nodesOf?: (index: number) => readonly TestServer[];
}

/** Held until told otherwise, or until something breaks. */
export const longLock: Roster = 'lock long';
/** Taken by nobody, unless told to. */
export const quietLock: Roster = 'lock quiet';
/** Of who is told to take it: until told otherwise. */
export const quietHabit = { lock: 'quiet', pauseMs: [0, 0], workEveryMs: 5 } as const;
export const election: Roster = 'election chief';
/** Stood in by nobody, unless told to. */
export const quietElection: Roster = 'election quiet';
/** Led by who does the ticks of a schedule; the laboratory is told of each tick. */
export const scheduleElection: Roster = 'election schedule again';
export const group = 'workers';

const nextHolderLimitMs = 30_000;
const startedAtOnce = 4;

/** Servers, networks and client processes of one store. They live for several runs, since starting them takes long. */
export class Laboratory implements AsyncDisposable {
  readonly #folder: string;
  readonly #actors = new Set<Actor>();
  readonly #spare: ActorProcess[] = [];
  #resource: ClientProcess<ResourceCalls, never> | undefined;
  #resourcePort = 0;
  #named = 0;
  #runs = 0;

  constructor(readonly store: StoreUnderTest) {
    // Of its own: others in this process go on when it is put away.
    this.#folder = join(watchdog().folder, 'faults', `${store.nodes[0]?.port}`);
    mkdirSync(this.#folder, { recursive: true });
  }

  /** Starts the processes of the first run beforehand. */
  async warmUp(actors: number): Promise<void> {
    this.#spare.push(...(await this.#spawnAll(actors)));
  }

  /** A run of so many actors. Those of earlier runs that still live take part again. */
  async begin({ actors, habits, seed, nodesOf }: RunOptions): Promise<Run> {
    this.#runs += 1;
    const name = `run-${this.#runs}`;
    const folder = join(this.#folder, `${this.store.nodes[0]?.port}-${name}`);
    mkdirSync(folder, { recursive: true });
    if (this.#resource === undefined) {
      this.#resource = await spawnClient<ResourceCalls>(resourceModule);
      this.#resourcePort = await this.#resource.request('listen');
    }
    await this.#resource.request('begin', name, join(folder, 'resource'));
    const run = new Run(this, { name, folder, habits, seed, resourcePort: this.#resourcePort });
    const processes = [...this.#spare.splice(0)];
    while (processes.length > actors) await processes.pop()?.kill();
    processes.push(...(await this.#spawnAll(actors - processes.length)));
    for (const [index, process] of processes.entries()) await run.enlist(process, { nodes: nodesOf?.(index) });
    return run;
  }

  /** A few at a time: fifty that start at once take longer than each is given. */
  #spawnAll(count: number): Promise<ActorProcess[]> {
    const each = range(0, Math.max(0, count)).pipe(mergeMap(() => this.spawn(), startedAtOnce));
    return lastValueFrom(each.pipe(toArray()));
  }

  async spawn(): Promise<ActorProcess> {
    const clock = new ShiftedClock();
    const environment = { ...this.environment, ...clock.environment };
    const process = await spawnClient<ActorCalls, ActorMessage>(actorModule, [], environment);
    void process.ended.then(() => clock[Symbol.dispose]());
    return Object.assign(process, { clock });
  }

  /** For the actors. */
  environment: Readonly<Record<string, string>> = {};

  async actorOf(process: ActorProcess, known?: readonly TestServer[]): Promise<Actor> {
    // Sentinels, and the nodes of a Redis Cluster, name the servers themselves.
    const { endpoint, sentinels, url } = this.store;
    const isProxied = this.store.isProxied ?? (sentinels === undefined && url === undefined);
    const nodes = known ?? (isProxied ? this.store.nodes : []);
    this.#named += 1;
    const addresses = endpoint === undefined ? nodes : [endpoint.address];
    const proxies = await Promise.all(addresses.map(({ host, port }) => startProxy({ host, port })));
    const actor = { name: `p${this.#named}`, process, nodes, proxies };
    this.#actors.add(actor);
    return actor;
  }

  /** The process may take part in the next run; nothing else of the actor is left. */
  async dismiss(actor: Actor, isAlive: boolean): Promise<void> {
    this.#actors.delete(actor);
    if (isAlive) this.#spare.push(actor.process);
    await disposeAll(actor.proxies);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const processes = [...this.#spare, ...[...this.#actors].map(({ process }) => process)];
    await disposeAll([...processes, ...[...this.#actors].flatMap(({ proxies }) => proxies)]);
    await this.#resource?.kill();
    await this.store[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function urlOf(scheme: string, proxies: readonly TcpProxy[]): string {
  const hosts = proxies.map(({ host, port }) => `${host}:${port}`).join(',');
  return `${scheme}:${hosts === '' ? '' : `//${hosts}`}`;
}

/** Where each node of a cluster is to be found, in place of the address that the nodes name. */
function natMapOf({ nodes, proxies }: Actor): NonNullable<Role['natMap']> {
  const entries = nodes.flatMap(({ host, port }, index) => {
    const proxy = proxies[index];
    return proxy === undefined ? [] : [[`${host}:${port}`, { host: proxy.host, port: proxy.port }] as const];
  });
  return Object.fromEntries(entries);
}

interface Enlisting {
  /** Which nodes it knows. Default: all. */
  readonly nodes?: readonly TestServer[] | undefined;
  /** What it does. Default: everything. */
  readonly habits?: (process: ActorProcess) => Promise<void>;
  /** What becomes of it while it connects for the first time. */
  readonly meanwhile?: (actor: Actor) => Promise<void>;
}

function everything(habits: Habits): (process: ActorProcess) => Promise<void> {
  const { shortLocks, shortHoldMs: holdMs, shortPauseMs: pauseMs, workEveryMs, shortWay: way = 'alone' } = habits;
  const { isPreferring = false, tickEveryMs: everyMs, divides } = habits;
  const preferring = { isPreferring, reignMs: [300, 900] } as const;
  return async (process) => {
    for (let index = 0; index < shortLocks; index += 1) {
      await process.request('contend', { lock: `short-${index}`, way, holdMs, pauseMs, workEveryMs });
    }
    await process.request('contend', { lock: 'long', pauseMs, workEveryMs: 20 });
    await process.request('stand', { election: 'chief', pauseMs, workEveryMs: 20, ...(isPreferring && preferring) });
    if (everyMs !== undefined)
      for (const [schedule, delivery] of [
        ['once', 'at-most-once'],
        ['again', 'at-least-once'],
      ] as const)
        await process.request('tick', { schedule, delivery, everyMs, workMs: [0.1 * everyMs, 0.6 * everyMs] });
    if (divides !== undefined) await process.request('divide', { group: 'dividers', ...divides, workEveryMs: 20 });
    await process.request('join', group);
    await process.request('watch', group);
  };
}

interface RunSettings {
  readonly name: string;
  readonly folder: string;
  readonly habits: Habits;
  readonly seed: string;
  readonly resourcePort: number;
}

/** From the first actor to the history. */
export class Run {
  readonly random: Random;
  /** What escaped: processes that ended by themselves, calls that were not answered. */
  readonly escapes: string[] = [];
  readonly #actors: Actor[] = [];
  readonly #briefed = new Set<Actor>();
  readonly #stopped = new Set<Actor>();
  readonly #killed = new Set<Actor>();
  readonly #acquisitions = new Subject<Acquisition>();
  readonly #holders = new Map<Roster, Actor>();
  readonly #recorder: Recorder;
  #rounds = 0;

  constructor(
    private readonly laboratory: Laboratory,
    private readonly settings: RunSettings,
  ) {
    this.random = randomOf(settings.seed);
    this.#recorder = new Recorder(join(settings.folder, 'laboratory'), 'laboratory');
    this.#acquisitions.subscribe(({ roster, actor }) => this.#holders.set(roster, actor));
  }

  get store(): StoreUnderTest {
    return this.laboratory.store;
  }

  get namespace(): string {
    return `${this.settings.name}-${this.store.nodes[0]?.port}`;
  }

  /** Those that run and have been told what to do. */
  get actors(): readonly Actor[] {
    return this.#actors.filter((actor) => !this.#killed.has(actor) && this.#briefed.has(actor));
  }

  get rounds(): number {
    return this.#rounds;
  }

  /** The actor that was the last to acquire it. */
  holderOf(roster: Roster): Actor | undefined {
    return this.#holders.get(roster);
  }

  /** Some actor that does not hold what the laboratory is told of. */
  bystander(): Actor {
    const holders = new Set(this.#holders.values());
    const others = this.actors.filter((actor) => !holders.has(actor));
    return this.random.pick(others.length > 0 ? others : this.actors);
  }

  /** Waits until somebody, or somebody else, holds it. */
  async untilHeld(roster: Roster, otherThan?: Actor): Promise<Actor> {
    const holder = this.holderOf(roster);
    if (holder !== undefined && holder !== otherThan && !this.#killed.has(holder)) return holder;
    const what = `the next holder of ${roster}${otherThan === undefined ? '' : ` after ${otherThan.name}`}`;
    const next = this.#acquisitions.pipe(filter((one) => one.roster === roster && one.actor !== otherThan));
    return (await firstWithin(next, () => true, nextHolderLimitMs, what)).actor;
  }

  /** Whoever acquires it next, counted from this call. */
  async nextHolder(roster: Roster): Promise<Actor> {
    const next = this.#acquisitions.pipe(filter((one) => one.roster === roster));
    return (await firstWithin(next, () => true, nextHolderLimitMs, `the next holder of ${roster}`)).actor;
  }

  /** Waits until every actor that runs has acquired something so many times more. */
  async untilAllTakePart(times = 2): Promise<void> {
    await Promise.all(
      this.actors
        .filter((actor) => !this.#stopped.has(actor))
        .map(async ({ name, process }) => {
          try {
            await process.request('untilAcquired', times);
          } catch (error) {
            this.escapes.push(`${name} did not take part any more: ${error}`);
          }
        }),
    );
  }

  /** Something is broken for so long, or until `until` has resolved. */
  async during(fault: Fault, until: number | (() => Promise<unknown>)): Promise<void> {
    const { name, reaches, losesData = false } = fault;
    const damage = {
      fault: name,
      reaches: reaches === 'all' ? 'all' : reaches.map((actor) => actor.name),
      losesData,
    } as const;
    this.#recorder.tell({ kind: 'fault began', ...damage });
    await fault.begin();
    try {
      if (typeof until === 'number') await delay(until);
      else await until();
    } finally {
      // What waits in vain for something breaks no later run.
      await fault.end();
      this.#recorder.tell({ kind: 'fault ended', ...damage });
    }
  }

  /** SIGKILL. */
  async kill(actor: Actor): Promise<void> {
    this.#killed.add(actor);
    this.#recorder.tellOf(actor.name, { kind: 'killed' });
    await actor.process.kill();
    this.#recorder.tellOf(actor.name, { kind: 'ended' });
  }

  /** SIGSTOP, and SIGCONT after so long. */
  async pause(actor: Actor, ms: number): Promise<void> {
    this.#stopped.add(actor);
    actor.process.pause();
    this.#recorder.tellOf(actor.name, { kind: 'paused' });
    await delay(ms);
    this.#recorder.tellOf(actor.name, { kind: 'continued' });
    actor.process.resume();
    this.#stopped.delete(actor);
  }

  /** SIGSTOP, and SIGCONT after so long, by clocks of which the monotonic one has stood still meanwhile. */
  async suspend(actor: Actor, ms: number): Promise<void> {
    const { name, process } = actor;
    this.#stopped.add(actor);
    await process.pause();
    const since = performance.now();
    this.#recorder.tellOf(name, { kind: 'paused' });
    await delay(ms);
    process.clock.standStill(performance.now() - since);
    this.#recorder.tellOf(name, { kind: 'continued' });
    process.resume();
    this.#stopped.delete(actor);
  }

  /** A process that takes no part yet. */
  spawn(): Promise<ActorProcess> {
    return this.laboratory.spawn();
  }

  /** A new actor takes part. */
  async enlistAnother(enlisting?: Enlisting): Promise<Actor> {
    return this.enlist(await this.spawn(), enlisting);
  }

  async enlist(process: ActorProcess, { nodes, habits, meanwhile }: Enlisting = {}): Promise<Actor> {
    const actor = await this.laboratory.actorOf(process, nodes);
    const { name, folder, seed, resourcePort } = this.settings;
    this.#actors.push(actor);
    process.messages$.subscribe(({ roster, run }) => {
      if (run === name) this.#acquisitions.next({ roster, actor });
    });
    void process.ended.then(({ code, signal }) => {
      if (this.#killed.has(actor) || this.#isOver) return;
      this.#killed.add(actor);
      this.escapes.push(
        `${actor.name} ended by itself (code ${code}, signal ${signal}): ${process.log().slice(-2_000)}`,
      );
      this.#recorder.tellOf(actor.name, { kind: 'ended' });
    });
    const { store } = this.laboratory;
    const happening = meanwhile?.(actor);
    await process.request('begin', {
      process: actor.name,
      ...(store.url !== undefined && actor.proxies.length > 0
        ? { url: urlOf(store.name, []), natMap: natMapOf(actor) }
        : { url: store.url ?? urlOf(store.name, actor.proxies) }),
      ...(store.sentinels && { sentinels: store.sentinels.map(({ host, port }) => ({ host, port })) }),
      options: store.options(this.namespace),
      log: join(folder, actor.name),
      run: name,
      resourcePort,
      seed,
      told: [longLock, election, quietLock, quietElection, scheduleElection],
    });
    await (habits ?? everything(this.settings.habits))(process);
    await happening;
    this.#briefed.add(actor);
    return actor;
  }

  /** For whoever reads the history. */
  note(text: string): void {
    this.#recorder.tell({ kind: 'note', text });
  }

  round(): number {
    this.#rounds += 1;
    this.note(`round ${this.#rounds}`);
    return this.#rounds;
  }

  #isOver = false;

  /** Everybody leaves; returns what happened. */
  async end(): Promise<HistoryEvent[]> {
    const alive = this.actors;
    await Promise.all(
      alive.map(async ({ name, process }) => {
        try {
          await process.request('stop');
          await process.request('close');
        } catch (error) {
          this.escapes.push(`${name} did not close: ${error}`);
        }
      }),
    );
    this.#isOver = true;
    await Promise.all(this.#actors.map((actor) => this.laboratory.dismiss(actor, alive.includes(actor))));
    this.#recorder[Symbol.dispose]();
    const { folder } = this.settings;
    const histories = readdirSync(folder).map((file) => decodeLog(readFileSync(join(folder, file), 'utf8')));
    rmSync(folder, { recursive: true, force: true });
    return merge(histories);
  }
}
