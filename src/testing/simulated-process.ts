import { type SchedulerAction, type SchedulerLike, Subscription } from 'rxjs';
import type { ClockLike } from '../backends/backend.js';
import type { Environment } from '../backends/kernel/environment.js';
import { onDueCheck } from '../backends/validity.js';

/** What the processes of one simulation share. */
export interface World {
  /** True time: it never stands still. */
  readonly scheduler: SchedulerLike;
  /** How far the wall clocks are ahead of it. */
  readonly wallAheadMs: number;
  /** Uniform in [0, 1), by the seed. */
  readonly random: () => number;
  readonly newId: () => string;
  /** The process whose code runs now. */
  current: SimulatedProcess | undefined;
}

/**
 * One process as far as it can be told from within: its clock, its timers, and what is delivered to it.
 * While it is paused its clock stands, since nobody is there to look at it, and everything that is due waits.
 */
export class SimulatedProcess {
  readonly clock: ClockLike;
  readonly environment: Environment;
  readonly #checks = new Set<() => void>();
  #messages: (() => void)[] = [];
  #timers: (() => void)[] = [];
  #stoppedAtMs: number | undefined;
  #pausedUntilMs = 0;
  #isCrashed = false;
  #wallAheadMs = 0;
  /** For how long its machine was suspended, in all. */
  #suspendedMs = 0;
  #suspendedAtMs: number | undefined;

  constructor(
    readonly name: string,
    private readonly world: World,
  ) {
    const now = (): number => (this.#stoppedAtMs ?? world.scheduler.now()) - this.#suspendedMs;
    this.clock = {
      now,
      wallNow: () => (this.#stoppedAtMs ?? world.scheduler.now()) + world.wallAheadMs + this.#wallAheadMs,
      schedule: <T>(work: (this: SchedulerAction<T>, state: T) => void, delay = 0, state?: T): Subscription =>
        new ProcessAction(this, world.scheduler, work).schedule(state, delay),
    };
    this.environment = {
      newId: world.newId,
      newIds: () => world.newId,
      random: world.random,
      onDueCheck: (check) => {
        this.#checks.add(check);
        return () => {
          this.#checks.delete(check);
        };
      },
    };
  }

  get isCrashed(): boolean {
    return this.#isCrashed;
  }

  get isRunning(): boolean {
    return this.#stoppedAtMs === undefined;
  }

  /** Runs code as this process's own. What it asks of due losses is asked of this process's sessions only. */
  run<T>(act: () => T): T {
    const outer = this.world.current;
    if (outer === this) return act();
    this.world.current = this;
    // One of its own for each: with no latency, another process's run may lie in between.
    const forget = onDueCheck(() => {
      for (const check of [...this.#checks]) check();
    });
    try {
      return act();
    } finally {
      forget();
      this.world.current = outer;
    }
  }

  /** Something arrives from outside: now, or when the process runs again. */
  deliver(message: () => void): void {
    this.#runOrDefer(this.#messages, message);
  }

  /** A timer is due. */
  fire(timer: () => void): void {
    this.#runOrDefer(this.#timers, timer);
  }

  pause(forMs: number): void {
    if (this.#isCrashed) return;
    const { scheduler } = this.world;
    this.#stoppedAtMs ??= scheduler.now();
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, scheduler.now() + forMs);
    scheduler.schedule(() => {
      if (scheduler.now() >= this.#pausedUntilMs) this.resume();
    }, forMs);
  }

  /** As a pause, but for the monotonic clock, which goes on from where it stood. */
  suspend(forMs: number): void {
    if (this.#isCrashed) return;
    this.#suspendedAtMs ??= this.world.scheduler.now();
    this.pause(forMs);
  }

  /** What has arrived runs before what is due, as in an event loop that was blocked: the order that is harder to survive. */
  resume(): void {
    if (this.#isCrashed || this.isRunning) return;
    if (this.#suspendedAtMs !== undefined) this.#suspendedMs += this.world.scheduler.now() - this.#suspendedAtMs;
    this.#suspendedAtMs = undefined;
    this.#stoppedAtMs = undefined;
    this.#pausedUntilMs = 0;
    for (let next = this.#next(); next !== undefined; next = this.#next()) this.run(next);
  }

  crash(): void {
    this.#isCrashed = true;
    this.#stoppedAtMs ??= this.world.scheduler.now();
    this.#messages = [];
    this.#timers = [];
  }

  jumpWallClock(byMs: number): void {
    this.#wallAheadMs += byMs;
  }

  /** What is left over once the process is paused again stays where it is. */
  #next(): (() => void) | undefined {
    return this.isRunning ? (this.#messages.shift() ?? this.#timers.shift()) : undefined;
  }

  #runOrDefer(queue: (() => void)[], act: () => void): void {
    if (this.#isCrashed) return;
    if (this.isRunning) this.run(act);
    else queue.push(act);
  }
}

/** A timer of a process: due by true time, fired when the process runs. */
class ProcessAction<T> extends Subscription implements SchedulerAction<T> {
  #timer: Subscription | undefined;

  constructor(
    private readonly process: SimulatedProcess,
    private readonly scheduler: SchedulerLike,
    private readonly work: (this: SchedulerAction<T>, state: T) => void,
  ) {
    super(() => this.#timer?.unsubscribe());
  }

  schedule(state?: T, delay = 0): Subscription {
    if (this.closed || this.process.isCrashed) return this;
    // Timers of a process count whole milliseconds.
    const wholeMs = Math.ceil(delay);
    this.#fireAt(this.process.clock.now() + wholeMs, wholeMs, state);
    return this;
  }

  #fireAt(dueMs: number, delay: number, state?: T): void {
    this.#timer?.unsubscribe();
    this.#timer = this.scheduler.schedule(
      () =>
        this.process.fire(() => {
          if (this.closed) return;
          const earlyMs = dueMs - this.process.clock.now();
          // Its machine was suspended meanwhile.
          if (earlyMs > 0) this.#fireAt(dueMs, earlyMs, state);
          // As with RxJS's own actions, the state is whatever was scheduled.
          else this.work(state as T);
        }),
      delay,
    );
  }
}
