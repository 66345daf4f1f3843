import { Observable, type ObservableInput, type Subscription } from 'rxjs';
import { type Backend, type Grant, LockLost, withPartition } from '../../../src/index.js';
import type { Roster } from '../history.js';
import { now } from '../recorder.js';
import { fail } from './fatal.js';
import type { Setting } from './setting.js';

export interface DivideHabit {
  readonly group: string;
  readonly items: readonly string[];
  readonly settledMs: number;
  readonly workEveryMs: number;
}

/** A promise settles so long after its item has moved, from and to. */
const settlingMs = [1, 40] as const;
/** A past owner's write that is late arrives after these. */
const lateMs = [0, 300];

/**
 * A member of a group among whom items are divided. It works for each item that it owns, and contends for all others: whoever gets
 * one, somebody does. The work of every other item is a promise, which takes a while to settle.
 */
export class Divider {
  /** Of each item, this member's stay in its line. */
  readonly #holdings = new Map<string, string>();
  readonly #owned = new Map<string, Grant>();
  readonly #waiters = new Set<() => void>();
  #stay: Subscription | undefined;
  #isOver = false;

  constructor(
    private readonly backend: Backend,
    private readonly id: string,
    private readonly habit: DivideHabit,
    private readonly setting: Setting,
  ) {}

  start(): void {
    const { group, items, settledMs } = this.habit;
    for (const item of items) this.#contend(item);
    const unsettled = new Set(items.filter((_, index) => index % 2 === 1));
    const work = (item: string, grant: Grant): ObservableInput<void> =>
      unsettled.has(item) ? this.#settling(item, grant) : this.#unsubscribed(item, grant);
    this.#stay = withPartition(this.backend, group, items, work, { id: this.id, settledMs }).subscribe({
      error: (error) => fail(`items of ${group}`, error),
      complete: () => fail(`items of ${group}`, new Error('the work completed by itself')),
    });
  }

  /** One guarded item of work for each that it owns, if it may be done. */
  work(): void {
    for (const item of this.#owned.keys()) this.#workFor(item);
  }

  /** Resolves when it owns so many. */
  untilOwns(count: number): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if ([...this.#owned.values()].filter((grant) => grant.isValid()).length !== count) return;
        this.#waiters.delete(look);
        resolve();
      };
      this.#waiters.add(look);
      look();
    });
  }

  stop(): void {
    this.#isOver = true;
    for (const item of this.habit.items) if (!this.#owned.has(item)) this.#tell('withdrew', item);
    this.#stay?.unsubscribe();
  }

  #unsubscribed(item: string, grant: Grant): Observable<void> {
    return new Observable(() => {
      const end = this.#acquired(item, grant);
      return () => end(grant.signal.reason instanceof LockLost ? 'lost' : 'released');
    });
  }

  #settling(item: string, grant: Grant): Promise<void> {
    const end = this.#acquired(item, grant);
    return new Promise((resolve) => {
      const settle = (how: 'lost' | 'released'): void => {
        end(how);
        resolve();
      };
      const abort = (): void => {
        if (grant.signal.reason instanceof LockLost) settle('lost');
        else setTimeout(() => settle('released'), this.setting.random.between(...settlingMs));
      };
      if (grant.signal.aborted) abort();
      else grant.signal.addEventListener('abort', abort);
    });
  }

  #contend(item: string): void {
    this.#holdings.set(item, this.setting.newHolding(`lock ${item}`));
    this.#tell('contending', item);
  }

  /** Returns how it ends. */
  #acquired(item: string, grant: Grant): (how: 'lost' | 'released') => void {
    const roster: Roster = `lock ${item}`;
    const holding = this.#holdingOf(item);
    const { token } = grant;
    if (this.#owned.has(item)) fail(roster, new Error('its work was begun twice'));
    this.#owned.set(item, grant);
    this.setting.recorder.tell({ kind: 'acquired', roster, holding, token });
    this.setting.acquired(roster);
    const timer = setInterval(() => this.#workFor(item), this.habit.workEveryMs);
    this.#look();
    return (how) => {
      clearInterval(timer);
      this.#owned.delete(item);
      this.#tell(how, item);
      if (how === 'lost')
        for (const ms of lateMs) setTimeout(() => this.setting.register.write(roster, holding, token), ms);
      if (!this.#isOver) this.#contend(item);
      this.#look();
    };
  }

  #workFor(item: string): void {
    const grant = this.#owned.get(item);
    const holding = this.#holdingOf(item);
    const at = now();
    if (grant?.isValid() !== true) return;
    const roster: Roster = `lock ${item}`;
    const { token } = grant;
    this.setting.recorder.tell({ kind: 'worked', roster, holding, token }, at);
    this.setting.register.write(roster, holding, token);
  }

  #holdingOf(item: string): string {
    return this.#holdings.get(item) ?? fail(`lock ${item}`, new Error('it was not asked for'));
  }

  #tell(kind: 'contending' | 'lost' | 'released' | 'withdrew', item: string): void {
    this.setting.recorder.tell({ kind, roster: `lock ${item}`, holding: this.#holdingOf(item) });
  }

  #look(): void {
    for (const look of [...this.#waiters]) look();
  }
}
