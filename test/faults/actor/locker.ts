import type { Subscription } from 'rxjs';
import { type Backend, BackendClosed, LockLost } from '../../../src/index.js';
import type { Roster } from '../history.js';
import { now } from '../recorder.js';
import { fail } from './fatal.js';
import type { Setting, Taker } from './setting.js';
import { type Taken, type Turn, turnOf, type Way } from './turn.js';

export interface LockHabit {
  readonly lock: string;
  /** Default: alone. */
  readonly way?: Way;
  /** Held for so long, from and to; without it, until told to release. */
  readonly holdMs?: readonly [number, number];
  /** From a release to standing in line again, from and to. */
  readonly pauseMs: readonly [number, number];
  readonly workEveryMs: number;
}

/** A past holder's write that is late arrives after these. */
const lateMs = [0, 300];

/** Takes a lock, works, releases, and again. */
export class Locker implements Taker {
  readonly roster: Roster;
  #line: Subscription | undefined;
  #permits = 1;
  /** Of this turn, by what is taken. */
  #holdings: ReadonlyMap<Roster, string> = new Map();
  #taken: Taken | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(
    private readonly backend: Backend,
    private readonly habit: LockHabit,
    private readonly setting: Setting,
  ) {
    this.roster = `lock ${habit.lock}`;
  }

  start(): void {
    if (this.#isOver) return;
    const { lock, way = 'alone' } = this.habit;
    const { random } = this.setting;
    const { rosters, permits, taken$ }: Turn = turnOf(this.backend, lock, way, random);
    this.#permits = permits;
    this.#holdings = new Map(rosters.map((roster) => [roster, this.setting.newHolding(roster)]));
    for (const [roster, holding] of this.#holdings)
      this.setting.recorder.tell({ kind: 'contending', roster, holding, ...(permits !== 1 && { permits }) });
    this.#line = taken$.subscribe({
      next: (taken) => this.#acquired(taken),
      error: (error) => {
        if (!(error instanceof LockLost)) fail(`lock ${lock}`, error);
        // One of several may be lost while another is waited for.
        this.#tell(this.#taken === undefined ? 'withdrew' : 'lost');
        this.#writeLate();
        this.#again();
      },
      complete: () => {
        if (!this.#isOver) fail(`lock ${lock}`, new BackendClosed('the lock completed by itself'));
      },
    });
  }

  /** One guarded item of work, if it may be done. */
  work(): boolean {
    const taken = this.#taken;
    if (taken === undefined) return false;
    const holdings = this.#holdings;
    const at = now();
    if (!taken.isValid()) return false;
    for (const [roster, holding] of holdings) {
      const token = taken.tokens.get(roster);
      if (token === undefined) fail(roster, new Error('it has no token'));
      this.setting.recorder.tell({ kind: 'worked', roster, holding, token }, at);
      // Those who hold together write in any order: a register that refuses smaller tokens is for who holds alone.
      if (this.#permits === 1) this.setting.register.write(roster, holding, token);
    }
    return true;
  }

  release(): void {
    if (this.#taken === undefined) return;
    this.#leave();
    this.#again();
  }

  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#leave();
  }

  #acquired(taken: Taken): void {
    const holdings = this.#holdings;
    if (this.#taken !== undefined) fail(`lock ${this.habit.lock}`, new Error('it was granted twice'));
    this.#taken = taken;
    for (const [roster, holding] of holdings) {
      const token = taken.tokens.get(roster);
      if (token === undefined) fail(roster, new Error('it has no token'));
      this.setting.recorder.tell({ kind: 'acquired', roster, holding, token });
      this.setting.acquired(roster);
    }
    const until = this.habit.holdMs && performance.now() + this.setting.random.between(...this.habit.holdMs);
    const goOn = (): void => {
      const mayGoOn = this.work();
      // What is lost comes back by itself; here it may have become another grant by now.
      if (!mayGoOn || this.#holdings !== holdings) return;
      if (until !== undefined && performance.now() >= until) this.release();
      else this.#timer = setTimeout(goOn, this.habit.workEveryMs);
    };
    this.#timer = setTimeout(goOn, 0);
  }

  #leave(): void {
    clearTimeout(this.#timer);
    if (this.#line !== undefined) this.#tell(this.#taken === undefined ? 'withdrew' : 'released');
    this.#taken = undefined;
    this.#line?.unsubscribe();
    this.#line = undefined;
  }

  #again(): void {
    clearTimeout(this.#timer);
    this.#taken = undefined;
    this.#line = undefined;
    if (!this.#isOver) this.#timer = setTimeout(() => this.start(), this.setting.random.between(...this.habit.pauseMs));
  }

  #tell(kind: 'lost' | 'released' | 'withdrew'): void {
    for (const [roster, holding] of this.#holdings) this.setting.recorder.tell({ kind, roster, holding });
  }

  /** What a client sends that has not heard of its loss, or whose write was held up on its way. */
  #writeLate(): void {
    const { tokens } = this.#taken ?? {};
    const holdings = this.#holdings;
    if (tokens === undefined || this.#permits !== 1) return;
    for (const [roster, holding] of holdings) {
      const token = tokens.get(roster);
      if (token === undefined) continue;
      for (const ms of lateMs) setTimeout(() => this.setting.register.write(roster, holding, token), ms);
    }
  }
}
