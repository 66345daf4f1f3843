import type { Subscription } from 'rxjs';
import { type Backend, BackendClosed, type Grant, LockLost, lock } from '../../../src/index.js';
import type { Roster } from '../history.js';
import { now } from '../recorder.js';
import { fail } from './fatal.js';
import type { Setting, Taker } from './setting.js';

export interface LockHabit {
  readonly lock: string;
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
  #holding = '';
  #grant: Grant | undefined;
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
    const { roster } = this;
    const holding = this.setting.newHolding(roster);
    this.#holding = holding;
    this.setting.recorder.tell({ kind: 'contending', roster, holding });
    this.#line = lock(this.backend, this.habit.lock).subscribe({
      next: (grant) => this.#acquired(grant),
      error: (error) => {
        if (!(error instanceof LockLost)) fail(`lock ${this.habit.lock}`, error);
        this.setting.recorder.tell({ kind: 'lost', roster, holding });
        this.#writeLate(error.token);
        this.#again();
      },
      complete: () => {
        if (!this.#isOver) fail(`lock ${this.habit.lock}`, new BackendClosed('the lock completed by itself'));
      },
    });
  }

  /** One guarded item of work, if it may be done. */
  work(): boolean {
    const grant = this.#grant;
    if (grant === undefined) return false;
    const { roster } = this;
    const holding = this.#holding;
    const { token } = grant;
    const at = now();
    if (!grant.isValid()) return false;
    this.setting.recorder.tell({ kind: 'worked', roster, holding, token }, at);
    this.setting.register.write(roster, holding, token);
    return true;
  }

  release(): void {
    if (this.#grant === undefined) return;
    this.#leave();
    this.#again();
  }

  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#leave();
  }

  #acquired(grant: Grant): void {
    const { roster } = this;
    const holding = this.#holding;
    if (this.#grant !== undefined) fail(`lock ${this.habit.lock}`, new Error('it was granted twice'));
    this.#grant = grant;
    this.setting.recorder.tell({ kind: 'acquired', roster, holding, token: grant.token });
    this.setting.acquired(roster);
    const until = this.habit.holdMs && performance.now() + this.setting.random.between(...this.habit.holdMs);
    const goOn = (): void => {
      const mayGoOn = this.work();
      // What is lost comes back by itself; here it may have become another grant by now.
      if (!mayGoOn || this.#holding !== holding) return;
      if (until !== undefined && performance.now() >= until) this.release();
      else this.#timer = setTimeout(goOn, this.habit.workEveryMs);
    };
    this.#timer = setTimeout(goOn, 0);
  }

  #leave(): void {
    clearTimeout(this.#timer);
    const kind = this.#grant === undefined ? 'withdrew' : 'released';
    if (this.#line !== undefined) this.setting.recorder.tell({ kind, roster: this.roster, holding: this.#holding });
    this.#grant = undefined;
    this.#line?.unsubscribe();
    this.#line = undefined;
  }

  #again(): void {
    clearTimeout(this.#timer);
    this.#grant = undefined;
    this.#line = undefined;
    if (!this.#isOver) this.#timer = setTimeout(() => this.start(), this.setting.random.between(...this.habit.pauseMs));
  }

  /** What a client sends that has not heard of its loss, or whose write was held up on its way. */
  #writeLate(token: bigint): void {
    const { roster } = this;
    const holding = this.#holding;
    for (const ms of lateMs) setTimeout(() => this.setting.register.write(roster, holding, token), ms);
  }
}
