import { of, type SchedulerLike, VirtualTimeScheduler } from 'rxjs';
import type { Backend } from '../backends/backend.js';
import { createBackend } from '../backends/kernel/create-backend.js';
import { memoryCharacteristics } from '../backends/memory/characteristics.js';
import { MemoryStore } from '../backends/memory/memory-store.js';
import {
  check,
  checkAll,
  type Expectation,
  either,
  integer,
  number,
  objectWith,
  TEXT,
} from '../backends/shared/expectations.js';
import type { BackendOptions } from '../backends/shared/options.js';
import {
  callOf,
  checkFault,
  crash,
  delay,
  deploy,
  expireSession,
  type Fault,
  heal,
  jumpClock,
  type Losable,
  loseReply,
  partition,
  pause,
  type RestartOptions,
  restartStore,
  suspend,
} from './faults.js';
import { macrotask } from './macrotask.js';
import { parseMarbles } from './marble-text.js';
import { withPlainTimers } from './plain-timers.js';
import { randomFrom } from './random.js';
import { SimulatedProcess, type World } from './simulated-process.js';
import { Wire } from './wire.js';

/** Options of `simulate`. */
export interface SimulationOptions {
  /** Where time comes from. Default: virtual time of its own, which `pass` lets go by. */
  readonly scheduler?: SchedulerLike | undefined;
  /** Everything random comes from it: the same seed, the same history. Default 1. */
  readonly seed?: number | undefined;
  /** How long a message between a process and the store takes, or the least and the most. Default 0: none. */
  readonly latencyMs?: number | readonly [least: number, most: number] | undefined;
  /** Lifetime of a session that is not renewed. Default 10,000. */
  readonly ttlMs?: number | undefined;
  /** What the wall clocks of all processes show when the simulation begins. Default: the beginning of 1970. */
  readonly startsAt?: Date | undefined;
}

/** Options of a simulated process's backend; time and namespace are the simulation's. */
export type ProcessOptions = Omit<BackendOptions, 'scheduler' | 'namespace'>;

/** Several processes and one store, simulated. */
export interface Cluster {
  /** True time, which no process's pause stops. */
  readonly scheduler: SchedulerLike;
  /** Uniform in [0, 1), by the seed. */
  readonly random: () => number;
  /** What has reached the store, what went wrong, and what was noted: `1500 a renew`. */
  readonly history: readonly string[];
  /** The backend of a process, which is there from the first call on, and again after a crash. */
  backend(process: string, options?: ProcessOptions): Backend;
  /**
   * Runs code as a process's own, at once: timers that it starts belong to that process. Throws where the process has
   * crashed.
   */
  run<T>(process: string, act: () => T): T;
  /** Milliseconds since the simulation began. */
  now(): number;
  /** Does something once `ms` have gone by from now. */
  at(ms: number, act: () => void): void;
  /** Adds a line to `history`. */
  note(process: string, what: string): void;
  /** Whether a process is there, and neither paused nor crashed. */
  isRunning(process: string): boolean;

  /** Lets virtual time go by. */
  pass(ms: number): void;
  /** Lets virtual time go by, and every promise settle at each moment. */
  passWithPromises(ms: number): Promise<void>;

  partition(process: string, forMs?: number): void;
  heal(process: string): void;
  pause(process: string, forMs: number): void;
  suspend(process: string, forMs: number): void;
  expireSession(process: string): void;
  crash(process: string): void;
  deploy(process: string, drainMs?: number): void;
  restartStore(options: RestartOptions): void;
  loseReply(process: string, of: Losable): void;
  delay(process: string, ms: number, forMs?: number): void;
  jumpClock(process: string, byMs: number): void;
  /** Makes one fault happen now. */
  apply(fault: Fault): void;
  /** Makes faults happen when the marbles say so, from now on. */
  faults(marbles: string, faults: Readonly<Record<string, Fault>>): void;
  /** Ends every fault that can be ended; crashed processes stay so. */
  healAll(): void;

  /** Ends every fault and closes every backend, at once where it drains, too. In virtual time the promise settles only as time goes by. */
  close(): Promise<void>;
}

/** A process is spoken of that the simulation does not have. */
export class UnknownProcess extends Error {
  override readonly name = 'UnknownProcess';
  constructor(
    readonly process: string,
    /** Those that it has. */
    readonly known: readonly string[],
  ) {
    const name = JSON.stringify(process);
    super(`There is no process ${name} yet: call backend(${name}) first. There are: ${known.join(', ') || 'none'}.`);
  }
}

/** Time that goes by when it is told to, one moment after the other. */
class VirtualTime extends VirtualTimeScheduler {
  /** Runs everything that is due at the next moment, if that is not later than `untilMs`. */
  nextMoment(untilMs: number): boolean {
    const next = this.actions[0];
    if (next === undefined || next.delay > untilMs) return false;
    this.maxFrames = next.delay;
    this.flush();
    return true;
  }

  /** Nothing was due any more until then. */
  arriveAt(ms: number): void {
    this.frame = ms;
  }
}

interface Member {
  readonly process: SimulatedProcess;
  readonly wire: Wire;
  readonly backend: Backend;
  cutUntilMs: number;
  delayedUntilMs: number;
  /** It was told to end. */
  isEnding: boolean;
}

const LATENCY_MS = number(0, 2 ** 31 - 1);
const TTL_MS = number(1, 2 ** 31 - 1);
const PASSING_MS = number(0, Number.MAX_SAFE_INTEGER);
const DATE: Expectation = ['a date', (value) => value instanceof Date && !Number.isNaN(value.getTime())];
const RANGE: Expectation = [
  'two such numbers, the lesser one first',
  (value) => Array.isArray(value) && value.length === 2 && value.every(LATENCY_MS[1]) && value[0] <= value[1],
];

/**
 * Simulates any number of processes on one store, and what may go wrong between them.
 *
 *     a        L=====p==========x------
 *     b        --------------------L===    p: a is cut off   x: a is told   L: elected
 *
 * The store is that of the memory backend, the sessions, deadlines, lines and tokens are those of every backend: the
 * same kernel runs. Time is virtual, and everything random comes from the seed, so the same simulation has the same
 * history each time. Plain timers of RxJS, such as `interval(1_000)`, take their time from the simulation wherever
 * code runs in it: in `run`, and while `pass` lets time go by.
 *
 * **Errors** `InvalidOptions`, thrown at the call, by faults too; `UnknownProcess` for a fault of a process that is not
 * there.
 * **Teardown** none is needed in virtual time: what nobody refers to any longer is gone.
 * **Guarantee** not: that code after an `await` belongs to the process it began in; it takes time from
 * `backend.scheduler`. But: nothing of a paused or crashed process runs, as far as it takes its time from the simulation.
 * **Source** FoundationDB's simulation; tokio's `turmoil`.
 *
 * @example
 * const cluster = simulate({ latencyMs: 5 });
 * leadership(cluster.backend('a'), 'scheduler').subscribe((leads) => console.log(cluster.now(), leads));
 * cluster.partition('a', 20_000);
 * cluster.pass(60_000);
 */
export function simulate(options: SimulationOptions = {}): Cluster {
  return new Simulation(options);
}

/** The simulation, with what `explore` and `marbles` need of it besides. */
export class Simulation implements Cluster {
  readonly scheduler: SchedulerLike;
  readonly random: () => number;
  readonly history: string[] = [];
  readonly world: World;
  readonly #virtual: VirtualTime | undefined;
  readonly #startMs: number;
  readonly #ttlMs: number | undefined;
  readonly #latencyMs: () => number;
  readonly #store: MemoryStore;
  readonly #members = new Map<string, Member>();
  #storeAwayUntilMs: number | undefined;
  #keepsData = true;

  readonly #endsAtMs: number;

  /** What is scripted for a time after `endsAtMs` could only be forgotten. */
  constructor(options: SimulationOptions, endsAtMs: number = Number.POSITIVE_INFINITY) {
    checkAll(options, {
      scheduler: objectWith('now', 'schedule'),
      seed: integer(-(2 ** 31), 2 ** 32 - 1),
      latencyMs: either(LATENCY_MS, RANGE),
      ttlMs: TTL_MS,
      startsAt: DATE,
    });
    const { scheduler, seed = 1, latencyMs = 0, ttlMs, startsAt } = options;
    this.#endsAtMs = endsAtMs;
    this.#virtual = scheduler === undefined ? new VirtualTime() : undefined;
    this.scheduler = scheduler ?? (this.#virtual as VirtualTime);
    this.#startMs = this.scheduler.now();
    this.#ttlMs = ttlMs;
    this.random = randomFrom(seed);
    const [least, most] = typeof latencyMs === 'number' ? [latencyMs, latencyMs] : latencyMs;
    this.#latencyMs = least === most ? () => least : () => least + Math.floor(this.random() * (most - least + 1));
    let lastId = 0;
    let lastToken = 0n;
    this.#store = new MemoryStore(this.scheduler, () => ++lastToken);
    this.world = {
      scheduler: this.scheduler,
      wallAheadMs: startsAt === undefined ? 0 : startsAt.getTime() - this.#startMs,
      random: this.random,
      newId: () => (++lastId).toString(16).padStart(32, '0'),
      current: undefined,
    };
  }

  backend(name: string, options: ProcessOptions = {}): Backend {
    check({ name }, { name: TEXT }, ['name']);
    const known = this.#members.get(name);
    if (known !== undefined && !known.process.isCrashed) return known.backend;
    const process = new SimulatedProcess(name, this.world);
    const wire = new Wire(process, this.world, { latencyMs: this.#latencyMs, note: this.note.bind(this) });
    const backend = createBackend(
      'memory',
      memoryCharacteristics,
      of(wire.store(this.#store.adapter())),
      { ttlMs: this.#ttlMs, ...options, scheduler: process.clock },
      process.environment,
    );
    if (this.#storeAwayUntilMs !== undefined) wire.storeIs(false);
    this.#members.set(name, { process, wire, backend, cutUntilMs: 0, delayedUntilMs: 0, isEnding: false });
    return backend;
  }

  run<T>(name: string, act: () => T): T {
    const { process } = this.#member(name);
    if (process.isCrashed)
      throw new Error(`The process ${JSON.stringify(name)} has crashed: backend() starts it anew.`);
    return this.#withPlainTimers(() => process.run(act));
  }

  now(): number {
    return this.scheduler.now() - this.#startMs;
  }

  at(ms: number, act: () => void): void {
    this.scheduler.schedule(act, passing(ms));
  }

  note(process: string, what: string): void {
    this.history.push(`${this.now()} ${process} ${what}`);
  }

  isRunning(name: string): boolean {
    return this.#members.get(name)?.process.isRunning ?? false;
  }

  pass(ms: number): void {
    this.passWith(ms, () => undefined);
  }

  /** As `pass`, and looks after each moment at which something happened. */
  passWith(ms: number, look: () => void): void {
    const virtual = this.#ownTime();
    const untilMs = virtual.frame + passing(ms);
    this.#withPlainTimers(() => {
      while (virtual.nextMoment(untilMs)) look();
    });
    virtual.arriveAt(untilMs);
  }

  async passWithPromises(ms: number): Promise<void> {
    const virtual = this.#ownTime();
    const untilMs = virtual.frame + passing(ms);
    do await macrotask();
    while (this.#withPlainTimers(() => virtual.nextMoment(untilMs)));
    virtual.arriveAt(untilMs);
  }

  partition(process: string, forMs?: number): void {
    this.apply(partition(process, forMs));
  }
  heal(process: string): void {
    this.apply(heal(process));
  }
  pause(process: string, forMs: number): void {
    this.apply(pause(process, forMs));
  }
  suspend(process: string, forMs: number): void {
    this.apply(suspend(process, forMs));
  }
  expireSession(process: string): void {
    this.apply(expireSession(process));
  }
  crash(process: string): void {
    this.apply(crash(process));
  }
  deploy(process: string, drainMs?: number): void {
    this.apply(deploy(process, drainMs));
  }
  restartStore(options: RestartOptions): void {
    this.apply(restartStore(options));
  }
  loseReply(process: string, of: Losable): void {
    this.apply(loseReply(process, of));
  }
  delay(process: string, ms: number, forMs?: number): void {
    this.apply(delay(process, ms, forMs));
  }
  jumpClock(process: string, byMs: number): void {
    this.apply(jumpClock(process, byMs));
  }

  apply(fault: Fault): void {
    checkFault(fault);
    this.note('-', callOf(fault));
    if (fault.kind === 'restartStore') this.#restart(fault.keepData, fault.forMs);
    else this.#applyTo(this.#member(fault.process), fault);
  }

  faults(marbles: string, faults: Readonly<Record<string, Fault>>): void {
    for (const { atMs, symbol } of parseMarbles(marbles)) {
      const fault = faults[symbol];
      if (fault === undefined) throw new Error(`The marbles '${marbles}' have '${symbol}', which is no fault given.`);
      checkFault(fault);
      if (this.now() + atMs > this.#endsAtMs)
        throw new Error(`The marbles '${marbles}' have '${symbol}' after the end of the test, ${this.#endsAtMs} ms.`);
      this.at(atMs, () => this.apply(fault));
    }
  }

  healAll(): void {
    if (this.#storeAwayUntilMs !== undefined) this.#startStore();
    for (const member of this.#members.values()) {
      this.#mend(member);
      member.process.resume();
    }
  }

  async close(): Promise<void> {
    this.healAll();
    const alive = [...this.#members.values()].filter(({ process }) => !process.isCrashed);
    await Promise.all(alive.map(({ process, backend }) => process.run(() => backend.close({ drainMs: 0 }))));
  }

  /** It has ended, or is about to. */
  isLeaving(name: string): boolean {
    const member = this.#members.get(name);
    return member !== undefined && (member.isEnding || member.process.isCrashed);
  }

  /** Does something at this moment, with the timers that it starts in the time of the simulation. */
  play<T>(act: () => T): T {
    return this.#withPlainTimers(act);
  }

  get processes(): readonly string[] {
    return [...this.#members.keys()];
  }

  /** RxJS's default scheduler is replaced only where time is virtual: real time is the same everywhere. */
  #withPlainTimers<T>(act: () => T): T {
    return this.scheduler instanceof VirtualTimeScheduler ? withPlainTimers(this.world, act) : act();
  }

  #ownTime(): VirtualTime {
    if (this.#virtual !== undefined) return this.#virtual;
    throw new Error('Time belongs to the scheduler that the simulation was given: let that one pass.');
  }

  #member(name: string): Member {
    const member = this.#members.get(name);
    if (member !== undefined) return member;
    throw new UnknownProcess(name, this.processes);
  }

  #applyTo(member: Member, fault: Exclude<Fault, { kind: 'restartStore' }>): void {
    const { process, wire } = member;
    if (process.isCrashed) return;
    switch (fault.kind) {
      case 'partition':
        wire.cut();
        member.cutUntilMs = Math.max(member.cutUntilMs, this.#after(fault.forMs));
        this.#later(fault.forMs, () => {
          if (this.scheduler.now() >= member.cutUntilMs) wire.mend();
        });
        return;
      case 'heal':
        this.#mend(member);
        return;
      case 'pause':
        process.pause(fault.forMs);
        return;
      case 'suspend':
        process.suspend(fault.forMs);
        return;
      case 'expireSession':
        if (wire.sessionId !== undefined) this.#store.expire(wire.sessionId);
        return;
      case 'crash':
        process.crash();
        return;
      case 'deploy':
        member.isEnding = true;
        // A process that is stopped finds the signal when it runs again.
        process.deliver(() => {
          void member.backend.close({ drainMs: fault.drainMs });
          member.backend.session$.subscribe({ error: () => process.crash(), complete: () => process.crash() });
        });
        return;
      case 'loseReply':
        wire.loseReply(fault.of);
        return;
      case 'delay':
        wire.extraMs = fault.ms;
        member.delayedUntilMs = this.#after(fault.forMs);
        this.#later(fault.forMs, () => {
          if (this.scheduler.now() >= member.delayedUntilMs) wire.extraMs = 0;
        });
        return;
      case 'jumpClock':
        process.jumpWallClock(fault.byMs);
    }
  }

  #mend(member: Member): void {
    member.cutUntilMs = 0;
    member.delayedUntilMs = 0;
    member.wire.extraMs = 0;
    member.wire.mend();
  }

  #restart(keepData: boolean, forMs: number): void {
    this.#keepsData &&= keepData;
    if (this.#storeAwayUntilMs === undefined) {
      this.#storeAwayUntilMs = 0;
      this.#store.stop();
      for (const { wire } of this.#members.values()) wire.storeIs(false);
    }
    this.#storeAwayUntilMs = Math.max(this.#storeAwayUntilMs, this.#after(forMs));
    this.#later(forMs, () => {
      if (this.#storeAwayUntilMs !== undefined && this.scheduler.now() >= this.#storeAwayUntilMs) this.#startStore();
    });
  }

  #startStore(): void {
    this.#storeAwayUntilMs = undefined;
    this.#store.start({ keepData: this.#keepsData });
    this.#keepsData = true;
    for (const { wire } of this.#members.values()) wire.storeIs(true);
  }

  #after(ms: number | undefined): number {
    return ms === undefined ? Number.POSITIVE_INFINITY : this.scheduler.now() + ms;
  }

  #later(ms: number | undefined, act: () => void): void {
    if (ms !== undefined) this.scheduler.schedule(act, ms);
  }
}

function passing(ms: number): number {
  check({ ms }, { ms: PASSING_MS }, ['ms']);
  return ms;
}
