import { isSome } from 'fp-ts/lib/Option.js';
import { interval, map, ReplaySubject, Subscription, share } from 'rxjs';
import { type Backend, type CampaignOptions, campaign, type Grant, whileLeader } from '../../../src/index.js';
import type { Roster } from '../history.js';
import { now } from '../recorder.js';
import { fail } from './fatal.js';
import type { Setting, Taker } from './setting.js';

export interface CandidateHabit {
  readonly election: string;
  /** Each time it stands with another priority. */
  readonly isPreferring?: boolean;
  /** Takes its place away from whoever stands under the same. */
  readonly id?: string;
  /** Leads for so long, from and to; without it, until told to step down. */
  readonly reignMs?: readonly [number, number];
  readonly pauseMs: readonly [number, number];
  readonly workEveryMs: number;
}

/** Stands in an election, works through a gate while it leads, steps down, and stands again. */
export class Candidate implements Taker {
  readonly roster: Roster;
  #standing: Subscription | undefined;
  #holding = '';
  #grant: Grant | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(
    private readonly backend: Backend,
    private readonly habit: CandidateHabit,
    private readonly setting: Setting,
  ) {
    this.roster = `election ${habit.election}`;
  }

  start(): void {
    if (this.#isOver) return;
    const { recorder } = this.setting;
    this.#contend();
    const grant$ = campaign(this.backend, this.habit.election, this.#manners()).pipe(
      share({ connector: () => new ReplaySubject(1), resetOnRefCountZero: true }),
    );
    const standing = new Subscription();
    this.#standing = standing;
    standing.add(
      grant$.subscribe({
        next: (grant) => {
          if (isSome(grant)) this.#elected(grant.value);
          else if (this.#grant !== undefined) {
            recorder.tell({ kind: 'lost', roster: this.roster, holding: this.#holding });
            this.#grant = undefined;
            // It stands again by itself.
            this.#contend();
          }
        },
        error: (error) => fail(`election ${this.habit.election}`, error),
        complete: () => {
          if (!this.#isOver) fail(`election ${this.habit.election}`, new Error('the campaign completed by itself'));
        },
      }),
    );
    const item$ = interval(this.habit.workEveryMs).pipe(map(() => now()));
    standing.add(item$.pipe(whileLeader(grant$.pipe(map(isSome)))).subscribe((at) => this.#worked(at)));
  }

  work(): boolean {
    const at = now();
    if (this.#grant?.isValid() !== true) return false;
    this.#worked(at);
    return true;
  }

  release(): void {
    if (this.#grant === undefined) return;
    this.#leave();
    this.#timer = setTimeout(() => this.start(), this.setting.random.between(...this.habit.pauseMs));
  }

  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#leave();
  }

  #manners(): CampaignOptions {
    const { isPreferring = false, id } = this.habit;
    const { random } = this.setting;
    return {
      ...(isPreferring && { priority: random.between(0, 9), holdDownMs: random.pick([0, 100]) }),
      ...(id !== undefined && { id, takeOver: true }),
    };
  }

  #contend(): void {
    const { roster } = this;
    this.#holding = this.setting.newHolding(roster);
    this.setting.recorder.tell({ kind: 'contending', roster, holding: this.#holding });
  }

  #elected(grant: Grant): void {
    const { roster } = this;
    this.#grant = grant;
    this.setting.recorder.tell({ kind: 'acquired', roster, holding: this.#holding, token: grant.token });
    this.setting.acquired(roster);
    clearTimeout(this.#timer);
    const { reignMs } = this.habit;
    if (reignMs !== undefined) this.#timer = setTimeout(() => this.release(), this.setting.random.between(...reignMs));
  }

  #worked(at: bigint): void {
    if (this.#grant === undefined)
      fail(`election ${this.habit.election}`, new Error('the gate let through unled work'));
    const { roster } = this;
    const { token } = this.#grant;
    this.setting.recorder.tell({ kind: 'worked', roster, holding: this.#holding, token }, at);
    this.setting.register.write(roster, this.#holding, token);
  }

  #leave(): void {
    clearTimeout(this.#timer);
    if (this.#standing === undefined) return;
    const kind = this.#grant === undefined ? 'withdrew' : 'released';
    this.setting.recorder.tell({ kind, roster: this.roster, holding: this.#holding });
    this.#grant = undefined;
    this.#standing.unsubscribe();
    this.#standing = undefined;
  }
}
